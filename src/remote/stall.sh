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
  nw_session= nw_sum=0 nw_all=' ' nw_parents=' ' nw_rest=
  { read -r nw_session <"$nw_job/group"; } 2>/dev/null || return 0
  for nw_p in /proc/[0-9]*/stat; do
    { read -r nw_line <"$nw_p"; } 2>/dev/null || continue
    set -- ${nw_line##*) }
    [ "$1" != Z ] || continue
    nw_p=${nw_p%/stat} nw_x=$((${12} + ${13} + ${14} + ${15}))
    if [ "$4" = "$nw_session" ]; then
      nw_sum=$((nw_sum + nw_x)) nw_all="$nw_all${nw_p#/proc/} " nw_parents="$nw_parents$2 "
    else
      nw_rest="$nw_rest ${nw_p#/proc/}:$2:$nw_x"
    fi
  done
  # What a process of it started in a session of its own (a terminal made for it) is a part of it, too.
  nw_y=again
  while [ -n "$nw_y" ]; do
    set -- $nw_rest
    nw_y= nw_rest=
    for nw_p; do
      nw_x=${nw_p#*:}
      case $nw_all in
        *" ${nw_x%:*} "*)
          nw_sum=$((nw_sum + ${nw_x#*:})) nw_all="$nw_all${nw_p%%:*} " nw_parents="$nw_parents${nw_x%:*} " nw_y=again ;;
        *) nw_rest="$nw_rest $nw_p" ;;
      esac
    done
  done
  if [ "$nw_sum" != "$nw_ticks" ]; then nw_ticks=$nw_sum nw_idle=0; return 0; fi
  nw_idle=$((nw_idle + 1))
  [ $nw_idle = 2 ] || return 0
  # Of those that wait for no other process of the job; who only reads what another is to write comes last.
  nw_p= nw_y=
  for nw_x in $nw_all; do
    case $nw_parents in *" $nw_x "*) continue ;; esac
    nw_y=$nw_x nw_w=
    { read -r nw_w <"/proc/$nw_x/wchan"; } 2>/dev/null
    case $nw_w in *pipe_read* | *pipe_wait*) ;; *) nw_p=$nw_x ;; esac
  done
  nw_p=${nw_p:-$nw_y}
  [ -z "$nw_p" ] || printf '\036%s waits %s\n' "$nw_mark" "$(nw_why_idle 2>/dev/null)" >&2
}

# What the process waits for, as far as the kernel says it.
nw_why_idle() {
  nw_w= nw_name=
  read -r nw_w </proc/$nw_p/wchan
  read -r nw_name </proc/$nw_p/comm
  nw_c=$(tr '\0\n' '  ' </proc/$nw_p/cmdline | head -c 200)
  printf '`%s` (pid %s): no output and no work for %s s' "${nw_c% }" "$nw_p" "$nw_stall"
  case $nw_name in
    apt | apt-get | dpkg | aptitude | unattended-upgr)
      for nw_x in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        nw_i=$(stat -c %i $nw_x) || continue
        while read -r nw_a nw_b nw_x2 nw_x3 nw_h nw_f nw_x4; do
          case "$nw_b $nw_all" in '->'* | *" $nw_h "*) continue ;; esac
          case $nw_f in *":$nw_i") printf '; the lock %s is held by ' $nw_x; nw_holder; return ;; esac
        done </proc/locks
      done ;;
  esac
  nw_i=
  while read -r nw_a nw_b nw_x nw_x nw_x nw_h nw_x; do
    if [ "$nw_b" = '->' ] && [ "$nw_h" = "$nw_p" ]; then nw_i=$nw_a; fi
  done </proc/locks
  [ -z "$nw_i" ] || while read -r nw_a nw_b nw_x nw_x nw_h nw_x; do
    if [ "$nw_a" = "$nw_i" ] && [ "$nw_b" != '->' ]; then printf '; it waits for a lock, held by '; nw_holder; return; fi
  done </proc/locks
  if nw_asks; then printf '; a question of debconf that nobody can answer'; return; fi
  case $nw_w in
    '' | 0) ;;
    *nanosleep*) printf '; it sleeps' ;;
    *pipe_read* | *pipe_wait* | *unix_stream_read*) printf '; it waits for what another program writes'; nw_read_from $nw_p && printf ' to %s' "$nw_y" ;;
    *wait_for_partner*) printf '; it waits for another program to open the other end of a named pipe' ;;
    *pipe_write*) printf '; it waits for another program to read what it writes' ;;
    *tty_read* | wait_woken)
      nw_read_from $nw_p
      case $nw_w:$nw_y in
        *tty_read* | */dev/pts/* | */dev/tty* | */dev/console) printf '; it waits for somebody to type something' ;;
        *) printf '; it waits for the network' ;;
      esac ;;
    *sk_wait* | *wait_for_connect* | *_recvmsg* | *skb_wait* | *inet_csk*) printf '; it waits for the network' ;;
    *) printf '; the kernel has it in %s' "$nw_w" ;;
  esac
}

# Who has the lock; one of an open file is nobody's.
nw_holder() {
  nw_c=
  { read -r nw_c </proc/$nw_h/comm; } 2>/dev/null
  if [ -n "$nw_c" ]; then printf '`%s` (pid %s)' "$nw_c" "$nw_h"; else printf 'another process'; fi
}

# Which file a process waits to read from. Without the right to know, or where it does not read, none.
nw_read_from() { # PID
  nw_x= nw_b= nw_y=
  { read -r nw_x nw_b nw_y </proc/$1/syscall; } 2>/dev/null
  case $nw_b in 0x?*) nw_y=$(readlink /proc/$1/fd/$((nw_b))) ;; *) return 1 ;; esac
  [ -n "$nw_y" ]
}

# Whether debconf waits for an answer: by a dialog, or by reading its own standard input. (What the package's script says comes from elsewhere.)
nw_asks() {
  case $nw_name in whiptail | dialog) return ;; esac
  for nw_x in $nw_all; do
    case $(tr '\0' ' ' </proc/$nw_x/cmdline) in *'/debconf/frontend '*) ;; *) continue ;; esac
    nw_w2= nw_b=
    read -r nw_w2 </proc/$nw_x/wchan
    read -r nw_a nw_b nw_x2 </proc/$nw_x/syscall
    case "$nw_w2 $nw_b" in *_read*' 0x0' | 'wait_woken 0x0') return ;; esac
  done
  return 1
}
