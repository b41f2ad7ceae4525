case :$PATH: in *:/usr/sbin:*) ;; *) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH ;; esac
nw_setsid=$(command -v setsid)
nw_umask=$(umask)
nw_uid= nw_boot= nw_group=
# Where the kernel says it, no program has to be started for it: a host with little to do answers sooner.
while read -r nw_x nw_uid nw_y && [ "$nw_x" != Uid: ]; do nw_uid=; done 2>/dev/null </proc/self/status
[ -n "$nw_uid" ] || nw_uid=$(id -u)
{ read -r nw_boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
{ read -r nw_x nw_x nw_x nw_x nw_group nw_x </proc/$$/stat; } 2>/dev/null || nw_group=$$
nw_run=
[ "$nw_uid" != 0 ] || nw_run=/run/nodewright
nw_tries=
for nw_jobs in $nw_run "${HOME:-/}/.cache/nodewright/jobs" "/var/tmp/nodewright-$nw_uid" "/tmp/nodewright-$nw_uid" ''; do
  [ -n "$nw_jobs" ] || break
  nw_tries="$nw_tries $nw_jobs"
  [ -d "$nw_jobs" ] || ( umask 077; mkdir -p "$nw_jobs" && chmod 700 "$nw_jobs" ) >/dev/null 2>&1 </dev/null || continue
  [ ! -L "$nw_jobs" ] && [ -O "$nw_jobs" ] && [ -w "$nw_jobs" ] && break
done

nw_took() { nw_took=; }

# The answer to a script: on both streams, so that each is known to be complete.
nw_end() {
  nw_took
  printf '\036%s %s%s\n' "$nw_mark" "$*" "$nw_took"
  printf '\036%s\n' "$nw_mark" >&2
}

nw_copy() {
  if [ -s "$nw_job/out" ]; then cat <&7 || return; fi
  if [ -s "$nw_job/err" ]; then cat <&8 >&2 || return; fi
}

# Makes a file, for the first who tries.
nw_claim() {
  set -C
  true 2>/dev/null >"$1"
  nw_x=$?
  set +C
  return $nw_x
}

# Shows what a job writes while it runs, if it runs for long. Stopped by USR1; then the caller copies the rest, from where this left off:
# the descriptors are shared. Killed at once if the caller was the first to claim the output.
nw_show() {
  nw_stop= nw_heard=
  trap 'nw_stop=1' USR1
  while [ -z "$nw_stop" ]; do
    { sleep 0.2 || sleep 1; } >/dev/null 2>&1 7<&- 8<&- &
    wait $!
    [ -e "$nw_job/shown" ] || nw_claim "$nw_job/shown" || exit
    nw_copy || exit
    nw_heed
  done
}

nw_is_alive() {
  nw_pid=
  { read -r nw_pid <"$1/pid"; } 2>/dev/null && kill -0 "$nw_pid" 2>/dev/null || return 1
  # Another process may have got the number since.
  [ ! -r "/proc/$nw_pid/cmdline" ] || grep -q "${1##*/}" "/proc/$nw_pid/cmdline" 2>/dev/null
}

nw_has_booted_within() { # SECONDS
  nw_x=
  { read -r nw_x nw_n </proc/uptime; } 2>/dev/null
  nw_x=${nw_x%%.*}
  [ -n "$nw_x" ] && [ "$nw_x" -lt "$1" ]
}

# Starts the job that lies in $nw_job, unless it was started before, and leaves it alone.
nw_start() { # TIMEOUT
  : >"$nw_job/aside"
  if nw_claim "$nw_job/started"; then
    "$nw_setsid" "$nw_sh" -c "$nw_supervisor" nodewright "$nw_job" "$1" "$nw_setsid" "$nw_sh" </dev/null >/dev/null 2>&1 &
  fi
  nw_end started
}

# Starts the job that lies in $nw_job, unless it was started before, and follows it to its end.
nw_apply() { # TIMEOUT BYTES_OF_STDOUT_SEEN BYTES_OF_STDERR_SEEN SECONDS_OF_SILENCE
  nw_stall=$4
  if nw_claim "$nw_job/started"; then
    exec 7<"$nw_job/out" 8<"$nw_job/err"
    nw_show </dev/null &
    nw_shower=$!
    "$nw_setsid" "$nw_sh" -c "$nw_supervisor" nodewright "$nw_job" "$1" "$nw_setsid" "$nw_sh" </dev/null >/dev/null 2>&1 7<&- 8<&-
    if nw_claim "$nw_job/shown"; then kill -KILL $nw_shower; else kill -USR1 $nw_shower; fi 2>/dev/null
    wait $nw_shower 2>/dev/null
  else
    exec 7<"$nw_job/out" 8<"$nw_job/err"
    [ "$2" = 0 ] || dd bs=1 skip="$2" count=0 <&7 2>/dev/null
    [ "$3" = 0 ] || dd bs=1 skip="$3" count=0 <&8 2>/dev/null
    # The supervisor needs a moment from being started to writing its number down.
    nw_n=0 nw_heard=
    while read -r nw_state nw_x <"$nw_job/state" && [ "$nw_state" != end ] && nw_copy; do
      if nw_is_alive "$nw_job"; then nw_n=0; else nw_n=$((nw_n + 1)); fi
      [ $nw_n -lt 25 ] || break
      nw_heed
      { sleep 0.2 || sleep 1; } </dev/null 2>/dev/null
    done
  fi
  nw_copy
  exec 7<&- 8<&-
  nw_state=
  { read -r nw_state <"$nw_job/state"; } 2>/dev/null
  case $nw_state in
    end*) nw_end "$nw_state" ;;
    *) nw_end gone ;;
  esac
}

