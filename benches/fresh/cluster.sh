#!/bin/sh
# The rival of playbooks/cluster.yaml: the same steps, written by hand for two fresh Debian hosts and run on both side by side over plain ssh.
# It does what somebody does who knows the way and needs it once: no look at what is there, no second run, no clear error.
#
#   cluster.sh CONTROL_PLANE WORKER          addresses
#
# Environment: SSH (the ssh command with its options), USER_NAME, VERSION, MIRROR, PAUSE, MANIFEST, VERIFY_IMAGE, IGNORE, POD_CIDR, KUBECONFIG_TO.
set -eu
control_plane=$1 worker=$2
on() { host=$1; shift; $SSH "$USER_NAME@$host" "$@"; }
minor=${VERSION%.*}

install() {
  on "$1" sudo sh -s <<REMOTE
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
# What would be in the way.
. /etc/os-release
case "\$ID \$VERSION_ID" in "ubuntu 22.04" | "ubuntu 24.04" | "debian 12" | "debian 13") ;; *) echo "not for \$PRETTY_NAME" >&2; exit 1 ;; esac
[ "\$(nproc)" -ge 2 ] || { echo "2 CPUs are needed" >&2; exit 1; }
[ "\$(awk '/^MemTotal:/ { print int(\$2 / 1024) }' /proc/meminfo)" -ge 1700 ] || { echo "1700 MB are needed" >&2; exit 1; }
! ss -Htln | grep -Eq ':(6443|10250|10256|2379|2380|10257|10259) ' || { echo "a port is taken" >&2; exit 1; }
# Swap, modules, sysctls.
swapoff --all
sed -i.bak -E 's/^([^#[:space:]][^[:space:]]*[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]].*)$/# \1/' /etc/fstab
systemctl mask --now swap.target >/dev/null 2>&1
printf 'overlay\nbr_netfilter\n' >/etc/modules-load.d/kubernetes.conf
modprobe -a overlay br_netfilter
printf '%s=1\n' net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables >/etc/sysctl.d/99-kubernetes.conf
sysctl -q -p /etc/sysctl.d/99-kubernetes.conf
# Repositories and packages, the runtime's settings before its packages so that it starts with them.
mkdir -p /etc/apt/keyrings /etc/crio/crio.conf.d
repository() {
  curl -fsSL "\$2/Release.key" -o "/etc/apt/keyrings/\$1-apt-keyring.asc"
  printf 'Types: deb\nURIs: %s/\nSuites: /\nSigned-By: /etc/apt/keyrings/%s-apt-keyring.asc\n' "\$2" "\$1" >"/etc/apt/sources.list.d/\$1.sources"
}
repository crio "$MIRROR/isv:/cri-o:/stable:/v$minor/deb"
repository kubernetes "$MIRROR/core:/stable:/v$minor/deb"
cat >/etc/crio/crio.conf.d/20-kubernetes.conf <<'CRIO'
[crio.runtime]
cgroup_manager = "systemd"
conmon_cgroup = "pod"
[crio.image]
pause_image = "$PAUSE"
[crio.network]
cni_default_network = "cbr0"
CRIO
apt-get -qq update
apt-get -qq install -y cri-o "kubelet=$VERSION-*" "kubeadm=$VERSION-*" "kubectl=$VERSION-*" cri-tools kubernetes-cni >/run/apt.log || { tail -30 /run/apt.log >&2; exit 1; }
printf 'runtime-endpoint: "unix:///var/run/crio/crio.sock"\nimage-endpoint: "unix:///var/run/crio/crio.sock"\ntimeout: 10\n' >/etc/crictl.yaml
apt-mark hold kubelet kubeadm kubectl cri-tools kubernetes-cni >/dev/null
mkdir -p /var/backups/cni
find /etc/cni/net.d -type f -name '*crio*bridge*.conf*' -exec mv -t /var/backups/cni {} +
systemctl enable kubelet >/dev/null 2>&1
systemctl enable --now crio >/dev/null 2>&1 || systemctl restart crio
REMOTE
}

install "$control_plane" & first=$!
install "$worker" & second=$!
wait $first; wait $second

on "$control_plane" sudo sh -s <<REMOTE
set -eu
umask 077
cat >/etc/kubernetes/kubeadm-init.yaml <<'INIT'
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: "$control_plane", bindPort: 6443}
nodeRegistration:
  criSocket: /var/run/crio/crio.sock
  kubeletExtraArgs: {node-ip: "$control_plane"}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: "v$VERSION"
