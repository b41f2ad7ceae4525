//! The script of `git`. It tells pairs of a word and a text, which `git::outcome` reads; `failed` is among them where it gave up.

use crate::module::{Args, Failure};
use crate::sh::{quote, quote_all, words};

/// The script after the shell functions of `look`; `$m` is the host's umask.
pub fn text(args: &Args, check_mode: bool, diff_mode: bool) -> Result<String, Failure> {
    let flag = |name: &str, is: bool| format!("{name}={}\n", if is { "1" } else { "" });
    let path = |name: &str| args.str(name).map_or_else(|| "''".to_owned(), words::on_host);
    let word = |name: &str| quote(args.str(name).unwrap_or_default()).into_owned();
    let repo = args.required("repo")?;
    let umask = args.str("umask").map_or_else(|| "\"$m\"".to_owned(), |mask| quote(mask).into_owned());
    let mut text = format!("x=$(mktemp -d) || exit 1\numask {umask}\n");
    text += &format!("repo={}\n", if repo.starts_with('~') { words::on_host(repo) } else { quote(repo).into_owned() });
    for name in ["dest", "separate_git_dir", "archive", "key_file", "executable"] {
        text += &format!("{name}={}\n", path(name));
    }
    for name in ["version", "remote", "refspec", "reference", "archive_prefix", "ssh_opts"] {
        text += &format!("{name}={}\n", word(name));
    }
    text += &format!("depth={}\n", args.int("depth").filter(|depth| *depth > 0).map_or_else(String::new, |depth| depth.to_string()));
    for name in [
        "force",
        "clone",
        "update",
        "bare",
        "recursive",
        "single_branch",
        "track_submodules",
        "verify_commit",
        "accept_hostkey",
        "accept_newhostkey",
    ] {
        text += &flag(name, args.is(name));
    }
    text += &flag("check", check_mode);
    text += &flag("diff", diff_mode);
    text += &format!("allowed={}\n", quote(&quote_all(args.list("gpg_allowlist").unwrap_or_default())));
    text += BEGIN;
    text += REMOTE;
    text += CLONE;
    text += FETCH;
    text += SWITCH;
    text += SUBMODULES;
    text += END;
    Ok(text)
}