# The job that was to lie in $nw_job cannot be made: nothing of it stays. Not every shell says that a disk is full.
nw_no_job() { # WHY
  [ -e "$nw_job/started" ] || rm -rf -- "$nw_job"
  nw_x=$(df -P "$nw_jobs" 2>/dev/null | { read -r nw_x; read -r nw_x nw_x nw_x nw_free nw_x; echo "$nw_free"; })
  case $nw_x in [0-9] | [0-9][0-9]) set -- "$@" '(the disk is full: make room there)' ;; esac
  nw_end fail "in $nw_jobs: $*"
}

# How a job stands that nobody follows; what it wrote, if it ended.
nw_look() { # ID
  nw_job=$nw_jobs/$1
  for nw_n in 1 2; do
    nw_state=
    { read -r nw_state <"$nw_job/state"; } 2>/dev/null || { echo gone; return; }
    case $nw_state in
      end*)
        echo "$nw_state $(($(stat -c %Y "$nw_job/state") - $(stat -c %Y "$nw_job/started")))"
        cat "$nw_job/out" && cat "$nw_job/err" >&2
        return ;;
    esac
    # The supervisor needs a moment from being started to having written its number down.
    if [ ! -s "$nw_job/pid" ] || nw_is_alive "$nw_job"; then echo running; return; fi
  done
  echo gone
}

# Jobs of other runs that still go on, and no trace of those of yesterday.
nw_unfinished() {
  [ -n "$nw_jobs" ] || return 0
  for nw_job in "$nw_jobs"/*/; do
    nw_job=${nw_job%/}
    nw_whose= nw_b=
    { read -r nw_whose nw_b <"$nw_job/run"; } 2>/dev/null
    read -r nw_state nw_x 2>/dev/null <"$nw_job/state" || nw_state=
    if [ "$nw_state" = new ] && [ ! -e "$nw_job/aside" ] && [ "$nw_whose" != "$nw_this" ] && [ "$nw_b" = "$nw_boot" ] && nw_is_alive "$nw_job"; then
      printf '%s %s ' "${nw_job##*/}" $(($(date +%s) - $(stat -c %Y "$nw_job/started")))
      cat "$nw_job/title"
      echo
    fi
  done 2>/dev/null
  # Nobody has to wait for the broom.
  nw_sweep </dev/null >/dev/null 2>&1 &
}

nw_sweep() {
  for nw_job in $(
    find "$nw_jobs" -mindepth 1 -maxdepth 1 \( -type d -o -name '*.done' \) -mtime +0
    find /var/tmp -maxdepth 1 -type d -name 'nodewright-in-*' -user "$nw_uid" -mtime +0
  ); do
    nw_is_alive "$nw_job" || rm -rf -- "$nw_job"
  done
}

nw_kill() { # PROCESS_GROUP [DIRECTORY_TO_REMOVE]
  "$nw_setsid" "$nw_sh" -c 'kill -TERM -"$1"; sleep 5; kill -KILL -"$1"; [ -z "$2" ] || rm -rf -- "$2"' nodewright "$1" "$2" </dev/null >/dev/null 2>&1 &
}

nw_kill_job() { # ID [away: with all that it wrote]
  nw_group_of_job=
  { read -r nw_group_of_job <"$nw_jobs/$1/group"; } 2>/dev/null || return 0
  if [ -n "$2" ]; then
    # What is still being written goes on at the beginning of the file.
    : >"$nw_jobs/$1/out"; : >"$nw_jobs/$1/err"
    nw_kill "$nw_group_of_job" "$nw_jobs/$1"
  else
    nw_kill "$nw_group_of_job"
  fi
}
