//! Users of the host: made, changed and removed with useradd, usermod and userdel.
//!
//! ```yaml
//! - user: { name: deploy, groups: [sudo], append: true, shell: /bin/bash, generate_ssh_key: true, ssh_key_type: ed25519 }
//! ```
//!
//! `password` is a hash, and goes to `chpasswd` through its standard input, never into a command line. Returns `uid`, `group`, `comment`,
//! `home`, `shell`, `groups`; with a key `ssh_key_file`, `ssh_public_key`, `ssh_fingerprint`.

mod account;
mod ssh_key;

use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::words;
use crate::sh::{Output, Script, quote, quote_all};
use account::Account;

/// `ansible.builtin.user`
pub struct User;

static SPEC: Spec = Spec {
    name: "ansible.builtin.user",
    aliases: &[],
    params: &[
        Param::str("name").required().alias(&["user"]),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::int("uid"),
        Param::int("uid_min"),
        Param::int("uid_max"),
        Param::bool("non_unique").default("false"),
        Param::str("group"),
        Param::list("groups"),
        Param::bool("append").default("false"),
        Param::str("comment"),
        Param::path("home"),
        Param::bool("create_home").default("true").alias(&["createhome"]),
        Param::bool("move_home").default("false"),
        Param::str("skeleton"),
        Param::str("umask"),
        Param::path("shell"),
        Param::bool("system").default("false"),
        Param::str("password").secret(),
        Param::str("update_password").default("always").choices(&["always", "on_create"]),
        Param::bool("password_lock"),
        Param::int("password_expire_max"),
        Param::int("password_expire_min"),
        Param::int("password_expire_warn"),
        Param::int("password_expire_account_disable"),
        Param::new("expires", crate::module::ParamKind::Float),
        Param::bool("force").default("false"),
        Param::bool("remove").default("false"),
        Param::bool("generate_ssh_key").default("false"),
        Param::int("ssh_key_bits").default("0"),
        Param::str("ssh_key_type").default("rsa"),
        Param::path("ssh_key_file"),
        Param::str("ssh_key_comment"),
        Param::str("ssh_key_passphrase").secret(),
    ],
    free_form: FreeForm::None,
};

