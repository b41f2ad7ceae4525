//! russh, wrapped: a connection to a host (through jump hosts or a proxy command), its key checked, logged in; programs on it.
//! The only file besides `auth`, `known_hosts` and `negotiation` that knows russh, whose interface changes every few weeks.

use super::auth;
use super::error::ConnectError;
use super::guarded::Guarded;
use super::known_hosts::{HostKeyError, HostKeys};
use super::meter::{Meter, Metered};
use super::prompt::Prompt;
use super::ssh_config::{self, Family, HostConfig};
use super::wire::{Piece, Process};
use super::{Ssh, lock, negotiation};
use russh::client::{Config, Handle, Msg, connect_stream};
use russh::{ChannelMsg, Disconnect, keys::PublicKeyOrCertificate};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc};

/// A host that says nothing for three times this long is gone, if ssh_config asks for nothing else: it is noticed within half a minute.
const ALIVE_INTERVAL: Duration = Duration::from_secs(8);
const ALIVE_COUNT: usize = 2;
const _: () = assert!(ALIVE_INTERVAL.as_secs() * (ALIVE_COUNT as u64 + 1) < 30);
const MOST_JUMPS: usize = 8;
/// So much may be on its way to us unread: what a link of two gigabits holds in an eighth of a second. It is a promise, and takes no memory.
const WINDOW: u32 = 32 << 20;

pub(super) struct Session {
    handle: Handle<Client>,
    address: String,
    user: String,
    forwards_agent: bool,
    meter: Arc<Meter>,
    /// The connections to the jump hosts, which carry this one.
    _through: Option<Box<Session>>,
}

pub(super) struct Client {
    keys: Arc<HostKeys>,
    banner: Arc<Mutex<String>>,
    /// The agent that the host may ask.
    agent: Option<PathBuf>,
}

pub(super) enum ClientError {
    HostKey(HostKeyError),
    Ssh(russh::Error),
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> ClientError {
        ClientError::Ssh(error)
    }
}

impl std::fmt::Debug for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientError::HostKey(error) => error.fmt(f),
            ClientError::Ssh(error) => error.fmt(f),
        }
    }
}

