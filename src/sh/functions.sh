holds='' held=''
say() {
  case $holds:$1 in
    1:*[%\\]*) let_go; printf '%s\0' "$1" ;;
    1:*) held="$held$1\000" ;;
    *) printf '%s\0' "$1" ;;
  esac
}
let_go() { [ -z "$held" ] || printf -- "$held"; held=''; }
look() { if s=$(LC_ALL=C stat $2 -c '%f %u %g %h %i %d %s %X %Y %Z %b %o %t %T|%x|%y|%z|%U|%G' -- "$1" 2>&1); then say "$s"; else say "!$s"; s=''; fi; }
loops() { [ ! -e "$1" ] && case $(LC_ALL=C ls -dL -- "$1" 2>&1) in *'oo many'*) ;; *) false ;; esac; }
real() { if loops "$1"; then printf '%s\n' "$1"; else readlink -f -- "$1"; fi; }
link() { s=$(readlink -n -- "$1" && echo .) && say "${s%.}"; }
sum() { if s=$(LC_ALL=C sha1sum 2>&1 < "$1"); then say "${s%% *}"; else say "!cannot read it"; fi; } 2>/dev/null
number() {
  while IFS=: read -r name x id x; do
    if [ "$name" = "$3" ]; then say "$id"; return; fi
  done < "$1"
  if s=$(getent "$2" "$3" 2>/dev/null); then s=${s#*:}; s=${s#*:}; say "${s%%:*}"; else say ''; fi
}
