# $1 the job's directory, $2 seconds until it is killed or 0, $3 setsid, $4 sh. In a session of its own, above the job's.
trap : HUP INT TERM
echo $$ >"$1/pid"
nw_in=/dev/null
if [ -e "$1/in" ]; then nw_in=$1/in; fi
if [ -e "$1/spool" ]; then read -r nw_in <"$1/spool"; fi
exec 3<"$nw_in" || exit
nw_sum=
case $nw_in in
  /var/tmp/nodewright-in-*/in)
    read -r nw_sum nw_x <"${nw_in%/in}/sum"
    rm -rf "${nw_in%/in}" ;;
esac
if [ "$2" != 0 ]; then
  "$3" "$4" -c 'sleep "$2"; : >"$1/late"; read -r g <"$1/group"; kill -TERM -"$g"; sleep 5; kill -KILL -"$g"' nodewright "$1" "$2" 3<&- &
  nw_watch=$!
fi
# A shell says "Killed" to the stderr it gave a command; from a subshell it says it to ours.
( exec "$3" "$4" -c 'echo $$ >"$1/group"; [ ! -e "$1/env" ] || . "$1/env"; nw=$1/script nw_in_sum=$2; shift 2; . "$nw"' /bin/sh "$1" "$nw_sum" <&3 3<&- >>"$1/out" 2>>"$1/err" )
nw_rc=$?
nw_late=in-time
if [ -e "$1/late" ]; then nw_late=late; elif [ "$2" != 0 ]; then kill -KILL -"$nw_watch"; fi
# Over what is there already, in one write: a full disk cannot stop it and nobody reads half of it.
printf '%-31s\n' "end $nw_rc $nw_late" 1<>"$1/state"