controlPlaneEndpoint: "$control_plane:6443"
networking: {podSubnet: "$POD_CIDR"}
apiServer: {certSANs: ["$control_plane", "127.0.0.1"]}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
conntrack: {maxPerCore: 0}
INIT
kubeadm init --config /etc/kubernetes/kubeadm-init.yaml --ignore-preflight-errors="$IGNORE" >/dev/null 2>&1
rm /etc/kubernetes/kubeadm-init.yaml
mkdir -p /home/$USER_NAME/.kube
cp /etc/kubernetes/admin.conf /home/$USER_NAME/.kube/config
chown -R $USER_NAME: /home/$USER_NAME/.kube
export KUBECONFIG=/etc/kubernetes/admin.conf
mkdir -p /etc/kubernetes/cni
curl -fsSL "$MANIFEST" | sed -E 's|"Network": *"[^"]*"|"Network": "$POD_CIDR"|' >/etc/kubernetes/cni/flannel.yaml
kubectl apply -f /etc/kubernetes/cni/flannel.yaml >/dev/null
REMOTE
(umask 077; on "$control_plane" sudo cat /etc/kubernetes/admin.conf >"$KUBECONFIG_TO")

# The token goes through stdin: it is in no process list.
on "$control_plane" sudo kubeadm --kubeconfig /etc/kubernetes/admin.conf token create --ttl 30m --print-join-command 2>/dev/null | {
  read -r _ _ endpoint _ token _ hash
  on "$worker" sudo sh -s <<REMOTE
set -eu
umask 077
cat >/etc/kubernetes/kubeadm-join.yaml <<'JOIN'
apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery: {bootstrapToken: {apiServerEndpoint: "$endpoint", token: "$token", caCertHashes: ["$hash"]}}
nodeRegistration:
  criSocket: /var/run/crio/crio.sock
  kubeletExtraArgs: {node-ip: "$worker"}
JOIN
kubeadm join --config /etc/kubernetes/kubeadm-join.yaml --ignore-preflight-errors="$IGNORE" >/dev/null 2>&1
rm /etc/kubernetes/kubeadm-join.yaml
REMOTE
  on "$control_plane" sudo kubeadm --kubeconfig /etc/kubernetes/admin.conf token delete "${token%%.*}" >/dev/null
}

# The cluster works when both nodes are Ready, CoreDNS is up and a pod on each node reaches the pods on both, by address and by name.
on "$control_plane" sudo sh -s <<REMOTE
set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl -n kube-flannel rollout status daemonset/kube-flannel-ds --timeout=300s >/dev/null
kubectl wait node --all --for=condition=Ready --timeout=180s >/dev/null
kubectl -n kube-system wait deployment/coredns --for=condition=Available --timeout=180s >/dev/null
kubectl apply -f - >/dev/null <<'PODS'
apiVersion: v1
kind: Namespace
metadata: {name: verify-cluster}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: verify, namespace: verify-cluster}
spec:
  selector: {matchLabels: {app: verify}}
  template:
    metadata: {labels: {app: verify}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      containers:
        - name: verify
          image: $VERIFY_IMAGE
          imagePullPolicy: IfNotPresent
          command: [sh, -c, "mkdir -p /tmp/www && hostname >/tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: verify, namespace: verify-cluster}
spec: {selector: {app: verify}, ports: [{port: 8080}]}
PODS
kubectl -n verify-cluster rollout status daemonset/verify --timeout=180s >/dev/null
addresses=\$(kubectl -n verify-cluster get pods -l app=verify -o 'jsonpath={.items[*].status.podIP}')
service=\$(kubectl -n verify-cluster get service verify -o 'jsonpath={.spec.clusterIP}')
for pod in \$(kubectl -n verify-cluster get pods -l app=verify -o name); do
  tries=0
  until kubectl -n verify-cluster exec "\$pod" -- sh -ec "for a in \$addresses \$service; do timeout 5 wget -q -O /dev/null http://\\\$a:8080/; done; nslookup verify.verify-cluster.svc.cluster.local | grep -qF \$service" >/dev/null 2>&1; do
    tries=\$((tries + 1)); [ \$tries -lt 10 ] || { echo "\$pod does not reach the others" >&2; exit 1; }
    sleep 2
  done
done
kubectl delete namespace verify-cluster --wait=false >/dev/null
REMOTE
