//! The script of `uri`: one request after another along the redirections, and then the file of `dest`. What it says is read by `answer`.

use super::super::attributes::{Mode, Wanted};
use super::super::write_file::CLEANING;
use super::body::Body;
use super::request::Request;
use crate::module::{Args, Failure};
use crate::sh::{quote, words};

pub fn text(args: &Args, request: &Request, uid: Option<u32>, gid: Option<u32>) -> Result<String, Failure> {
    let set = |name: &str, value: &str| format!("{name}={}\n", quote(value));
    let flag = |is: bool| if is { "1" } else { "" };
    let follows = match args.required("follow_redirects")? {
        "yes" => "all",
        "no" => "none",
        word => word,
    };
    let codes = args.list("status_code").unwrap_or_default().join(" ");
    let mut text = format!("m=$(umask)\n{CLEANING}");
    text += &set("method", &request.method);
    text += &set("follows", follows);
    text += &set("codes", &format!(" {codes} "));
    text += &set("wants_content", flag(args.is("return_content")));
    text += &set("force", flag(args.is("force")));
    text += &set("decompress", flag(args.is("decompress")));
    text += &set("socket", flag(args.has("unix_socket")));
    text += &match args.str("dest") {
        Some(dest) => format!("dest={}\n", words::on_host(dest)),
        None => "dest=''\n".to_owned(),
    };
    text += match &request.body {
        Body::None => "sends=''\n",
        Body::Bytes(_) | Body::OnHost(_) => "sends=1\n",
    };
    text += "x=$(mktemp -d) || exit 1\n";
    text += RECEIVE;
    match &request.body {
        Body::None => {}
        Body::Bytes(_) => text += "cat > \"$x/body\" || exit 1\n",
        Body::OnHost(path) => {
            let path = words::on_host(path);
            text += &format!("b={path}\ncat -- \"$b\" > \"$x/body\" || {{ say unreadable; say \"$b\"; exit 0; }}\n");
        }
    }
    text += ASK;
    if args.has("dest") {
        text += SAVE;
        if let Some(uid) = uid {
            text += &format!("chown -h {uid} -- \"$p\" || exit 1\n");
        }
        if let Some(gid) = gid {
            text += &format!("chgrp -h {gid} -- \"$p\" || exit 1\n");
        }
        match Wanted::of(args)?.mode {
            Some(Mode::Octal(mode)) => text += &format!("chmod {mode:05o} -- \"$p\" || exit 1\n"),
            Some(Mode::Symbolic(mode)) => text += &format!("chmod -- {} \"$p\" || exit 1\n", quote(&mode)),
            Some(Mode::Preserve) => return Err(Failure::argument("mode", "mode must be in octal or symbolic form")),
            None => {}
        }
        text += "look \"$p\"\n";
    }
    Ok(text)
}

const RECEIVE: &str = r#"part() { while IFS= read -r line && [ "$line" != '%end%' ]; do printf '%s\n' "$line"; done > "$x/$1"; }
for name in curl curl.user curl.first curl.body curl.always wget wget.user wget.first wget.body wget.always url; do part $name; done
IFS= read -r url < "$x/url"
"#;