impl Module for User {
    type State = Account;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        if args.is("append") && !args.has("groups") {
            return Err(Failure::argument("append", "append is True but all of the following are missing: groups"));
        }
        let name = args.required("name")?;
        if name.contains([':', '\n', ',']) || name.starts_with('-') {
            return Err(Failure::argument("name", format!("`{name}` cannot be a user's name")));
        }
        Ok(Some(Script::new(account::probe(args)?)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<Account, Failure> {
        Account::read(output)
    }

    fn decide(&self, args: &Args, account: Account, _context: &dyn Context) -> Result<Decision, Failure> {
        let name = args.required("name")?;
        let outcome = Outcome::unchanged().with("name", name).with("state", args.str("state"));
        let mut decision = match (args.str("state"), account.exists()) {
            (Some("absent"), false) => return Ok(outcome.into()),
            (Some("absent"), true) => {
                let mut words = vec!["userdel"];
                words.extend(args.is("force").then_some("-f"));
                words.extend(args.is("remove").then_some("-r"));
                words.push(name);
                let diff = Diff { before: account.line(), ..Diff::default() };
                let outcome =
                    Outcome { changed: true, ..outcome }.with("force", args.is("force")).with("remove", args.is("remove")).diff(diff);
                Decision::from(Change::new(outcome, Script::new(quote_all(words) + "\n")).finish(finish_removal))
            }
            _ => present(args, &account, outcome)?,
        };
        if let Some(warning) = unhashed(args.str("password")) {
            match &mut decision {
                Decision::Unchanged(outcome) => outcome.warnings.push(warning),
                Decision::Change(change) => change.outcome.warnings.push(warning),
            }
        }
        Ok(decision)
    }
}

fn finish_removal(output: &Output, outcome: Outcome) -> Result<Outcome, Failure> {
    if output.success() { Ok(outcome) } else { Err(failed(output)) }
}

fn failed(output: &Output) -> Failure {
    Failure::new(output.stderr_text().trim()).with("rc", output.status)
}

/// Ansible warns where a password does not look like a hash.
fn unhashed(password: Option<&str>) -> Option<String> {
    let password = password?;
    let is_hash = password.starts_with('$') && password.split('$').count() >= 3 && !password.contains([':', '*', '!']);
    let warning =
        "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly.";
    (!is_hash && !matches!(password, "*" | "!" | "*************")).then(|| warning.to_owned())
}

fn present(args: &Args, account: &Account, mut outcome: Outcome) -> Result<Decision, Failure> {
    let name = args.required("name")?;
    for group in args.list("groups").unwrap_or_default().iter().map(String::as_str).chain(args.str("group")) {
        if !group.is_empty() && !account.has_group(group) {
            return Err(Failure::new(format!("Group {group} does not exist")));
        }
    }
    let is_new = !account.exists();
    outcome = if is_new {
        outcome.with("system", args.is("system")).with("create_home", args.is("create_home"))
    } else {
        outcome.with("append", args.is("append")).with("move_home", args.is("move_home"))
    };
    let password = password(args, account)?;
    if args.has("password") {
        outcome = outcome.with("password", "NOT_LOGGING_PASSWORD");
    }
    let mut text = String::from("export LC_ALL=C\n");
    let before = text.len();
    if is_new {
        text += &creation(args, account)?;
    } else {
        let changes = modification(args, account, password.is_some());
        if changes.iter().any(|word| word == "-m")
            && let Some(home) = args.str("home")
        {
            text += &format!("home={}\nmkdir -p -- \"${{home%/*}}/\" || exit $?\n", words::on_host(home));
        }
        if !changes.is_empty() {
            text += &format!("usermod {} -- {} </dev/null || exit $?\n", changes.join(" "), quote(name));
        }
    }
    if password.is_some() {
        text += "chpasswd -e || exit $?\n";
    }
    text += &chage(args, account);
    let keeps_home = args.str("home").is_none_or(|home| home == account.home);
    if !is_new && !account.has_home && keeps_home && args.is("create_home") {
        text += &home_for(args, name);
    }
    let makes_key = args.is("generate_ssh_key") && (!account.has_key || args.is("force"));
    if makes_key {
        text += &ssh_key::script(args)?;
    }
    if text.len() == before {
        return Ok(account.describe(outcome).into());
    }
    text += &account::probe(args)?;
    let diff = Diff { before: account.line(), ..Diff::default() };
    let finish = move |output: &Output, outcome: Outcome| {
        if !output.success() {
            return Err(failed(output));
        }
        let account = Account::read(output)?;
        let outcome = outcome.diff(Diff { after: account.line(), ..diff });
        Ok(account.describe(outcome))
    };
    let mut script = Script::new(text);
    if let Some(hash) = password {
        script = script.with_input(format!("{name}:{hash}\n").into_bytes());
    }
    Ok(Change::new(Outcome { changed: true, ..outcome }, script).finish(finish).into())
}

/// What is to be written into the shadow file, if anything.
fn password(args: &Args, account: &Account) -> Result<Option<String>, Failure> {
    let Some(password) = args.str("password") else { return Ok(None) };
    let locked = |hash: &str| if args.is("password_lock") { format!("!{hash}") } else { hash.to_owned() };
    if !account.exists() {
        return Ok(Some(locked(password)));
    }
    if args.str("update_password") == Some("on_create") {
        return Ok(None);
    }
    let Some(current) = account.password.as_deref() else {
        return Err(Failure::new("cannot read the user's password to compare it: only root may"));
    };
    Ok((current.trim_start_matches('!') != password.trim_start_matches('!')).then(|| locked(password)))
}

fn creation(args: &Args, account: &Account) -> Result<String, Failure> {
    let name = args.required("name")?;
    let mut words: Vec<String> = vec!["useradd".into()];
    let mut text = String::new();
    push(&mut words, "-u", args.int("uid").map(|uid| uid.to_string()));
    words.extend((args.has("uid") && args.is("non_unique")).then(|| "-o".to_owned()));
    match args.str("group") {
        Some(group) => push(&mut words, "-g", Some(group.to_owned())),
        // useradd would make a group of the same name and fail.
        None => words.extend(account.has_group(name).then(|| "-N".to_owned())),
    }
    let groups: Vec<_> = args.list("groups").unwrap_or_default().into_iter().filter(|group| !group.is_empty()).collect();
    push(&mut words, "-G", (!groups.is_empty()).then(|| groups.join(",")));
    push(&mut words, "-c", args.str("comment").map(str::to_owned));
    push(&mut words, "-e", args.float("expires").map(|expires| expiry(expires).unwrap_or_default()));
    push(&mut words, "-f", args.int("password_expire_account_disable").map(|days| days.to_string()));
    words.push(if args.is("create_home") { "-m" } else { "-M" }.to_owned());
    push(&mut words, "-k", args.str("skeleton").map(str::to_owned));
    push(&mut words, "-K", args.str("umask").map(|umask| format!("UMASK={umask}")));
    push(&mut words, "-K", args.int("uid_min").map(|bound| format!("UID_MIN={bound}")));
    push(&mut words, "-K", args.int("uid_max").map(|bound| format!("UID_MAX={bound}")));
    words.extend(args.is("system").then(|| "-r".to_owned()));
    let mut call = words.iter().map(|word| quote(word).into_owned()).collect::<Vec<_>>().join(" ");
    if let Some(home) = args.str("home") {
        let home = words::on_host(home);
        if args.is("create_home") {
            text += &format!("home={home}\nmkdir -p -- \"${{home%/*}}/\" || exit $?\n");
        }
        call += &format!(" -d {home}");
    }
    if let Some(shell) = args.str("shell") {
        call += &format!(" -s {}", words::on_host(shell));
    }
    text += &format!("{call} -- {} </dev/null || exit $?\n", quote(name));
    Ok(text)
}

fn push(words: &mut Vec<String>, flag: &str, value: Option<String>) {
    if let Some(value) = value {
        words.extend([flag.to_owned(), value]);
    }
}

/// What usermod is to change, as words that are quoted.
fn modification(args: &Args, account: &Account, sets_password: bool) -> Vec<String> {
    let mut changes: Vec<String> = Vec::new();
    let mut change = |flag: &str, value: &str| changes.extend([flag.to_owned(), quote(value).into_owned()]);
    if let Some(uid) = args.int("uid").filter(|uid| *uid != account.uid) {
        change("-u", &uid.to_string());
    }
    if let Some(group) = args.str("group").filter(|group| !account.is_primary(group)) {
        change("-g", group);
    }
    if let Some(groups) = args.list("groups") {
        let wanted: Vec<_> =
            groups.iter().filter(|group| !group.is_empty() && !account.is_primary(group)).map(|group| account.name_of(group)).collect();
        let has_all = wanted.iter().all(|group| account.groups.contains(group));
        let appends = args.is("append");
        let has_others = account.groups.iter().any(|group| !wanted.contains(group));
        if !has_all || (has_others && !appends) {
            changes.extend(appends.then(|| "-a".to_owned()));
            changes.extend(["-G".to_owned(), quote(&wanted.join(",")).into_owned()]);
        }
    }
    let mut change = |flag: &str, value: &str| changes.extend([flag.to_owned(), quote(value).into_owned()]);
    if let Some(comment) = args.str("comment").filter(|comment| *comment != account.comment) {
        change("-c", comment);
    }
    if let Some(shell) = args.str("shell").filter(|shell| *shell != account.shell) {
        change("-s", shell);
    }
    if let Some(expires) = args.float("expires") {
        let wanted = (expires >= 0.0).then(|| (expires / 86400.0).floor() as i64);
        if account.expires != wanted {
            change("-e", &expiry(expires).unwrap_or_default());
        }
    }
    if let Some(days) = args.int("password_expire_account_disable").filter(|days| account.inactive != Some(*days)) {
        change("-f", &days.to_string());
    }
    if let Some(home) = args.str("home").filter(|home| *home != account.home) {
        changes.extend(["-d".to_owned(), words::on_host(home)]);
        changes.extend(args.is("move_home").then(|| "-m".to_owned()));
    }
    if args.has("uid") && args.is("non_unique") && changes.iter().any(|word| word == "-u") {
        changes.push("-o".into());
    }
    let is_locked = account.password.as_deref().is_some_and(|password| password.starts_with('!'));
    match args.bool("password_lock") {
        // The new password comes locked already.
        Some(true) if !is_locked && !sets_password => changes.push("-L".into()),
        Some(false) if is_locked && !sets_password => changes.push("-U".into()),
        _ => {}
    }
    changes
}

fn chage(args: &Args, account: &Account) -> String {
    let limits = [
        ("password_expire_max", "-M", account.longest),
        ("password_expire_min", "-m", account.shortest),
        ("password_expire_warn", "-W", account.warning),
    ];
    let wanted = limits
        .into_iter()
        .filter_map(|(name, flag, is)| args.int(name).filter(|days| is != Some(*days)).map(|days| format!("{flag} {days}")));
    let words: Vec<_> = wanted.collect();
    match (words.is_empty(), args.str("name")) {
        (false, Some(name)) => format!("chage {} -- {} </dev/null || exit $?\n", words.join(" "), quote(name)),
        _ => String::new(),
    }
}

/// A home for a user who has none: useradd's own way, by hand.
fn home_for(args: &Args, name: &str) -> String {
    let skeleton = quote(args.str("skeleton").unwrap_or("/etc/skel"));
    let mode = match args.str("umask") {
        Some(umask) if !umask.is_empty() && umask.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) => {
            format!("$(printf '%o' $((0777 & ~0{umask})))")
        }
        _ => "$(awk '$1 == \"HOME_MODE\" { mode = $2 } END { print mode ? mode : \"0755\" }' /etc/login.defs 2>/dev/null || echo 0755)"
            .to_owned(),
    };
    format!(
        "entry=$(getent passwd {name}) || exit $?\nhome=${{entry%:*}}; home=${{home##*:}}\nmkdir -p -- \"${{home%/*}}/\" && {{ [ -d {skeleton} ] && cp -R {skeleton} \"$home\" || mkdir \"$home\"; }} && chown -R \"$(id -u -- {name}):$(id -g -- {name})\" \"$home\" && chmod \"{mode}\" \"$home\" || exit $?\n",
        name = quote(name),
    )
}

/// As useradd takes a date; none for "never".
fn expiry(seconds: f64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds as i64).ok().filter(|_| seconds >= 0.0)?;
    Some(time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests;
