//! From variables to an open connection: whom to connect to, as whom to act, one connection per host and target.

use super::Run;
use super::costs::Meters;
use super::play::Playing;
use super::ssh_args;
use crate::playbook::Keywords;
use crate::remote::{
    Become, BecomeMethod, ConnectError, Connection, Run as Running, RunError, Secret, Ssh, Target, Transport, UnfinishedJob,
};
use crate::source::{Diag, Node};
use crate::vars::{Variable, View};
use minijinja::Value;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// What the command line says about connecting; variables and keywords beat it.
#[derive(Clone, Default)]
pub struct ConnectionSettings {
    pub user: Option<String>,
    pub private_keys: Vec<PathBuf>,
    pub password: Option<Secret>,
    /// `ssh` or `local`.
    pub connection: Option<String>,
    pub accept_new_host_keys: bool,
    pub connect_timeout: Option<Duration>,
    pub connect_retries: Option<u32>,
    /// How long a connection that was lost is tried to be made again.
    pub reconnect_for: Option<Duration>,
    /// Arguments of ssh with what brought them, each kind once at most.
    pub ssh_args: Vec<(SshArgs, &'static str, String)>,
    pub port: Option<u16>,
    pub r#become: bool,
    pub become_user: Option<String>,
    pub become_method: Option<BecomeMethod>,
    /// Flags and programs, of any method and of each: the settings of `ansible.cfg`.
    pub become_flags: Option<String>,
    pub become_exe: Option<String>,
    pub become_password: Option<Secret>,
}

/// The places where arguments of ssh can be given; each has a variable, a setting, and but for the first an option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SshArgs {
    Main,
    Common,
    Extra,
}

/// The open connections of a run.
pub struct Connections {
    pub meters: Meters,
    /// Jobs of an earlier life of this run: their tasks wait for them.
    own: Arc<HashSet<String>>,
    open: Mutex<Vec<(Target, Arc<Open>)>>,
}

#[derive(Default)]
struct Open {
    connection: OnceCell<Connection>,
    /// Of each user: whether jobs of an earlier run go on.
    leftovers: Mutex<HashMap<Option<Become>, Arc<Leftovers>>>,
}

/// Jobs that outlived their run, at one place. The question goes out before anything else that is asked there, and nobody waits for its
/// answer to ask on; but what was answered meanwhile counts only if there were none.
pub struct Leftovers {
    r#become: Option<Become>,
    own: Arc<HashSet<String>>,
    question: Mutex<Option<Question>>,
    /// Whether some were waited for.
    known: OnceCell<bool>,
}

type Question = Pin<Box<dyn Future<Output = Result<Vec<UnfinishedJob>, RunError>> + Send>>;