/// Says the tool's failure (nothing if there was none), status, last address, headers of every answer, and content if it is wanted.
const ASK: &str = r#"since=''
if [ -n "$dest" ] && [ -f "$dest" ] && [ -z "$force" ]; then since=$(LC_ALL=C date -u -r "$dest" '+%a, %d %b %Y %H:%M:%S GMT'); fi
origin_of() { s=${1#*://}; printf '%s' "${1%%://*}://${s%%[/?#]*}"; }
first=$(origin_of "$url")
if command -v curl > /dev/null; then tool=curl
elif command -v wget > /dev/null && wget --version > /dev/null 2>&1 && [ -z "$socket" ]; then tool=wget
else say 'curl'; exit 0; fi
config() {
  cat "$x/$tool" "$x/$tool.always"
  if [ $hop -eq 0 ]; then cat "$x/$tool.first"; fi
  if [ -n "$sends" ] || [ $hop -eq 0 ]; then cat "$x/$tool.body"; fi
  if [ "$(origin_of "$url")" = "$first" ]; then cat "$x/$tool.user"; fi
}
with_curl() {
  { config
    [ -z "$since" ] || printf 'header = "If-Modified-Since: %s"\n' "$since"
    if [ "$method" = HEAD ]; then echo head; else printf 'request = "%s"\n' "$method"; fi
    [ -z "$sends" ] || printf 'data-binary = "@%s"\n' "$x/body"
    printf 'cookie = "%s"\ncookie-jar = "%s"\n' "$x/jar" "$x/jar"
  } > "$x/config"
  # The address itself may have characters that mean something to curl.
  { printf 'globoff\nurl = "'; printf '%s' "$url" | sed 's/\\/\\\\/g; s/"/\\"/g'; printf '"\n'; } >> "$x/config"
  code=$(curl -q -K "$x/config" -D "$x/hop" -o "$x/content" -w '%{http_code}' 2> "$x/said")
  r=$?
}
with_wget() {
  { config; [ -z "$since" ] || printf 'header = If-Modified-Since: %s\n' "$since"; } | sed '/^header = [^:]*[:;]$/d' > "$x/config"
  set -- -nv -S -O "$x/content" --method="$method" --save-cookies="$x/jar" --load-cookies="$x/jar" --keep-session-cookies
  [ -z "$sends" ] || set -- "$@" --body-file="$x/body"
  : >> "$x/jar"
  printf '%s\n' "$url" > "$x/url"
  WGETRC=$x/config wget "$@" -i "$x/url" 2> "$x/said"
  r=$?
  sed -n 's/^  //p' "$x/said" > "$x/hop"
  code=$(sed -n 's/^HTTP\/[0-9.]* \([0-9]*\).*/\1/p' "$x/hop" | tail -n 1)
  [ -z "$code" ] || r=0
  if [ -n "$decompress" ] && grep -qi '^Content-Encoding: *gzip' "$x/hop" && gzip -dc < "$x/content" > "$x/plain" 2> /dev/null; then mv "$x/plain" "$x/content"; fi
}
next_url() {
  location=$(tr -d '\r' < "$x/hop" | sed -n 's/^[Ll][Oo][Cc][Aa][Tt][Ii][Oo][Nn]: *//p' | tail -n 1 | sed 's/ /%20/g')
  case $location in
  '') return 1 ;;
  *://*) ;;
  //*) location=${url%%://*}:$location ;;
  /*) location=$(origin_of "$url")$location ;;
  *) s=${url%%[?#]*}; case ${s#*://} in */*) location=${s%/*}/$location ;; *) location=$s/$location ;; esac ;;
  esac
}
follow() {
  case $follows in
  none) return 1 ;;
  safe) case $method in GET | HEAD) ;; *) return 1 ;; esac ;;
  urllib2) case $method in GET | HEAD) ;; POST) case $code in 307 | 308) return 1 ;; esac ;; *) return 1 ;; esac ;;
  esac
  next_url || return 1
  case $code in
  307 | 308) ;;
  *)
    sends=''
    case $code:$method in *:HEAD) ;; 302:* | 303:* | 301:POST) method=GET ;; esac ;;
  esac
  url=$location hop=$((hop + 1))
}
hop=0
: > "$x/headers"
while :; do
  : > "$x/content"; : > "$x/hop"
  with_$tool
  [ $r -eq 0 ] || break
  cat "$x/hop" >> "$x/headers"
  case $code in 301 | 302 | 303 | 307 | 308) ;; *) break ;; esac
  if [ $hop -ge 10 ]; then break; fi
  follow || break
done
say "$tool"; say "$r"; say "$(cat "$x/said")"; say "$code"; say "$url"; say "$hop"; cat "$x/headers"; say ''
type=$(tr -d '\r' < "$x/hop" | sed -n 's/^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Tt][Yy][Pp][Ee]: *\([^;]*\).*/\1/p' | tail -n 1)
good=''
case $codes in *" $code "*) good=1 ;; esac
sent=$wants_content
if [ -z "$good" ] || [ "${code:-0}" -ge 300 ]; then sent=1; fi
case $type in *json* | *JSON* | *javascript*) sent=1 ;; esac
if [ -n "$sent" ]; then LC_ALL=C wc -c < "$x/content" | tr -dc 0-9; say ''; cat "$x/content"; else say none; fi
[ $r -eq 0 ] || exit 0
"#;

/// Puts the content at `dest`, or at the name in that folder which the server or the address gives it.
const SAVE: &str = r#"p=$dest
if [ -d "$dest" ]; then
  name=$(tr -d '\r' < "$x/hop" | sed -n 's/^[Cc]ontent-[Dd]isposition:.*filename="\([^"]*\)".*/\1/p; s/^[Cc]ontent-[Dd]isposition:.*filename=\([^";]*\).*/\1/p' | tail -n 1)
  if [ -z "$name" ]; then
    name=${url#*://}
    case $name in */*) name=/${name#*/}; name=${name%%[?#]*}; name=${name%/} ;; *) name='' ;; esac
    name=${name##*/}
    rest=$name name=''
    while :; do
      case $rest in
      *%*)
        name=$name${rest%%\%*} rest=${rest#*%}
        case $rest in
        [0-9A-Fa-f][0-9A-Fa-f]*) name=$name$(printf "\\$(printf %o "0x${rest%"${rest#??}"}")") rest=${rest#??} ;;
        *) name=$name% ;;
        esac ;;
      *) name=$name$rest; break ;;
      esac
    done
  fi
  name=${name##*/}
  case $name in '' | . | ..) name=index.html ;; esac
  p=${dest%/}/$name
fi
say "$p"
if [ -z "$good" ] || [ "$code" = 304 ]; then say ''; if [ -e "$p" ]; then look "$p"; fi; exit 0; fi
say saved
if [ ! -f "$p" ] || ! cmp -s -- "$x/content" "$p"; then
  case $p in */*) folder=${p%/*}/ ;; *) folder=./ ;; esac
  sweep "$folder"
  t=$(mktemp -- "${folder}.nodewright.XXXXXX") || exit 1
  cat -- "$x/content" > "$t" || exit 1
  if [ -f "$p" ]; then
    s=$(stat -L -c '%u:%g %a' -- "$p") || exit 1
    chown "${s% *}" -- "$t" 2> /dev/null || :
    chmod "${s#* }" -- "$t" || exit 1
  else
    chmod "$(printf '%o' $((0666 & ~0$m)))" -- "$t" || exit 1
  fi
  into_place "$t" "$p" || exit 1
  t=''
fi
"#;
