//! The script of `unarchive`: finds the tool that can read the archive, compares, unpacks and sets attributes. It says `no` and a reason, `skipped`, or
//! what `unarchive::report` reads.

use super::super::attributes::{Mode, Wanted};
use super::super::get_url::{DOWNLOAD, file_name};
use super::super::write_file::CLEANING;
use crate::module::{Args, Failure};
use crate::sh::{quote, quote_all};

/// How far the script goes.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    Compare,
    Unpack,
}

/// The numbers of the owners that were asked for.
#[derive(Default)]
pub struct Owners {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// Lines that download to `$a`.
pub fn download(url: &str) -> String {
    let shown = quote(&format!("Failure downloading {url}, ")).into_owned();
    format!("{DOWNLOAD}receive\na=$x/{}\ndownload \"$a\" > /dev/null || no {shown}\"$(cat \"$x/said\")\"\n", quote(file_name(url)))
}

/// The script after [`super::FUNCTIONS`] and `d=`; `fetch` makes `$a` the archive.
pub fn text(args: &Args, fetch: &str, part: Part, owners: &Owners) -> Result<String, Failure> {
    let list = |name| args.list(name).unwrap_or_default();
    let (include, exclude, opts) = (quote_all(list("include")), list("exclude"), list("extra_opts"));
    let is_absolute =
        |word: &String| word == "--absolute-names" || (word.starts_with('-') && !word.starts_with("--") && word.contains('P'));
    let with_opts = if opts.is_empty() { String::new() } else { format!("--show-transformed-names {}", quote_all(&opts)) };
    let tar_exclude = quote_all(exclude.iter().map(|path| format!("--exclude={}", path.trim_end_matches('/'))));
    let zip_exclude = if exclude.is_empty() { String::new() } else { format!("-x {}", quote_all(&exclude)) };
    let keep_newer = args.is("keep_newer");
    let set = |name: &str, value: &str| format!("{name}={}\n", quote(value));
    let mode = Wanted::of(args)?.mode;
    let octal = match &mode {
        Some(Mode::Octal(mode)) => format!("{mode:o}"),
        Some(_) => "any".to_owned(),
        None => String::new(),
    };
    let id = |id: Option<u32>| id.map_or_else(String::new, |id| id.to_string());
    let mut text = format!(
        "m=$(umask)\n{CLEANING}no() {{ say no; say \"$1\"; exit 0; }}\nx=$(mktemp -d) || exit 1\n{fetch}umask \"$m\"\n\
         case $d in /*) ;; *) d=$PWD/$d ;; esac\ncase $a in /*) ;; *) a=$PWD/$a ;; esac\n"
    );
    text += &set("may_be_absolute", if opts.iter().any(is_absolute) { "1" } else { "" });
    text += &set("checks", if part == Part::Compare { "1" } else { "" });
    text += &set("newer", if keep_newer { "1" } else { "" });
    text += &set("wants_mode", &octal);
    text += &set("wants_uid", &id(owners.uid));
    text += &set("wants_gid", &id(owners.gid));
    text += &set("wants_owner", args.str("owner").unwrap_or_default());
    text += &set("wants_group", args.str("group").unwrap_or_default());
    let keep = if keep_newer { "--keep-newer-files" } else { "" };
    text += &format!(
        "tar_words() {{ set -- \"$T\" \"$1\" -C \"$d\" $zip {with_opts} ${{keep:+{keep}}} {tar_exclude} -f \"$a\" {include}; called \"$@\"; }}\n\
         unzip_words() {{ set -- \"$U\" -o ${{newer:+-u}} {zip_opts} \"$a\" {zip_exclude} {include} -d \"$1\"; called \"$@\"; }}\n\
         zip_names() {{ unzip -Z1 \"$a\" {include} {zip_exclude}; }}\n",
        zip_opts = quote_all(&opts),
    );
    text += BODY;
    if part == Part::Unpack {
        text += &attributes(mode.as_ref(), owners);
    }
    text += "say \"$fixed\"\nlook \"$d\" -L\n";
    if args.is("list_files") {
        text += "cat \"$x/names\"\n";
    }
    Ok(text)
}

/// `called WORDS` runs them with their output in files, and remembers them if `$keeps_words`.
///
/// The archive's names come one to a line: a name with a line break is not among those whose attributes are set.
const BODY: &str = r#"[ -e "$a" ] || no "Source '$a' does not exist"
[ -r "$a" ] || no "Source '$a' not readable"
[ -s "$a" ] || no "Invalid archive '$a', the file is 0 bytes"
cd "$d" || exit 1
LC_ALL=C; export LC_ALL
called() {
  if [ -n "$keeps_words" ]; then n_words=$#; printf '%s\0' "$@" > "$x/words"; fi
  "$@" > "$x/out" 2> "$x/err" < /dev/null
}
why='' handler='' zip='' keep='' keeps_words='' differs='' differences='' fixed=''
because() { case "
$why
" in *"
$1
"*) ;; *) why="$why
$1" ;; esac; }
find_handler() {
  if ! U=$(command -v unzip); then because "Unable to find required 'unzip' binary in the path."
  elif called unzip -l "$a"; then handler=ZipArchive; return
  else because "Command \"unzip\" could not handle archive: $(cat "$x/err")"; fi
  if [ -n "$checks" ]; then say skipped; exit 0; fi
  T=$(command -v gtar || command -v tar) || { because "Unable to find required 'gtar' or 'tar' binary in the path"; return; }
  case $("$T" --version 2> /dev/null) in tar*GNU*) ;; *) because "Command \"$T\" is not GNU tar. GNU tar required."; return ;; esac
  for pair in TgzArchive:-z TarArchive: TarBzipArchive:-j TarXzArchive:-J TarZstdArchive:--use-compress-program=zstd; do
    zip=${pair#*:}
    if ! tar_words --list; then because "Command \"$T\" could not handle archive: Unable to list files in the archive: $(cat "$x/err")"
    elif [ ! -s "$x/out" ]; then because "Command \"$T\" found no files in archive. Empty archive files are not supported."
    else handler=${pair%%:*}; return; fi
  done
}
find_handler
[ -n "$handler" ] || no "Failed to find handler for \"$a\". Make sure the required command to extract the file is installed.$why"
if [ "$handler" = ZipArchive ]; then
  zip_names > "$x/names" 2> "$x/err" || [ -s "$x/names" ] || no "Unable to list files in the archive: $(cat "$x/err")"
else
  TAR_OPTIONS=--quoting-style=literal; export TAR_OPTIONS
  tar_words --list; mv "$x/out" "$x/names"
  unset TAR_OPTIONS
fi
# Whether a folder on the way to $1 is a link that leads out of $d; $clear is the folder that was last found not to be.
root=$(pwd -P) clear=''
leads_out() {
  case $1 in */*) ;; *) return 1 ;; esac
  [ "${1%/*}" != "$clear" ] || return 1
  rest=${1%/*}/ way=''
  while [ -n "$rest" ]; do
    way=$way${rest%%/*}/ rest=${rest#*/}
    if [ -L "${way%/}" ]; then
      case $(cd -- "$way" 2> /dev/null && pwd -P)/ in "${root%/}"/* | /) ;; *) return 0 ;; esac
    fi
  done
  clear=${1%/*}
  return 1
}
while IFS= read -r n; do
  if leads_out "./${n#/}"; then no "the archive's member \`$n\` would land outside of $d: a folder on its way is a link"; fi
  case /$n/ in */../*) no "the archive's member \`$n\` would land outside of $d" ;; esac
  case $n in /*) [ -z "$may_be_absolute" ] || no "the archive's member \`$n\` would land outside of $d" ;; esac
done < "$x/names"
uid=$(id -u)
compare_tar() {
  keep=$newer
  tar_words --diff
  while IFS= read -r line; do
    case $line in
    *': : Warning: Cannot stat: No such file or directory') ;;
    *': Uid differs') [ "$uid" != 0 ] || [ -n "$wants_owner" ] || differs=1 ;;
    *': Gid differs') [ "$uid" != 0 ] || [ -n "$wants_group" ] || differs=1 ;;
    *': Mode differs') [ -n "$wants_mode" ] || differs=1 ;;
    *': Mod time differs' | *': Warning: Cannot stat: No such file or directory' | *': Invalid owner'* | *': Invalid group'* | \
    *': Symlink differs' | *': Contents differ' | *': Size differs') differs=1 ;;
    esac
  done << END
$(cat "$x/out" "$x/err")
END
}
item() { differs=1; printf '%s %s %s\n' "$number" "$1" "$n" >> "$x/items"; }
in_order() { differences=$(sort -n "$x/items" | sed 's/^[0-9]* //'; echo .); differences=${differences%.}; }
compare_zip() {
  mkdir "$x/new" || exit 1
  umask "$m"
  unzip_words "$x/new" || { r=$?; [ $r -eq 1 ] || no "failed to unpack $a: $(cat "$x/out" "$x/err")"; }
  : > "$x/both"; : > "$x/items"
  number=0
  while IFS= read -r n; do
    n=${n#/} f=f number=$((number + 1))
    p=$d/${n%/} q=$x/new/${n%/}
    if [ -L "$q" ]; then f=L; elif [ -d "$q" ]; then f=d; elif [ ! -e "$q" ]; then continue; fi
    if [ ! -L "$p" ] && [ ! -e "$p" ]; then item ">$f++++++.??"
    elif [ $f = L ] && [ ! -L "$p" ]; then item "c$f++++++.??"
    elif [ $f = d ] && { [ -L "$p" ] || [ ! -d "$p" ]; }; then item "c$f++++++.??"
    elif [ $f = f ] && { [ -L "$p" ] || [ ! -f "$p" ]; }; then item "c$f++++++.??"
    else printf '%s\n' "$n" >> "$x/both"; echo "$number" >> "$x/numbers"; fi
  done < "$x/names"
  [ -s "$x/both" ] || { in_order; return; }
  # The names have neither line breaks nor NULs, and stat answers in their order.
  (cd "$x/new" && tr '\n' '\0' < "$x/both" | xargs -0 stat -c '%a %Y %s' --) > "$x/stat.new" || exit 1
  (cd "$d" && tr '\n' '\0' < "$x/both" | xargs -0 stat -c '%a %Y %s %u %g' --) > "$x/stat.old" || exit 1
  want_uid=${wants_uid:-$uid} want_gid=${wants_gid:-$(id -g)}
  while IFS= read -r n <&3 && read -r number <&6 && read -r new_mode new_time new_size <&4 && read -r mode time size owner group <&5; do
    p=$d/${n%/} q=$x/new/${n%/} f=f c=. s=. t=. w=. o=.
    if [ -L "$q" ]; then f=L; elif [ -d "$q" ]; then f=d; fi
    if [ $f = f ]; then
      if [ -n "$newer" ]; then
        [ "$new_time" -ge "$time" ] || continue
        [ "$new_time" -eq "$time" ] || t=t
      elif [ "$new_time" -ne "$time" ]; then t=t; fi
      if [ "$new_size" -ne "$size" ]; then s=s c=c; elif ! cmp -s -- "$q" "$p"; then c=c; fi
    elif [ $f = L ] && [ "$(readlink -- "$p")" != "$(readlink -- "$q")" ]; then c=c; fi
    if [ $f != L ] && [ "$wants_mode" != any ] && [ "${wants_mode:-$new_mode}" != "$mode" ]; then w=p; fi
    [ "$owner" = "$want_uid" ] || o=o
    [ "$group" = "$want_gid" ] || o=g
    [ "$c$s$t$w$o" = ..... ] || item ".$f$c$s$t$w$o..??"
  done 3< "$x/both" 4< "$x/stat.new" 5< "$x/stat.old" 6< "$x/numbers"
  in_order
}
if [ "$handler" = ZipArchive ]; then compare_zip; else compare_tar; fi
say ok; say "$handler"; say "$differs"; say "$differences"
if [ -n "$differs" ] && [ -z "$checks" ]; then
  umask "$m"; keeps_words=1 keep=$newer
  if [ "$handler" = ZipArchive ]; then unzip_words "$d"; else tar_words --extract; fi
  r=$?
  say "$r"; cat "$x/out"; say ''; cat "$x/err"; say ''; say "$n_words"; cat "$x/words"
  if [ $r -ne 0 ]; then say ''; look "$d" -L; exit 0; fi
else
  say ''
fi
"#;

/// Sets what was asked for on everything that the archive has, and on the folders at its top.
fn attributes(mode: Option<&Mode>, owners: &Owners) -> String {
    let mode = match mode {
        Some(Mode::Octal(mode)) => format!("{mode:05o}"),
        Some(Mode::Symbolic(text)) => text.clone(),
        Some(Mode::Preserve) | None => String::new(),
    };
    let mut text = String::new();
    if mode.is_empty() && owners.uid.is_none() && owners.gid.is_none() {
        return text;
    }
    text += r#": > "$x/all"; : > "$x/files"
while IFS= read -r n; do
  n=${n#/}
  for p in "$d/$n" "$d/${n%%/*}"; do
    if [ -L "$p" ]; then printf '%s\0' "$p" >> "$x/all"; elif [ -e "$p" ]; then printf '%s\0' "$p" >> "$x/all"; printf '%s\0' "$p" >> "$x/files"; fi
  done
done < "$x/names"
states() { xargs -0 stat -c '%f %u %g' -- < "$x/all"; }
if [ -s "$x/all" ]; then
before=$(states) || exit 1
"#;
    for (which, change, id) in [("user", "chown", owners.uid), ("group", "chgrp", owners.gid)] {
        if let Some(id) = id {
            // Whoever has it already keeps setuid and setgid, which a change of owner clears.
            text += &format!(
                "xargs -0 sh -c 'find \"$@\" -maxdepth 0 ! -{which} {id} -exec {change} -h {id} {{}} +' sh < \"$x/all\" || exit 1\n"
            );
        }
    }
    if !mode.is_empty() {
        text += &format!("[ ! -s \"$x/files\" ] || xargs -0 chmod -- {} < \"$x/files\" || exit 1\n", quote(&mode));
    }
    text += "after=$(states) || exit 1\n[ \"$before\" = \"$after\" ] || fixed=1\nfi\n";
    text
}
