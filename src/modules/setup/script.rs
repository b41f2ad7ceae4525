//! The one script that looks at a host. It prints sections, each opened by an ASCII record separator and its name, and takes few processes:
//! files are read by one `grep` for all of them.

use super::parts::{Part, Wanted};
use super::subset::Subset;
use crate::sh::Script;
use crate::sh::words;

/// Opens a section. No file or tool that is asked prints this byte.
pub const SEPARATOR: char = '\u{1e}';

pub fn script(subset: Subset, wanted: &Wanted, fact_path: &str, timeout: i64, python: Option<&str>) -> Script {
    let mut text =
        format!("{PRELUDE}limit() {{ if command -v timeout >/dev/null; then timeout {timeout} \"$@\"; else \"$@\"; fi; }}\n{PLATFORM}");
    if subset.minimal && wanted.has(Part::Python) {
        text += &super::python::script(python);
    }
    let others = [(subset.network, Part::Network, NETWORK), (subset.hardware, Part::Hardware, HARDWARE)]
        .into_iter()
        .chain([(subset.virtualization, Part::Virtualization, VIRTUALIZATION), (subset.others, Part::Others, OTHERS)]);
    let minimal = MINIMAL.iter().map(|(part, script)| (subset.minimal, *part, *script));
    for (is_asked, part, script) in minimal.chain(others) {
        if is_asked && wanted.has(part) {
            text += &script.replace("FACT_PATH", &words::on_host(fact_path));
        }
    }
    text += "exit 0\n";
    Script::new(text)
}

// `files` prints every line as `path:line`; paths that do not exist or cannot be read are passed over.
const PRELUDE: &str = r#"section() { printf '\036%s\n' "$1"; }
files() { section files; LC_ALL=C grep -H '' "$@" /dev/null 2>/dev/null; }
"#;

const PLATFORM: &str = r#"section uname; uname -s; uname -n; uname -r; uname -v; uname -m
section bits; getconf LONG_BIT 2>/dev/null
section exists
for path in /run/systemd/system /dev/.run/systemd /dev/.systemd /etc/init /sbin/initctl /sbin/openrc /etc/init.d /usr/bin/apt-get /usr/bin/dnf5 /usr/bin/dnf /usr/bin/microdnf /usr/bin/yum /sbin/apk /usr/bin/pacman /usr/bin/zypper; do
  [ ! -e "$path" ] || echo "$path"
done
files /etc/os-release /usr/lib/os-release /etc/debian_version /etc/lsb-release /proc/1/comm /etc/machine-id /var/lib/dbus/machine-id
"#;

const MINIMAL: &[(Part, &str)] = &[
    (Part::Date, DATE),
    (Part::FullName, FULL_NAME),
    (Part::User, USER),
    (Part::Environment, ENVIRONMENT),
    (Part::Release, RELEASE),
    (Part::Security, SECURITY),
    (Part::Files, FILES),
    (Part::Local, LOCAL),
];

const DATE: &str = r#"section date; LC_ALL=C date '+%s %N|%Y-%m-%d|%H:%M:%S|%A|%w|%W|%Z|%z'
section zones; year=$(date +%Y); for second in 0 15724800; do LC_ALL=C date -d "@$(( (year - 1970) * 31557600 + second ))" '+%z %Z' 2>/dev/null; done
"#;

const FULL_NAME: &str = r#"section fqdn; address=$(limit getent hosts "$(uname -n)" 2>/dev/null); [ -z "$address" ] || limit getent hosts "${address%%[ 	]*}" 2>/dev/null
"#;

const USER: &str = r#"section user; id -u; id -g; id -ru; id -rg; getent passwd "$(id -u)" 2>/dev/null || grep "^[^:]*:[^:]*:$(id -u):" /etc/passwd
"#;

const ENVIRONMENT: &str = r#"section environment; if env -0 >/dev/null 2>&1; then env -0; else cat /proc/self/environ; fi | tr '\000' '\035'; printf 'PWD=%s\035' "$PWD"
"#;

const RELEASE: &str = r#"[ -e /etc/lsb-release ] || ! command -v lsb_release >/dev/null || { section lsb; lsb_release -a 2>/dev/null; }
"#;

const SECURITY: &str = r#"section security
[ ! -e /sys/kernel/security/apparmor ] || echo apparmor
[ ! -e /sys/fs/selinux/enforce ] || echo selinux
if [ -n "$debian_chroot" ]; then echo chroot; elif [ -e /proc/1/root/. ]; then [ / -ef /proc/1/root/. ] && echo root || echo chroot; fi
files /sys/fs/selinux/enforce /sys/fs/selinux/policyvers /etc/selinux/config
! command -v capsh >/dev/null || { section capsh; capsh --print 2>/dev/null; }
"#;

