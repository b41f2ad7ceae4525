#!/bin/sh
# Says, as YAML on stdout, what this host is to Kubernetes and why. Reads only.
#
# Files alone do not tell: admin.conf, for one, is written long before a control plane first answers. So the cluster is
# asked wherever it can be, and files are believed only about what kubeadm has not finished.
#
# Environment: ROLE (control_plane or worker), NODE_NAME, ENDPOINT and CLUSTER_NAME as they are wanted.
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"
etc=/etc/kubernetes
ca='' endpoint='' kubeadm='' socket=''

answer() {
  reason=$(printf %s "$2" | tr '\n"\\' "  /" | cut -c1-400)
  printf '%s: "%s"\n' state "$1" reason "$reason" ca "$ca" endpoint "$endpoint" kubeadm "$kubeadm" socket "$socket"
  exit 0
}

# The hash that `kubeadm join --discovery-token-ca-cert-hash` wants, of a certificate on stdin.
hash_of() { openssl x509 -pubkey -noout 2>/dev/null | openssl pkey -pubin -outform der 2>/dev/null | sha256sum | cut -d ' ' -f 1; }
field() { sed -n "s/^ *$2: *//p" "$1" 2>/dev/null | head -n 1; }
ask() { kubectl --request-timeout=10s "$@" 2>&1; }
kubelet_runs() { systemctl is-active --quiet kubelet; }

# --- other distributions, and a kubeadm that is at work

for unit in k3s k3s-agent rke2-server rke2-agent k0scontroller k0sworker snap.microk8s.daemon-kubelite; do
  for dir in /etc/systemd/system /usr/local/lib/systemd/system /lib/systemd/system; do
    [ -e "$dir/$unit.service" ] && answer foreign "$unit.service is installed here"
  done
done
for process in /proc/[0-9]*/comm; do
  { read -r comm <"$process"; } 2>/dev/null || continue
  [ "$comm" = kubeadm ] && answer busy "kubeadm is running (process ${process%/comm})"
done

# --- what lies here

for conf in "$etc/kubelet.conf" "$etc/bootstrap-kubelet.conf" "$etc/admin.conf"; do
  data=$(field "$conf" certificate-authority-data)
  [ -n "$data" ] && { ca=$(printf %s "$data" | base64 -d | hash_of); break; }
done
[ -z "$ca" ] && [ -e "$etc/pki/ca.crt" ] && ca=$(hash_of <"$etc/pki/ca.crt")
for conf in "$etc/admin.conf" "$etc/kubelet.conf" "$etc/bootstrap-kubelet.conf"; do
  endpoint=$(field "$conf" server); endpoint=${endpoint#https://}
  [ -n "$endpoint" ] && break
done
command -v kubeadm >/dev/null && kubeadm=$(kubeadm version -o short 2>/dev/null)
# The runtime that this node was made with: kubeadm writes it into the one file or, from 1.34 on, into the other.
socket=$(sed -n 's/.*--container-runtime-endpoint=\([^ "]*\).*/\1/p' /var/lib/kubelet/kubeadm-flags.env 2>/dev/null)
[ -n "$socket" ] || socket=$(field /var/lib/kubelet/instance-config.yaml containerRuntimeEndpoint | tr -d '"')

leftovers=''
for path in "$etc/kubelet.conf" "$etc/bootstrap-kubelet.conf" "$etc/admin.conf" "$etc/pki/apiserver.crt" \
  "$etc/manifests/kube-apiserver.yaml" "$etc/manifests/etcd.yaml" /var/lib/etcd/member /var/lib/kubelet/config.yaml; do
  [ -e "$path" ] && leftovers="$leftovers $path"
done
# A CA that somebody put here beforehand, with its key, is there to be used. One without a key came with a join.
[ -e "$etc/pki/ca.crt" ] && ! [ -e "$etc/pki/ca.key" ] && leftovers="$leftovers $etc/pki/ca.crt"

if [ -z "$leftovers" ]; then
  if [ -n "$kubeadm" ]; then answer prepared "kubeadm $kubeadm is installed"; else answer absent "kubeadm is not installed"; fi
fi

# --- a worker

if [ "$ROLE" = worker ]; then
  [ -e "$etc/manifests/kube-apiserver.yaml" ] && answer foreign "it is a control plane, but listed as a worker"
  [ -e "$etc/kubelet.conf" ] || answer half-joined "join did not get to kubelet.conf; left:$leftovers"
  [ -e "$etc/bootstrap-kubelet.conf" ] && answer half-joined "join did not end: bootstrap-kubelet.conf is still here"
  if said=$(ask --kubeconfig "$etc/kubelet.conf" get node "$NODE_NAME" -o name); then
    kubelet_runs && answer member "node $NODE_NAME of $endpoint"
    answer unhealthy "node $NODE_NAME of $endpoint, but kubelet does not run"
  fi
  case $said in
    *NotFound*) answer half-joined "the cluster has no node $NODE_NAME" ;;
    *'can only read'* | *'cannot read'* | *'cannot get'*) answer foreign "it is a node under another name: $said" ;;
  esac
  answer unhealthy "its cluster could not be asked: $said"
