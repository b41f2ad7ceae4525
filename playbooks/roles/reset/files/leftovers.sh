#!/bin/sh
# Removes what `kubeadm reset` leaves on a host, and names each thing it removed. Touches nothing that Kubernetes or its
# pod network did not make: of the packet filter's rules only theirs go.
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"

for path in /etc/kubernetes/*.conf /etc/kubernetes/kubeadm-init.yaml /etc/kubernetes/kubeadm-join.yaml \
  /etc/kubernetes/manifests/* /etc/kubernetes/pki /etc/kubernetes/cni /var/lib/etcd/member \
  /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki \
  /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/10-canal.conflist /etc/cni/net.d/10-calico.conflist \
  /etc/cni/net.d/calico-kubeconfig /var/lib/cni /var/lib/calico /run/flannel /run/calico; do
  [ -e "$path" ] || continue
  rm -rf "$path" && echo "removed $path"
done

for link in $(ip -o link show | awk -F ': ' '{ sub(/@.*/, "", $2); print $2 }'); do
  case $link in
    cni0 | flannel.1 | flannel-v6.1 | flannel-wg | flannel-wg-v6 | vxlan.calico | wireguard.cali | cali* | kube-ipvs0)
      ip link delete "$link" 2>/dev/null && echo "removed interface $link" ;;
  esac
done
for mount in $(awk '$2 ~ "^/run/netns/cni-" { print $2 }' /proc/mounts); do
  umount "$mount" && rm -f "$mount" && echo "removed $mount"
done

for family in iptables ip6tables; do
  command -v "$family-save" >/dev/null || continue
  rules=$("$family-save" 2>/dev/null)
  ours='KUBE-|CNI-|cali-|cali:|FLANNEL|flannel'
  printf '%s\n' "$rules" | grep -Eq "$ours" || continue
  printf '%s\n' "$rules" | grep -Ev "$ours" | "$family-restore" && echo "removed the rules of Kubernetes from $family"
done