const FILES: &str = r#"files /proc/cmdline /etc/resolv.conf /proc/sys/crypto/fips_enabled /etc/ssh/ssh_host_*_key.pub
"#;

const LOCAL: &str = r#"folder=FACT_PATH
said=''
trap '[ -z "$said" ] || rm -f -- "$said"' EXIT
for file in "$folder"/*.fact; do
  if [ ! -e "$file" ]; then
    [ ! -L "$file" ] || { section "local gone $file"; echo "[Errno 2] No such file or directory: '$file'"; }
  elif [ ! -f "$file" ]; then continue
  elif [ -x "$file" ]; then
    [ -n "$said" ] || said=$(mktemp) || exit 1
    output=$("$file" 2>"$said" </dev/null); status=$?
    section "local $status $file"
    if [ $status -eq 0 ]; then printf '%s\n' "$output"; else cat "$said"; fi
  else
    section "local 0 $file"; cat "$file" 2>/dev/null
  fi
done
"#;

const NETWORK: &str = r#"if command -v ip >/dev/null; then
  section addresses; LC_ALL=C ip addr 2>/dev/null
  section route4; LC_ALL=C ip -4 route get 8.8.8.8 2>/dev/null
  section route6; LC_ALL=C ip -6 route get 2404:6800:400a:800::1012 2>/dev/null
  section local4; LC_ALL=C ip -4 route show table local 2>/dev/null
  section local6; LC_ALL=C ip -6 route show table local 2>/dev/null
fi
section links; LC_ALL=C ls -ld /sys/class/net/*/device /sys/class/net/*/device/driver/module /sys/class/net/*/brif/* 2>/dev/null
cd /sys/class/net && files */address */mtu */operstate */type */speed */flags */bridge/bridge_id */bridge/stp_state */bonding/slaves */bonding/mode */bonding/miimon */bonding/lacp_rate */bonding/primary */bonding/all_slaves_active
cd /
"#;

const HARDWARE: &str = r#"section nproc; nproc 2>/dev/null
files /proc/meminfo /proc/cpuinfo /proc/uptime /proc/mounts /proc/self/mountinfo /sys/devices/virtual/dmi/id/[bcps]*_*
section statfs
while read -r device mount type _; do
  case $device:$type in *:/*:* | //*:* | *:nfs* | *:cifs | *:smb* | *:fuse* | *:ceph | *:9p) continue ;; /*:*) ;; *) continue ;; esac
  case $mount in *\\0*) mount=$(printf '%b' "$mount") ;; esac
  set -- "$@" "$mount"
done </proc/mounts
[ $# -eq 0 ] || limit stat -f -c '%n	%s	%S	%b	%a	%c	%d' "$@" 2>/dev/null
for kind in id uuid label; do section "${kind}s"; ls -l "/dev/disk/by-$kind" 2>/dev/null; done
section blocks; LC_ALL=C ls -ld /sys/block/*/holders/* /sys/block/*/slaves/* 2>/dev/null
if [ "$(id -u)" = 0 ] && PATH=$PATH:/sbin:/usr/sbin command -v vgs >/dev/null; then
  for tool in vgs lvs pvs; do
    section "$tool"; PATH=$PATH:/sbin:/usr/sbin LC_ALL=C limit "$tool" --noheadings --nosuffix --units g --separator , 2>/dev/null
  done
fi
cd /sys/block && files */size */removable */queue/rotational */queue/logical_block_size */queue/scheduler */queue/discard_granularity */device/model */device/vendor */*/partition */*/start */*/size
cd /
"#;

const VIRTUALIZATION: &str = r#"section environment1; [ ! -r /proc/1/environ ] || tr '\000' '\035' </proc/1/environ 2>/dev/null
section virtual
for path in /proc/vz /proc/lve /proc/bc /.dockerenv /.dockerinit /proc/xen /dev/kvm; do [ ! -e "$path" ] || echo "$path"; done
files /proc/1/cgroup /run/systemd/container /proc/xen/capabilities /proc/modules /proc/cpuinfo /sys/devices/virtual/dmi/id/product_name /sys/devices/virtual/dmi/id/sys_vendor /sys/devices/virtual/dmi/id/product_family /sys/devices/virtual/dmi/id/bios_vendor
"#;

const OTHERS: &str = r#"! command -v systemctl >/dev/null || { section systemd; LC_ALL=C systemctl --version 2>/dev/null; }
files /proc/loadavg /etc/iscsi/initiatorname.iscsi /etc/nvme/hostnqn /sys/class/fc_host/*/port_name
"#;