impl Leftovers {
    fn at(place: &Place, connection: &Connection, own: &Arc<HashSet<String>>) -> Leftovers {
        // On this machine other runs may be at work for good reasons of their own: nothing here was cut off from its controller.
        if place.target.transport == Transport::Local {
            return Leftovers { r#become: None, own: own.clone(), question: Mutex::default(), known: OnceCell::new_with(Some(false)) };
        }
        let r#become = place.r#become.clone();
        let question: Question = Box::pin(connection.unfinished_jobs(Running { r#become: r#become.clone(), ..Running::default() }));
        Leftovers { r#become, own: own.clone(), question: Mutex::new(Some(question)), known: OnceCell::new() }
    }

    pub fn are_known(&self) -> bool {
        self.known.initialized()
    }

    /// Waits until nothing of an earlier run goes on any more, and tells `waits` for what. Says whether there was something.
    pub async fn end(&self, connection: &Connection, waits: impl Fn(String)) -> Result<bool, RunError> {
        let run = || Running { r#become: self.r#become.clone(), ..Running::default() };
        let ending = async {
            let question = self.question.lock().expect("no panic holds the lock").take();
            let jobs = match question {
                Some(question) => question.await?,
                // Whoever asked before did not wait for the answer.
                None => connection.unfinished_jobs(run()).await?,
            };
            let jobs: Vec<_> = jobs.into_iter().filter(|job| !self.own.contains(&job.id)).collect();
            for job in &jobs {
                let seconds = job.since.elapsed().unwrap_or_default().as_secs();
                waits(format!("`{}`, which an earlier run started {seconds} s ago and which still goes on", job.what));
                match connection.wait_for_job(job, run()).await {
                    // How it ended is the tasks' to find out: they look at what is there.
                    Ok(_) | Err(RunError::Gone { .. }) => {}
                    Err(err) => return Err(err),
                }
            }
            Ok(!jobs.is_empty())
        };
        self.known.get_or_try_init(|| ending).await.copied()
    }
}

impl Connections {
    /// `costs_since`: as in [`super::Settings`].
    pub fn new(costs_since: Option<Instant>, own: HashSet<String>) -> Connections {
        Connections { meters: Meters::new(costs_since), own: Arc::new(own), open: Mutex::default() }
    }

    /// The connection to a target, made now if there is none.
    pub async fn to(&self, target: &Target) -> Result<Connection, ConnectError> {
        self.entry(target).connection.get_or_try_init(|| Connection::measured(target, self.meters.of(target))).await.cloned()
    }

    /// The connection to a place, and what an earlier run may have left going on there: that is asked first of all.
    pub async fn at(&self, place: &Place) -> Result<(Connection, Arc<Leftovers>), ConnectError> {
        let entry = self.entry(&place.target);
        let connection =
            entry.connection.get_or_try_init(|| Connection::measured(&place.target, self.meters.of(&place.target))).await?.clone();
        let mut leftovers = entry.leftovers.lock().expect("no panic holds the lock");
        let of_user = leftovers.entry(place.r#become.clone()).or_insert_with(|| Arc::new(Leftovers::at(place, &connection, &self.own)));
        Ok((connection, of_user.clone()))
    }

    /// The connection to a place, if it is open and settled already.
    pub fn ready(&self, place: &Place) -> Option<Connection> {
        let open = self.open.lock().expect("no panic holds the lock");
        let (_, entry) = open.iter().find(|(target, _)| *target == place.target)?;
        let connection = entry.connection.get()?;
        let leftovers = entry.leftovers.lock().expect("no panic holds the lock");
        let is_settled = leftovers.get(&place.r#become).is_some_and(|leftovers| leftovers.are_known());
        (is_settled || place.target.transport == Transport::Local).then(|| connection.clone())
    }

    /// Ends the connection to a target; the next use makes a new one (`reset_connection`, after a reboot).
    pub async fn drop(&self, target: &Target) {
        let entry = {
            let mut open = self.open.lock().expect("no panic holds the lock");
            let at = open.iter().position(|(other, _)| other == target);
            at.map(|at| open.swap_remove(at).1)
        };
        if let Some(connection) = entry.as_ref().and_then(|entry| entry.connection.get()) {
            connection.clone().close().await;
        }
    }

    pub async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().expect("no panic holds the lock"));
        let mut closing = tokio::task::JoinSet::new();
        for connection in open.into_iter().filter_map(|(_, entry)| entry.connection.get().cloned()) {
            closing.spawn(connection.close());
        }
        closing.join_all().await;
    }

    fn entry(&self, target: &Target) -> Arc<Open> {
        let mut open = self.open.lock().expect("no panic holds the lock");
        if let Some((_, entry)) = open.iter().find(|(other, _)| other == target) {
            return entry.clone();
        }
        let entry = Arc::new(Open::default());
        open.push((target.clone(), entry.clone()));
        entry
    }
}

/// Where a task is done: which connection, as which user.
#[derive(Clone, PartialEq)]
pub struct Place {
    pub target: Target,
    pub r#become: Option<Become>,
}

impl Playing {
    /// Where a task is done for `host`, whose variables (or those of the host it is delegated to) are in `view`.
    pub fn place(&self, host: &str, keywords: &Keywords, view: &Arc<View>) -> Result<Place, Diag> {
        let run = &self.run;
        let settings = &run.settings.connection;
        let read = Reader { run, view };
        let connection = match read.text(&["ansible_connection"])? {
            Some(connection) => connection,
            None => match read.keyword(&keywords.connection)? {
                Some(connection) => connection,
                None if host == "localhost" && !run.inventory().has_host(host) => "local".to_owned(),
                None => settings.connection.clone().unwrap_or_else(|| "ssh".to_owned()),
            },
        };
        let transport = match connection.rsplit('.').next().unwrap_or_default() {
            "local" => Transport::Local,
            "ssh" | "smart" | "paramiko" | "paramiko_ssh" => Transport::Ssh(Box::new(self.ssh(host, keywords, &read)?)),
            other => return Err(Diag::error(format!("`{host}` asks for the connection `{other}`; there are `ssh` and `local`"))),
        };
        let r#become = self.becoming(keywords, &read, &transport)?;
        Ok(Place { target: Target { name: host.to_owned(), transport }, r#become })
    }

    fn ssh(&self, host: &str, keywords: &Keywords, read: &Reader) -> Result<Ssh, Diag> {
        let settings = &self.run.settings.connection;
        let mut ssh = Ssh {
            host: read.text(&["ansible_host", "ansible_ssh_host"])?.unwrap_or_else(|| host.to_owned()),
            pinned_host_key: read.text(&["ansible_ssh_host_key"])?,
            ..Ssh::default()
        };
        // The order in which Ansible writes them into ssh's command line, where the first word on a matter counts.
        self.ssh_args(SshArgs::Main, host, read, &mut ssh)?;
        let checks_host_keys = match read.flag("ansible_ssh_host_key_checking")? {
            Some(checks) => Some(checks),
            None => read.flag("ansible_host_key_checking")?,
        };
        if checks_host_keys.map_or(settings.accept_new_host_keys, |checks| !checks) {
            ssh_args::accept_new_host_keys(&mut ssh);
        }
        let port = match read.text(&["ansible_port", "ansible_ssh_port"])? {
            Some(port) => Some(port),
            None => read.keyword(&keywords.port)?.or_else(|| settings.port.map(|port| port.to_string())),
        };
        let port = match port {
            Some(port) => Some(port.parse().map_err(|_| Diag::error(format!("`{host}` has the port `{port}`, which is no port number")))?),
            None => None,
        };
        ssh.port = ssh.port.or(port);
        let key = read.text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?;
        ssh.private_keys.extend(key.map_or_else(|| settings.private_keys.clone(), |key| vec![ssh_args::in_home(&key)]));
        let user = match read.text(&["ansible_user", "ansible_ssh_user"])? {
            Some(user) => Some(user),
            None => read.keyword(&keywords.remote_user)?.or_else(|| settings.user.clone()),
        };
        ssh.user = ssh.user.or(user);
        let timeout = match read.text(&["ansible_ssh_timeout"])? {
            Some(seconds) => {
                let wrong = |_| Diag::error(format!("`ansible_ssh_timeout` of `{host}` is `{seconds}`, which is no number of seconds"));
                Some(Duration::from_secs(seconds.parse().map_err(wrong)?))
            }
            None => settings.connect_timeout,
        };
        ssh.connect_timeout = ssh.connect_timeout.or(timeout);
        ssh.connect_retries = match read.text(&["ansible_ssh_retries"])? {
            Some(number) => {
                let wrong = |_| Diag::error(format!("`ansible_ssh_retries` of `{host}` is `{number}`, which is no number of retries"));
                Some(number.parse().map_err(wrong)?)
            }
            None => settings.connect_retries,
        };
        ssh.reconnect_for = settings.reconnect_for;
        let password = read.text(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?.map(Secret::from);
        ssh.password = password.or_else(|| settings.password.clone());
        self.ssh_args(SshArgs::Common, host, read, &mut ssh)?;
        self.ssh_args(SshArgs::Extra, host, read, &mut ssh)?;
        ssh.accept_new_host_keys = ssh_args::accepts_new_host_keys(&ssh);
        Ok(ssh)
    }

    fn ssh_args(&self, which: SshArgs, host: &str, read: &Reader, ssh: &mut Ssh) -> Result<(), Diag> {
        let name = match which {
            SshArgs::Main => "ansible_ssh_args",
            SshArgs::Common => "ansible_ssh_common_args",
            SshArgs::Extra => "ansible_ssh_extra_args",
        };
        if let Some(args) = read.text(&[name])? {
            return ssh_args::read(&args, ssh).map_err(|words| {
                let diag = Diag::error(format!("`{name}` of `{host}`: {words}"));
                read.view.get(name).and_then(Variable::span).map_or(diag.clone(), |span| diag.at(span))
            });
        }
        match self.run.settings.connection.ssh_args.iter().find(|(known, _, _)| *known == which) {
            Some((_, from, args)) => ssh_args::read(args, ssh).map_err(|words| Diag::error(format!("{from}: {words}"))),
            None => Ok(()),
        }
    }

    fn becoming(&self, keywords: &Keywords, read: &Reader, transport: &Transport) -> Result<Option<Become>, Diag> {
        let settings = &self.run.settings.connection;
        let wanted = match read.flag("ansible_become")? {
            Some(wanted) => wanted,
            None => match &keywords.r#become {
                Some(node) => self.run.bool_of(node, read.view).map_err(|diag| super::variables::of_keyword(diag, "become"))?,
                None => settings.r#become,
            },
        };
        if !wanted {
            return Ok(None);
        }
        let user = match read.text(&["ansible_become_user"])? {
            Some(user) => user,
            None => read.keyword(&keywords.become_user)?.or_else(|| settings.become_user.clone()).unwrap_or_else(|| "root".to_owned()),
        };
        let method = match read.text(&["ansible_become_method"])? {
            Some(method) => Some(method),
            None => read.keyword(&keywords.become_method)?,
        };
        let method = match method.as_deref().map(|method| method.rsplit('.').next().unwrap_or_default()) {
            None => settings.become_method.unwrap_or(BecomeMethod::Sudo),
            Some("sudo") => BecomeMethod::Sudo,
            Some("su") => BecomeMethod::Su,
            Some(other) => return Err(Diag::error(format!("the become method `{other}` is not supported; there are `sudo` and `su`"))),
        };
        // Becoming whom one is already needs no sudo, which may not even be installed.
        if let Transport::Ssh(ssh) = transport
            && ssh.user.as_deref() == Some(user.as_str())
        {
            return Ok(None);
        }
        let own = |word: &str| match method {
            BecomeMethod::Sudo => format!("ansible_sudo_{word}"),
            BecomeMethod::Su => format!("ansible_su_{word}"),
        };
        let password = read.text(&["ansible_become_password", "ansible_become_pass", &own("pass")])?.map(Secret::from);
        let flags = match read.text(&["ansible_become_flags", &own("flags")])? {
            Some(flags) => Some(flags),
            None => read.keyword(&keywords.become_flags)?.or_else(|| settings.become_flags.clone()),
        };
        let exe = match read.text(&["ansible_become_exe", &own("exe")])? {
            Some(exe) => Some(exe),
            None => read.keyword(&keywords.become_exe)?.or_else(|| settings.become_exe.clone()),
        };
        let exe = exe.filter(|exe| !exe.is_empty());
        Ok(Some(Become { method, user, password: password.or_else(|| settings.become_password.clone()), flags, exe }))
    }
}

/// Reads connection variables: the first that is set, rendered.
struct Reader<'a> {
    run: &'a Run,
    view: &'a Arc<View>,
}

impl Reader<'_> {
    fn text(&self, names: &[&str]) -> Result<Option<String>, Diag> {
        let Some(value) = self.value(names)? else { return Ok(None) };
        Ok(if value.is_none() || value.is_undefined() || crate::template::is_omit(&value) { None } else { Some(value.to_string()) })
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Diag> {
        let Some(value) = self.value(&[name])? else { return Ok(None) };
        self.run.truth_of(&value).map(Some).ok_or_else(|| Diag::error(format!("`{name}` is `{value}`, which is neither true nor false")))
    }

    fn keyword(&self, node: &Option<Node>) -> Result<Option<String>, Diag> {
        let Some(node) = node else { return Ok(None) };
        let value = self.run.templar.render(node, self.view)?;
        Ok(if value.is_none() || crate::template::is_omit(&value) { None } else { Some(value.to_string()) })
    }

    fn value(&self, names: &[&str]) -> Result<Option<Value>, Diag> {
        match names.iter().find_map(|name| self.view.get(name)) {
            None => Ok(None),
            Some(Variable::Data(value)) => Ok(Some(value.clone())),
            Some(Variable::Node(node)) => self.run.templar.render(node, self.view).map(Some),
        }
    }
}