/// `g` runs git in `dest` with its words in files; `must` gives up if it fails.
const BEGIN: &str = r#"LC_ALL=C LANGUAGE=C GIT_TERMINAL_PROMPT=0; export LC_ALL LANGUAGE GIT_TERMINAL_PROMPT
tell() { say "$1"; say "$2"; }
fail() { tell failed 1; tell msg "$1"; exit 0; }
fail_with() { tell rc "$r"; tell stdout "$(cat "$x/out")"; tell stderr "$(cat "$x/err")"; fail "$1"; }
git=${executable:-$(command -v git)}
[ -n "$git" ] || fail 'Failed to find required executable "git" in paths: '"$PATH"
here=.
g() { (cd "$here" && exec "$git" "$@") > "$x/out" 2> "$x/err" < /dev/null; r=$?; return $r; }
must() { g "$@" || { tell cmd "$git $*"; fail_with "$(cat "$x/err")"; }; }
case $repo in /*) repo=file://$repo ;; esac
opts=$GIT_SSH_OPTS${ssh_opts:+ $ssh_opts}
if [ -n "$accept_hostkey" ]; then case $opts in *StrictHostKeyChecking=no* | *StrictHostKeyChecking=accept-new*) ;; *) opts="$opts -o StrictHostKeyChecking=no" ;; esac; fi
if [ -n "$accept_newhostkey" ]; then
  command -v ssh > /dev/null || fail 'Remote host is missing ssh command, so you cannot use acceptnewhostkey option.'
  if ! ssh -o StrictHostKeyChecking=accept-new -V 2> /dev/null; then
    tell warning 'Your ssh client does not support accept_newhostkey option, therefore it cannot be used.'
  else case $opts in *StrictHostKeyChecking=no* | *StrictHostKeyChecking=accept-new*) ;; *) opts="$opts -o StrictHostKeyChecking=accept-new" ;; esac; fi
fi
case $opts in *BatchMode=yes*) ;; *) opts="$opts -o BatchMode=yes" ;; esac
if [ -n "$key_file" ]; then opts="$opts -i $key_file -o IdentitiesOnly=yes"; fi
GIT_SSH_COMMAND="${GIT_SSH:-${GIT_SSH_COMMAND:-ssh}} $opts"; export GIT_SSH_COMMAND
unset GIT_SSH
case $dest in '' | /*) ;; *) dest=$PWD/$dest ;; esac
repo_path=$dest/.git
if [ -n "$bare" ]; then repo_path=$dest; fi
if [ -f "$repo_path" ]; then
  IFS= read -r s < "$repo_path"
  case $s in
  'gitdir: /'*) repo_path=${s#gitdir: } ;;
  'gitdir: '*) repo_path=$dest/${s#gitdir: } ;;
  esac
  [ -d "$repo_path" ] || fail 'Current repo does not have a valid reference to a separate Git dir or it refers to the invalid path'
fi
moved=''
if [ -n "$separate_git_dir" ]; then
  separate_git_dir=$(readlink -f -- "$separate_git_dir" || printf '%s' "$separate_git_dir")
  if [ -e "$repo_path" ] && [ "$(readlink -f -- "$repo_path")" != "$separate_git_dir" ]; then
    moved=1
    if [ -z "$check" ]; then
      if [ -e "$separate_git_dir" ]; then fail "Separate-git-dir path $separate_git_dir already exists."; fi
      mv -- "$repo_path" "$separate_git_dir" && printf 'gitdir: %s' "$separate_git_dir" > "$dest/.git" || fail 'Unable to move git dir.'
      tell git_dir_before "$repo_path"; tell git_dir_now "$separate_git_dir"
      repo_path=$separate_git_dir
    fi
  fi
fi
"#;

/// What the remote has. Whoever asks says which remote: its address before a clone, its name after one.
const REMOTE: &str = r#"has_ref() { must ls-remote "$1" "$2"; [ -s "$x/out" ]; }
is_remote_branch() { has_ref "$1" "refs/heads/$version"; }
is_remote_tag() { has_ref "$1" "refs/tags/$version"; }
current() { (cd "$here" && "$git" rev-parse "${1:-HEAD}" 2> /dev/null); }
head_branch() {
  if g symbolic-ref -q HEAD; then branch=$(cat "$x/out"); branch=${branch#refs/heads/}
  elif g symbolic-ref -q "refs/remotes/$remote/HEAD"; then branch=$(cat "$x/out"); branch=${branch#"refs/remotes/$remote/"}
  else fail "Unable to tell the branch of $dest: HEAD is detached, and the remote $remote has no HEAD here"; fi
}
remote_head() {
  if [ "$version" = HEAD ] && [ "$1" = "$repo" ]; then must ls-remote "$1" HEAD
  elif [ "$version" = HEAD ]; then head_branch; must ls-remote "$1" "refs/heads/$branch"
  elif is_remote_branch "$1"; then :
  elif is_remote_tag "$1"; then must ls-remote "$1" "refs/tags/$version" "refs/tags/$version^{}"
  else
    if [ "$1" = "$repo" ]; then must init -q "$x/empty"; here=$x/empty; fi
    must fetch --dry-run "$1" "$version"
    head=$version
    return
  fi
  [ -s "$x/out" ] || fail_with "Could not determine remote revision for $version"
  # The commit of an annotated tag comes after the tag itself.
  head=$(tail -n 1 "$x/out"); head=${head%%[!0-9a-f]*}
}
plain() { printf '%s' "$1" | tr -s / | sed 's,/$,,'; }
remote_url_differs() {
  if g ls-remote --get-url "$remote"; then url=$(cat "$x/out"); else url=''; fi
  [ "$url" != "$repo" ] && [ "$(plain "$url")" != "$(plain "$repo")" ]
}
differences() {
  [ -n "$diff" ] || return 0
  if [ -z "$before" ]; then tell diff ">> Newly checked out $1"
  elif [ "$before" = "$1" ]; then :
  elif ! g diff "$before" "$1"; then tell diff ">> Failed to get proper diff between $before and $1:
>> $(cat "$x/err")"
  elif [ -s "$x/out" ]; then tell diff "$(cat "$x/out")
"
  else tell diff ">> No visual differences between $before and $1"; fi
}
"#;

const CLONE: &str = r#"clone_it() {
  mkdir -p -- "$(dirname -- "$dest")" 2> /dev/null
  named=''
  if is_remote_branch "$repo" || is_remote_tag "$repo"; then named=1; fi
  set -- clone
  if [ -n "$bare" ]; then set -- "$@" --bare; else set -- "$@" --origin "$remote"; fi
  if [ -n "$depth" ]; then
    if [ "$version" = HEAD ] || [ -n "$refspec" ]; then set -- "$@" --depth "$depth"
    elif [ -n "$named" ]; then set -- "$@" --depth "$depth" --branch "$version"
    else tell warning 'Ignoring depth argument. Shallow clones are only available for HEAD, branches, tags or in combination with refspec.'; fi
  fi
  if [ -n "$reference" ]; then set -- "$@" --reference "$reference"; fi
  if [ -n "$single_branch" ]; then
    set -- "$@" --single-branch
    if [ -n "$named" ]; then set -- "$@" --branch "$version"; fi
  fi
  if [ -n "$separate_git_dir" ]; then set -- "$@" --separate-git-dir="$separate_git_dir"; fi
  must "$@" -- "$repo" "$dest"
  here=$dest
  if [ -n "$bare" ] && [ "$remote" != origin ]; then must remote add "$remote" "$repo"; fi
  if [ -n "$refspec" ]; then must fetch ${depth:+--depth "$depth"} "$remote" $refspec; fi
  if [ -n "$verify_commit" ]; then verify; fi
}
verify() {
  sub=verify-commit
  if g for-each-ref --format='%(objecttype)' "refs/tags/$version" && [ "$(cat "$x/out")" = tag ]; then sub=verify-tag; fi
  g $sub ${allowed:+--raw} "$version" || fail_with "Failed to verify GPG signature of commit/tag \"$version\""
  [ -n "$allowed" ] || return 0
  key=$(sed -n 's/^\[GNUPG:\] VALIDSIG //p' "$x/err" | head -n 1)
  # The last of its words is the primary key's, where a subkey signed.
  key=${key##* }
  eval "set -- $allowed"
  for one; do if [ "$one" = "$key" ]; then return 0; fi; done
  fail_with "The gpg_allowlist does not include the public key \"$key\" for this commit"
}
"#;

const FETCH: &str = r#"fetch_it() {
  set -- fetch
  refs=''
  if [ -n "$depth" ]; then
    head_branch
    if [ -n "$refspec" ]; then refs=$refspec
    elif [ "$version" = HEAD ]; then refs=$branch
    elif is_remote_branch "$repo"; then
      refs="+refs/heads/$version:refs/remotes/$remote/$version"
      if [ "$branch" != "$version" ]; then refs="+refs/heads/$version:refs/heads/$version $refs"; fi
    elif is_remote_tag "$repo"; then refs="+refs/tags/$version:refs/tags/$version"; fi
    if [ -n "$refs" ]; then set -- "$@" --depth "$depth"; fi
  fi
  if [ -z "$refs" ]; then
    if [ -n "$bare" ]; then refs='+refs/heads/*:refs/heads/* +refs/tags/*:refs/tags/*'; else set -- "$@" --tags; fi
    refs="$refs $refspec"
  fi
  if [ -n "$force" ]; then set -- "$@" --force; fi
  # The names of refs have no spaces; their stars are git's.
  set -f; set -- "$@" "$remote" $refs; set +f
  g "$@" || { tell cmd "$git $*"; fail "Failed to download remote objects and refs: $(cat "$x/out") $(cat "$x/err")"; }
}
"#;

const SWITCH: &str = r#"is_local_branch() { g show-ref --verify --quiet "refs/heads/$version"; }
switch_to() { g "$@" || { tell cmd "$git $*"; fail_with "Failed to checkout $what"; }; }
switch() {
  what=$version
  if [ "$version" = HEAD ]; then
    head_branch
    what="branch $branch"
    switch_to checkout --force "$branch"
    switch_to reset --hard "$remote/$branch" --
  elif is_remote_branch "$remote"; then
    if [ -n "$depth" ] && ! is_local_branch; then
      g fetch --depth="$depth" "$remote" "+refs/heads/$version:refs/heads/$version" "+refs/heads/$version:refs/remotes/$remote/$version" ||
        fail_with "Failed to fetch branch from remote: $version"
    fi
    if is_local_branch; then
      what="branch $version"; switch_to checkout --force "$version" --
      what=$version; switch_to reset --hard "$remote/$version"
    else switch_to checkout --track -b "$version" "$remote/$version"; fi
  else switch_to checkout --force "$version"; fi
  if [ -n "$verify_commit" ]; then verify; fi
}
"#;

const SUBMODULES: &str = r#"submodules_differ() {
  [ -e "$dest/.gitmodules" ] || return 1
  must config -f .gitmodules --get-regexp '\.path$'
  cp "$x/out" "$x/paths"
  while IFS=' ' read -r name p; do [ -e "$dest/$p/.git" ] || return 0; done < "$x/paths"
  must submodule foreach "$git" fetch
  if [ -z "$track_submodules" ]; then
    must submodule status
    grep -q '^[^ ]' "$x/out"
    return
  fi
  while IFS=' ' read -r name p; do
    name=${name%.path}
    if g config -f .gitmodules "$name.branch"; then b=$(cat "$x/out"); else b=''; fi
    here=$dest/$p
    if [ -z "$b" ] && g symbolic-ref --short refs/remotes/origin/HEAD; then b=$(cat "$x/out"); b=${b#*/}; fi
    wanted=${b:+$remote/$b}
    g rev-parse "${wanted:-HEAD}" || fail_with "Unable to determine hash of submodule $p at ${wanted:-HEAD}"
    here=$dest
    [ "$(cat "$x/out")" = "$(cd "$dest/$p" && "$git" rev-parse HEAD)" ] || return 0
  done < "$x/paths"
  return 1
}
update_submodules() {
  must submodule sync
  g submodule update --init --recursive ${track_submodules:+--remote} ${force:+--force} ||
    fail "Failed to init/update submodules: $(cat "$x/out")$(cat "$x/err")"
}
"#;