fi

# --- the control plane

[ -e "$etc/kubelet.conf" ] && ! [ -e "$etc/pki/ca.key" ] && ! [ -e "$etc/manifests/kube-apiserver.yaml" ] &&
  answer foreign "it is a worker of $endpoint, but listed as the control plane"

admin="--kubeconfig $etc/admin.conf"
unfinished=/etc/kubernetes/kubeadm-init.yaml   # lies here from before init until after it
if [ -e "$etc/admin.conf" ] && said=$(ask $admin get --raw /readyz); then
  if config=$(ask $admin -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}'); then
    has=$(printf '%s\n' "$config" | sed -n 's/^controlPlaneEndpoint: *//p' | tr -d '"')
    [ "$has" = "$ENDPOINT" ] || answer foreign "its cluster's controlPlaneEndpoint is '$has', not '$ENDPOINT'"
    has=$(printf '%s\n' "$config" | sed -n 's/^clusterName: *//p' | tr -d '"')
    [ "$has" = "$CLUSTER_NAME" ] || answer foreign "its cluster is called '$has', not '$CLUSTER_NAME'"
    if [ -e "$unfinished" ]; then
      said=$(ask $admin -n kube-public get configmap cluster-info -o name) || answer half-initialised "init did not end: $said"
      said=$(ask $admin -n kube-system get daemonset/kube-proxy deployment/coredns -o name) || answer half-initialised "init did not end: $said"
    fi
    kubelet_runs || answer unhealthy "kubelet does not run"
    answer member "control plane of $endpoint"
  fi
  # From 1.29 on admin.conf may do nothing until init has given it its role, right after the API server came up.
  case $config in *Forbidden*) [ -e "$unfinished" ] && answer half-initialised "init did not end: $config" ;; esac
  case $config in *NotFound*) ;; *) answer unhealthy "its cluster could not be asked: $config" ;; esac
  nodes=$(ask $admin get nodes -o name) || answer unhealthy "its cluster could not be asked: $nodes"
  others=$(printf '%s\n' "$nodes" | grep -vx "node/$NODE_NAME" | grep . | tr '\n' ' ')
  [ -n "$others" ] && answer foreign "its cluster was not made by kubeadm and has nodes: $others"
  answer half-initialised "init did not get to storing its configuration"
fi

# The API server does not answer. Near its end init points kubelet.conf to a certificate that rotates; until then the
# file has the certificate inside, and there is no cluster that could be lost.
if ! [ -e "$etc/kubelet.conf" ] || grep -q 'client-certificate-data' "$etc/kubelet.conf"; then
  [ -e "$unfinished" ] || ! [ -d /var/lib/etcd/member ] || [ -n "$(find "$etc/pki/ca.crt" -mtime -1 2>/dev/null)" ] &&
    answer half-initialised "init did not end; left:$leftovers"
fi
answer unhealthy "the API server does not answer: $said"