impl russh::client::Handler for Client {
    type Error = ClientError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        self.keys.check(key).map(|()| true).map_err(ClientError::HostKey)
    }

    /// Somebody on the host asks the agent that is here. Where it was not forwarded nobody may: the channel is refused by being dropped.
    async fn server_channel_open_agent_forward(
        &mut self,
        channel: russh::Channel<Msg>,
        reply: russh::client::ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), ClientError> {
        let Some(agent) = &self.agent else { return Ok(()) };
        if let Ok(mut agent) = UnixStream::connect(agent).await {
            reply.accept().await;
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut agent).await });
        }
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut russh::client::Session) -> Result<(), ClientError> {
        let mut kept = lock(&self.banner);
        kept.clear();
        kept.extend(banner.chars().take(1000));
        Ok(())
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Session {
    pub async fn open(ssh: &Ssh, meter: &Arc<Meter>) -> Result<Session, ConnectError> {
        Session::open_at_depth(ssh, 0, meter).await
    }

    async fn open_at_depth(ssh: &Ssh, depth: usize, meter: &Arc<Meter>) -> Result<Session, ConnectError> {
        let since = Instant::now();
        let config = ssh_config::resolve(ssh).await?;
        let patience = ssh.connect_timeout.or(config.connect_timeout).unwrap_or(Duration::from_secs(10));
        let address = config.address();
        let (stream, through) = match (config.jumps(), &config.proxy_command) {
            (Some(jumps), _) => {
                if depth >= MOST_JUMPS {
                    let reason = format!("more than {MOST_JUMPS} jump hosts in a row");
                    return Err(ConnectError::Config { host: ssh.host.clone(), reason });
                }
                let (stream, through) = Box::pin(jump(ssh, &config, &jumps?, depth, meter)).await?;
                (stream, Some(Box::new(through)))
            }
            (None, Some(command)) => (proxy(command, &address, meter)?, None),
            (None, None) => (tcp(&config, patience, meter).await?, None),
        };
        let silent = |after| ConnectError::Silent { address: address.clone(), after };
        let greeting = Session::greet(ssh, &config, stream);
        let (mut handle, banner) = tokio::time::timeout(patience, greeting).await.map_err(|_| silent(patience))??;
        meter.count(|counts| {
            counts.connecting += since.elapsed();
            // Versions and offers, which sshd sends together, and the exchange of keys.
            counts.round_trips += 2;
        });
        let since = Instant::now();
        meter.login(true);
        // Longer than the way there: a password may be checked slowly, and several keys tried.
        let limit = patience * 2;
        let login = tokio::time::timeout(limit, auth::login(&mut handle, ssh, &config)).await;
        meter.login(false);
        login.map_err(|_| silent(limit))?.map_err(|error| match error {
            // What sshd has to say about it comes as a banner: "System is booting up."
            ConnectError::Broken { address, reason } if !lock(&banner).trim().is_empty() => {
                ConnectError::Broken { address, reason: format!("{reason} ({})", lock(&banner).trim()) }
            }
            error => error,
        })?;
        meter.count(|counts| counts.authenticating += since.elapsed());
        let forwards_agent = config.forwarded_agent.is_some();
        Ok(Session { handle, address, user: config.user, forwards_agent, meter: meter.clone(), _through: through })
    }

    /// Up to where both sides have agreed on keys, and the host's is the right one.
    async fn greet(ssh: &Ssh, config: &HostConfig, stream: Box<dyn Stream>) -> Result<(Handle<Client>, Arc<Mutex<String>>), ConnectError> {
        let keys = Arc::new(HostKeys::new(ssh, config)?);
        let banner = Arc::new(Mutex::new(String::new()));
        let (interval, count) = (config.alive_interval.unwrap_or(ALIVE_INTERVAL), config.alive_count.unwrap_or(ALIVE_COUNT));
        let russh_config = Config {
            nodelay: true,
            keepalive_interval: Some(interval),
            // 0 would be without end.
            keepalive_max: count.max(1),
            window_size: WINDOW,
            preferred: negotiation::preferred(config, &keys)?,
            gex: negotiation::groups(config),
            ..Config::default()
        };
        let client = Client { keys: keys.clone(), banner: banner.clone(), agent: config.forwarded_agent.clone() };
        // A host that takes nothing holds up whoever writes to it, and with that the questions for signs of life.
        let stream = Guarded::new(stream, interval.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)));
        let handle = connect_stream(Arc::new(russh_config), stream, client).await.map_err(|error| match error {
            ClientError::HostKey(error) => ConnectError::HostKey(error),
            ClientError::Ssh(error) => negotiation::failed(error, config, &keys),
        })?;
        Ok((handle, banner))
    }

    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub async fn close(&self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }

    fn broken(&self, reason: impl ToString) -> ConnectError {
        ConnectError::Broken { address: self.address.clone(), reason: reason.to_string() }
    }

    pub async fn start(&self, command: &str) -> Result<Process, ConnectError> {
        let channel = self.channel().await?;
        let (mut reading, writing) = channel.split();
        if self.forwards_agent {
            writing.agent_forward(false).await.map_err(|error| self.broken(error))?;
        }
        writing.exec(true, command).await.map_err(|error| self.broken(error))?;
        let stdin = writing.make_writer();
        let (sender, output) = mpsc::channel(64);
        // OpenSSH takes no input before it has answered. Whoever waits for that here knows by then more of what there is to send.
        let mut first = None;
        while writing.writable_packet_size().await == 0 && first.is_none() {
            match reading.wait().await {
                Some(ChannelMsg::WindowAdjusted { .. }) => (),
                Some(message) => first = Some(message),
                None => break,
            }
        }
        tokio::spawn(async move {
            let mut status = None;
            loop {
                let message = match first.take() {
                    Some(message) => Some(message),
                    None => tokio::select! {
                        message = reading.wait() => message,
                        // Nobody reads it any more: its place is one of the ten that sshd allows.
                        () = sender.closed() => None,
                    },
                };
                let Some(message) = message else { break };
                let piece = match message {
                    ChannelMsg::Data { data } => Piece::Out(data.into()),
                    ChannelMsg::ExtendedData { data, ext: 1 } => Piece::Err(data.into()),
                    ChannelMsg::ExitStatus { exit_status } => {
                        status = i32::try_from(exit_status).ok();
                        continue;
                    }
                    ChannelMsg::ExitSignal { .. } => {
                        status = Some(128);
                        continue;
                    }
                    ChannelMsg::Failure => {
                        status = Some(126);
                        break;
                    }
                    ChannelMsg::Close => break,
                    _ => continue,
                };
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            let _ = writing.close().await;
            if let Some(status) = status {
                let _ = sender.send(Piece::Exit(status)).await;
            }
        });
        Ok(Process { stdin: Box::new(stdin), output })
    }

    /// sshd allows ten channels, and gives one that was closed free a little later: that is worth waiting for.
    async fn channel(&self) -> Result<russh::Channel<Msg>, ConnectError> {
        let mut pause = Duration::from_millis(5);
        loop {
            let question = self.meter.ask();
            let opened = self.handle.channel_open_session().await;
            self.meter.answered(question);
            match opened {
                Ok(channel) => {
                    self.meter.count(|counts| counts.channels += 1);
                    return Ok(channel);
                }
                Err(russh::Error::ChannelOpenFailure(_)) if pause < Duration::from_secs(2) => tokio::time::sleep(pause).await,
                Err(error) => return Err(self.broken(error)),
            }
            pause *= 2;
        }
    }
}