const END: &str = r#"archive_it() {
  case $archive in
  *.zip) format=zip ;; *.gz) format=tar.gz ;; *.tar) format=tar ;; *.tgz) format=tgz ;;
  *) fail "Unable to get file extension from archive file name : $archive" ;;
  esac
  case $archive in /*) ;; *) archive=$dest/$archive ;; esac
  g archive --format "$format" --output "$x/archive.$format" ${archive_prefix:+--prefix "$archive_prefix"} "$version" ||
    fail_with 'Failed to perform archive operation'
  if [ -e "$archive" ]; then
    if cmp -s -- "$x/archive.$format" "$archive"; then changed=''; return; fi
  fi
  cat -- "$x/archive.$format" > "$archive" || fail "Failed to move $x/archive.$format to $archive"
  changed=1
}
done_with() { tell changed "$changed"; exit 0; }
changed=$moved before='' mods='' url_changed='' sub_changed=''
if { [ -n "$dest" ] && [ ! -e "$repo_path/config" ]; } || [ -z "$dest" ]; then
  if [ -n "$check" ] || [ -z "$clone" ]; then
    remote_head "$repo"
    changed=1; tell before ''; tell after "$head"; differences "$head"; done_with
  fi
  clone_it
elif [ -z "$update" ]; then
  here=$dest
  before=$(current); tell before "$before"; tell after "$before"
  if [ -n "$archive" ]; then if [ -n "$check" ]; then changed=1; else archive_it; fi; fi
  done_with
else
  here=$dest
  before=$(current)
  if [ -z "$bare" ]; then g status --porcelain; if grep -qv '^??' "$x/out"; then mods=1; fi; fi
  if [ -n "$mods" ]; then
    if [ -z "$force" ]; then tell before "$before"; fail "Local modifications exist in the destination: $dest (force=no)."; fi
    if [ -z "$check" ]; then must reset --hard HEAD; tell msg "Local modifications exist in the destination: $dest"; fi
  fi
  if remote_url_differs; then
    if [ -n "$url" ]; then url_changed=1; fi
    if [ -z "$check" ]; then g remote set-url "$remote" "$repo" || fail "Failed to set a new url $repo for $remote: $(cat "$x/out") $(cat "$x/err")"; fi
  fi
  tell remote_url_changed "$url_changed"
  if [ -n "$check" ]; then
    # A remote whose address would change is asked where it would be.
    if [ -n "$url_changed" ] && [ "$version" != HEAD ]; then remote_head "$repo"; else remote_head "$remote"; fi
    here=$dest
    if [ "$before" != "$head" ] || [ -n "$url_changed" ]; then changed=1; fi
    tell before "$before"; tell after "$head"; differences "$head"; done_with
  fi
  fetch_it
fi
if [ -z "$bare" ]; then
  switch
  if [ -n "$recursive" ] && submodules_differ; then sub_changed=1; tell submodules_changed 1; update_submodules; fi
fi
after=$(current)
tell before "$before"; tell after "$after"
if [ "$before" != "$after" ] || [ -n "$mods$url_changed$sub_changed" ]; then changed=1; differences "$after"; fi
if [ -n "$archive" ]; then archive_it; fi
done_with
"#;
