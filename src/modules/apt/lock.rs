//! Waiting for the locks of dpkg and apt, and saying who holds them. On a fresh machine unattended-upgrades holds them for minutes.

/// Defines `wait_for_locks SECONDS`. It looks for processes that hold a lock at all (`/proc/locks`) and have one of the four files open:
/// nothing is started but one `sleep` a second while it waits. Without `/proc/locks`, apt's own waiting is all there is.
pub const WAIT_FOR_LOCKS: &str = r#"lock_holder() {
  [ -r /proc/locks ] || return 1
  while read -r _ kind _ mode pid _; do
    case $kind/$mode/$pid in POSIX/WRITE/[1-9]*) ;; *) continue ;; esac
    for open in /proc/"$pid"/fd/*; do
      for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        if [ "$open" -ef "$lock" ]; then
          holder=; read -r holder 2>/dev/null <"/proc/$pid/comm" || :
          holder="${holder:-a process} (pid $pid)"
          return 0
        fi
      done
    done
  done </proc/locks
  return 1
}
wait_for_locks() {
  waited=0; said=
  while lock_holder; do
    if [ "$waited" -ge "$1" ]; then
      echo "Failed to lock apt for exclusive operation: held by $holder for $waited seconds" >&2
      exit 100
    fi
    [ "$said" = "$holder" ] || { echo "waiting for apt's lock, held by $holder"; said=$holder; }
    sleep 1
    waited=$((waited + 1))
  done
}
"#;
