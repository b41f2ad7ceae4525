# Looks after a job from which nothing is heard. Called again and again while one runs; says which process it is that does nothing.
nw_heed() {
  [ "$nw_stall" != 0 ] || return 0
  nw_up= nw_a= nw_b=
  { read -r nw_up nw_x </proc/uptime; read -r nw_x nw_a </proc/self/fdinfo/7; read -r nw_x nw_b </proc/self/fdinfo/8; } 2>/dev/null
  nw_up=${nw_up%%.*}
  if [ -z "$nw_b" ]; then nw_stall=0
  elif [ "$nw_a $nw_b" != "$nw_heard" ]; then nw_heard="$nw_a $nw_b" nw_looked=$nw_up nw_idle=0 nw_ticks=
  elif [ $((nw_up - nw_looked)) -ge $(((nw_stall + 1) / 2)) ]; then nw_looked=$nw_up; nw_ponder </dev/null
  fi
}

# Whether the job's processes have used the processor since this was looked at before.
nw_ponder() {
  nw_session= nw_sum=0 nw_all=' ' nw_parents=' '
  { read -r nw_session <"$nw_job/group"; } 2>/dev/null || return 0
  for nw_p in /proc/[0-9]*/stat; do
    { read -r nw_line <"$nw_p"; } 2>/dev/null || continue
    set -- ${nw_line##*) }
    [ "$4" = "$nw_session" ] || continue
    nw_sum=$((nw_sum + ${12} + ${13} + ${14} + ${15}))
    nw_p=${nw_p%/stat}
    nw_all="$nw_all${nw_p#/proc/} " nw_parents="$nw_parents$2 "
  done
  if [ "$nw_sum" != "$nw_ticks" ]; then nw_ticks=$nw_sum nw_idle=0; return 0; fi
  nw_idle=$((nw_idle + 1))
  [ $nw_idle = 2 ] || return 0
  nw_p=
  for nw_x in $nw_all; do
    case $nw_parents in *" $nw_x "*) ;; *) nw_p=$nw_x ;; esac
  done
  [ -z "$nw_p" ] || printf '\036%s waits %s\n' "$nw_mark" "$(nw_why_idle 2>/dev/null)" >&2
}

# What the process waits for, as far as the kernel says it.
nw_why_idle() {
  nw_w=
  read -r nw_w </proc/$nw_p/wchan
  nw_c=$(tr '\0\n' '  ' </proc/$nw_p/cmdline | head -c 200)
  read -r nw_name </proc/$nw_p/comm
  printf '`%s` (pid %s): no output and no work for %s s' "${nw_c% }" "$nw_p" "$nw_stall"
  case $(tr '\0' ' ' </proc/$nw_p/cmdline) in *debconf*) nw_name=whiptail ;; esac
  case $nw_name in
    whiptail | dialog) printf '; a question of debconf that nobody can answer'; return ;;
    apt | apt-get | dpkg | aptitude | unattended-upgr)
      for nw_x in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        nw_i=$(stat -c %i $nw_x) || continue
        while read -r nw_a nw_b nw_x2 nw_x3 nw_h nw_f nw_x4; do
          case "$nw_b $nw_all" in '->'* | *" $nw_h "*) continue ;; esac
          case $nw_f in *":$nw_i") read -r nw_c </proc/$nw_h/comm; printf '; the lock %s is held by `%s` (pid %s)' $nw_x "$nw_c" "$nw_h"; return ;; esac
        done </proc/locks
      done ;;
  esac
  nw_i=
  while read -r nw_a nw_b nw_x nw_x nw_x nw_h nw_x; do
    if [ "$nw_b" = '->' ] && [ "$nw_h" = "$nw_p" ]; then nw_i=$nw_a; fi
  done </proc/locks
  [ -z "$nw_i" ] || while read -r nw_a nw_b nw_x nw_x nw_h nw_x; do
    if [ "$nw_a" = "$nw_i" ] && [ "$nw_b" != '->' ]; then
      read -r nw_c </proc/$nw_h/comm
      printf '; it waits for a lock that `%s` (pid %s) holds' "$nw_c" "$nw_h"; return
    fi
  done </proc/locks
  case $nw_w in
    '' | 0) ;;
    *nanosleep*) printf '; it sleeps' ;;
    *pipe_read* | *pipe_wait* | wait_for_partner) printf '; it waits for what another program writes (%s)' "$(readlink /proc/$nw_p/fd/0)" ;;
    *tty_read*) printf '; it waits for somebody to type something' ;;
    *sk_wait* | *wait_for_connect* | *_recvmsg* | *skb_wait* | *inet_csk*) printf '; it waits for the network' ;;
    *) printf '; the kernel has it in %s' "$nw_w" ;;
  esac
}
