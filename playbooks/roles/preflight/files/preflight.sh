#!/bin/sh
# Looks for what would keep this host from becoming a node, and prints it as YAML: identity (compared between hosts
# later), findings that stop the run, and warnings. Reads only. The wishes come in the environment.
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"

quote() { printf '"%s"' "$(printf %s "$1" | tr '\n"\\' "  /")"; }
findings='' warnings=''
finding() { findings="$findings
  - $(quote "$1: $2")"; }
warning() { warnings="$warnings
  - $(quote "$1: $2")"; }

# --- the machine

. /etc/os-release
case "$ID $VERSION_ID" in
  "ubuntu 22.04" | "ubuntu 24.04" | "ubuntu 25."* | "ubuntu 26.04" | "debian 12" | "debian 13") ;;
  *) finding OS "${PRETTY_NAME:-$ID} is not one of Ubuntu 22.04 to 26.04, Debian 12 and 13" ;;
esac
case $(uname -m) in x86_64 | aarch64) ;; *) finding Architecture "$(uname -m) is neither amd64 nor arm64" ;; esac
[ -d /run/systemd/system ] || finding Systemd "systemd is not running here"

cpus=$(nproc)
[ "$ROLE" = control_plane ] && [ "$cpus" -lt "$MINIMUM_CPUS" ] && finding NumCPU "$cpus CPU, a control plane needs $MINIMUM_CPUS"
memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
[ "$memory" -lt "$MINIMUM_MEMORY_MB" ] && finding Mem "$memory MB of memory, it needs $MINIMUM_MEMORY_MB"
disk=$(df -Pm /var/lib | awk 'NR == 2 { print $4 }')
[ "$disk" -lt "$MINIMUM_DISK_MB" ] && finding Disk "$disk MB are free below /var/lib, it needs $MINIMUM_DISK_MB"

if [ "$KUBERNETES_MINOR" -ge 35 ] && [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
  finding CgroupV2 "cgroup v1 is mounted, and kubelet from 1.35 on does not start with it"
fi
for tool in mount modprobe ip ss openssl; do
  command -v "$tool" >/dev/null || finding "FileExisting-$tool" "$tool is missing"
done
[ -e /var/run/reboot-required ] && warning Reboot "a reboot is pending"
[ -d "/lib/modules/$(uname -r)" ] || [ -e /proc/sys/net/bridge ] ||
  finding Modules "the modules of the running kernel are gone: reboot first"

# --- name and network

printf %s "$NODE_NAME" | grep -Eqx '[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?' || finding Hostname "$NODE_NAME cannot be a node's name"
route=$(ip -4 route show default)
[ -n "$route" ] || finding DefaultRoute "there is no default route"
interface=$(ip -o -4 address show | awk -v ip="$NODE_IP" '{ split($4, a, "/") } a[1] == ip { print $2; exit }')
[ -n "$interface" ] || finding NodeIP "no interface has the address $NODE_IP"
getent hosts localhost >/dev/null || warning Localhost "localhost does not resolve"
command -v ufw >/dev/null && ufw status 2>/dev/null | grep -q '^Status: active' &&
  warning Firewall "ufw is active: nodes need 6443, 10250 and their CNI's port open to each other"
systemctl is-active --quiet firewalld && warning Firewall "firewalld is active: nodes need 6443, 10250 and their CNI's port open to each other"
timedatectl show --property NTPSynchronized --value 2>/dev/null | grep -qx no && warning Clock "the clock is not synchronised"

# --- what else runs here

# Ports are free, or held by our own components on a host that is a node already.
case $STATE in prepared | absent) own='^$' ;; *) own='^(kubelet|kube-proxy|kube-apiserver|kube-controller|kube-scheduler|etcd)$' ;; esac
ports="10250 10256"
[ "$ROLE" = control_plane ] && ports="$ports $API_PORT 2379 2380 10257 10259"
listeners=$(ss -Htlnp)
for port in $ports; do
  holder=$(printf '%s\n' "$listeners" | awk -v port=":$port" 'substr($4, length($4) - length(port) + 1) == port { print $NF; exit }')
  [ -n "$holder" ] || continue
  name=$(printf %s "$holder" | sed -n 's/.*(("\([^"]*\)".*/\1/p')
  printf '%s\n' "$name" | grep -Eq "$own" || finding "Port-$port" "port $port is held by ${name:-another network}"
done
if [ -n "$USED_SOCKET" ] && [ "${USED_SOCKET#unix://}" != "${CRI_SOCKET#unix://}" ]; then
  finding ContainerRuntime "this node runs with $USED_SOCKET; to change the runtime, reset it first"
fi
if command -v docker >/dev/null && [ -n "$(docker ps -q 2>/dev/null)" ]; then
  warning Docker "docker runs containers here; its iptables rules drop forwarded packets"
fi

# --- identity

# A container shows the uuid of the machine it is on, which says nothing about the container.
uuid=''; systemd-detect-virt --quiet --container || uuid=$(cat /sys/class/dmi/id/product_uuid 2>/dev/null)
printf 'identity:\n  NodeName: %s\n  NodeIP: %s\n  MachineID: %s\n  ProductUUID: %s\n  MAC: %s\n' \
  "$(quote "$NODE_NAME")" "$(quote "$NODE_IP")" "$(quote "$(cat /etc/machine-id)")" "$(quote "$uuid")" \
  "$(quote "$(cat "/sys/class/net/$interface/address" 2>/dev/null)")"
printf 'findings:%s\nwarnings:%s\n' "${findings:- []}" "${warnings:- []}"