async fn tcp(config: &HostConfig, patience: Duration, meter: &Arc<Meter>) -> Result<Box<dyn Stream>, ConnectError> {
    let address = config.address();
    let connecting = async {
        // Each that is looked up needs open files, and a thread; an address needs neither.
        static LOOKING_UP: Semaphore = Semaphore::const_new(16);
        let _place = match config.hostname.parse::<std::net::IpAddr>() {
            Ok(_) => None,
            Err(_) => LOOKING_UP.acquire().await.ok(),
        };
        let found = tokio::net::lookup_host((config.hostname.as_str(), config.port)).await;
        let unresolved = |source| ConnectError::Resolve { host: config.hostname.clone(), source: Arc::new(source) };
        let counts = |address: &std::net::SocketAddr| match config.family {
            None => true,
            Some(Family::V4) => address.is_ipv4(),
            Some(Family::V6) => address.is_ipv6(),
        };
        let addresses: Vec<_> = found.map_err(unresolved)?.filter(counts).collect();
        if addresses.is_empty() {
            return Err(unresolved(io::Error::other("it has no address of the wanted family")));
        }
        TcpStream::connect(&addresses[..]).await.map_err(|source| ConnectError::Tcp { address: address.clone(), source: Arc::new(source) })
    };
    let stream = match tokio::time::timeout(patience, connecting).await {
        Ok(stream) => stream?,
        Err(_) => return Err(ConnectError::Timeout { address, after: patience }),
    };
    // Without it every answer waits 40 ms for an acknowledgement.
    stream.set_nodelay(true).map_err(|source| ConnectError::Tcp { address, source: Arc::new(source) })?;
    meter.count(|counts| {
        counts.connections += 1;
        counts.round_trips += 1;
    });
    Ok(Box::new(Metered::new(Prompt(stream), meter)))
}

/// Through the last of the jump hosts, which is reached through those before it.
async fn jump(
    ssh: &Ssh,
    config: &HostConfig,
    jumps: &[ssh_config::Jump],
    depth: usize,
    meter: &Arc<Meter>,
) -> Result<(Box<dyn Stream>, Session), ConnectError> {
    let Some((last, before)) = jumps.split_last() else {
        return Err(ConnectError::Config { host: ssh.host.clone(), reason: "an empty ProxyJump".to_owned() });
    };
    let via = last.host.clone();
    let failed = |source: ConnectError| ConnectError::Jump { via: via.clone(), source: Box::new(source) };
    let hop = Ssh {
        host: last.host.clone(),
        port: last.port,
        user: last.user.clone(),
        // As with `ssh -J`: the jump host may be entered with the same keys, but the host's password is the host's.
        private_keys: ssh.private_keys.clone(),
        accept_new_host_keys: ssh.accept_new_host_keys,
        proxy_jump: (!before.is_empty()).then(|| before.iter().map(ssh_config::Jump::to_string).collect::<Vec<_>>().join(",")),
        connect_timeout: ssh.connect_timeout,
        config_file: ssh.config_file.clone(),
        ..Ssh::default()
    };
    let session = Box::pin(Session::open_at_depth(&hop, depth + 1, meter)).await.map_err(failed)?;
    let channel = session.handle.channel_open_direct_tcpip(config.hostname.clone(), u32::from(config.port), "127.0.0.1", 0).await.map_err(
        |error| {
            let reason = format!("it cannot reach {}: {error}", config.address());
            failed(ConnectError::Broken { address: session.address.clone(), reason })
        },
    )?;
    Ok((Box::new(channel.into_stream()), session))
}

fn proxy(command: &str, address: &str, meter: &Arc<Meter>) -> Result<Box<dyn Stream>, ConnectError> {
    let failed = |source: io::Error| ConnectError::Tcp { address: format!("{address} through `{command}`"), source: Arc::new(source) };
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(io::Error::other("no pipes")));
    };
    // It ends when its standard input does; somebody has to take note of that.
    tokio::spawn(async move { child.wait().await });
    meter.count(|counts| counts.connections += 1);
    Ok(Box::new(Metered::new(tokio::io::join(stdout, stdin), meter)))
}
