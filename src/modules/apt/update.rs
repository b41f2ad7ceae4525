//! Refreshing apt's lists, for every module that may have to: apt, apt_repository, deb822_repository.

/// Where apt-get runs: nothing may ask, and what it prints is parsed.
pub const ENVIRONMENT: &str = "export LC_ALL=C LANG=C LANGUAGE=C DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical NEEDRESTART_MODE=a\n";

/// Defines `update_lists RETRIES LONGEST_DELAY LOCK_TIMEOUT` (after [`super::lock::WAIT_FOR_LOCKS`]); its last line is
/// `nodewright: cache BEFORE AFTER`, the time of the lists before and after.
///
/// A list that cannot be fetched is an error here (`Error-Mode=any`), as it is for Ansible; apt-get alone would only warn.
/// The stamp is touched because apt leaves the lists' own time alone when nothing was new, and `cache_valid_time` would never become true on Debian.
pub const UPDATE_LISTS: &str = r#"lists_time() {
  stat -c %Y /var/lib/apt/periodic/update-success-stamp /var/lib/apt/lists 2>/dev/null | sort -n | tail -n 1
}
update_lists() {
  before=$(lists_time); tried=0; delay=1
  while :; do
    wait_for_locks "$3"
    tried=$((tried + 1))
    apt-get update -q -o APT::Update::Error-Mode=any -o DPkg::Lock::Timeout="$3" </dev/null && break
    if [ "$tried" -ge "$1" ]; then echo "nodewright: cache failed $tried"; exit 100; fi
    [ "$delay" -le "$2" ] || delay=$2
    echo "apt-get update failed, trying again in $delay s"
    sleep "$delay"; delay=$((delay * 2))
  done
  after=$(lists_time)
  [ ! -d /var/lib/apt/periodic ] || touch /var/lib/apt/periodic/update-success-stamp 2>/dev/null || :
  echo "nodewright: cache ${before:-0} ${after:-0}"
}
"#;

/// What [`UPDATE_LISTS`] said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    Not,
    Failed { tries: u64 },
    Done { is_new: bool, time: i64 },
}

pub fn read(stdout: &str) -> Updated {
    let Some(said) = stdout.lines().rev().find_map(|line| line.strip_prefix("nodewright: cache ")) else { return Updated::Not };
    match said.split_once(' ') {
        Some(("failed", tries)) => Updated::Failed { tries: tries.parse().unwrap_or(1) },
        Some((before, after)) => Updated::Done { is_new: before != after, time: after.parse().unwrap_or(0) },
        None => Updated::Not,
    }
}
