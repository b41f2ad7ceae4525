//! Logging in: which keys and passwords are offered to a host, in which order, and what is said when none is accepted.
//! As `ssh` does it: keys (those given, then the agent's, then those of ssh_config), keyboard-interactive, password.

use super::Ssh;
use super::algorithms::Kind;
use super::error::ConnectError;
use super::ssh::Client;
use super::ssh_config::HostConfig;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::{Signature, private::KeypairData, public::KeyData};
use russh::keys::{
    Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_openssh_certificate, load_public_key, load_secret_key,
};
use russh::{MethodKind, MethodSet, Signer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;
use tokio::net::UnixStream;

struct Login<'a> {
    handle: &'a mut Handle<Client>,
    ssh: &'a Ssh,
    config: &'a HostConfig,
    agent: Option<AgentClient<UnixStream>>,
    tried: Vec<String>,
    /// What the host said it would accept next; None before it said anything.
    allowed: Option<MethodSet>,
    /// What may be signed with, the preferred ones first.
    signatures: Vec<&'static str>,
    /// The strongest hash that the host knows for RSA, once it was asked: None if it does not say.
    rsa_hash: Option<Option<Option<HashAlg>>>,
}

/// How a key is offered.
struct Offer {
    hash: Option<HashAlg>,
    /// What may be in the way.
    doubt: &'static str,
}

const MAYBE_TOO_NEW: &str =
    "the host does not say which signatures it knows; if it is an old one, `PubkeyAcceptedAlgorithms +ssh-rsa` allows what it takes";

/// A key of a file, where it signs for a certificate. russh has a way of its own for that, but names only SHA-1 to the host for RSA keys.
struct FileKey(Arc<PrivateKey>);

#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error(transparent)]
    Gone(#[from] russh::SendError),
    #[error(transparent)]
    Key(#[from] russh::keys::signature::Error),
    #[error(transparent)]
    Encoding(#[from] russh::keys::ssh_encoding::Error),
}

impl Signer for FileKey {
    type Error = SignError;

    async fn auth_sign(&mut self, _: &AgentIdentity, hash: Option<HashAlg>, mut data: Vec<u8>) -> Result<Vec<u8>, SignError> {
        let signature: Signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
            _ => self.0.try_sign(&data)?,
        };
        let mut encoded = Vec::new();
        signature.encode(&mut encoded)?;
        encoded.encode(&mut data)?;
        Ok(data)
    }
}

/// None: not accepted, and the host listens on.
type Step = Result<Option<()>, ConnectError>;

pub(super) async fn login(handle: &mut Handle<Client>, ssh: &Ssh, config: &HostConfig) -> Result<(), ConnectError> {
    let mut tried = Vec::new();
    let agent = match &config.agent {
        Some(socket) => match AgentClient::connect_uds(socket).await {
            Ok(agent) => Some(agent),
            Err(error) => {
                tried.push(format!("the agent at {} (cannot be reached: {error})", socket.display()));
                None
            }
        },
        None => None,
    };
    let signatures = config.algorithms.allowed(Kind::PublicKey);
    let mut login = Login { handle, ssh, config, agent, tried, allowed: None, signatures, rsa_hash: None };
    let all = ["publickey", "keyboard-interactive", "password"].map(str::to_owned).to_vec();
    for way in config.preferred.as_ref().unwrap_or(&all).iter().filter(|way| !config.refused.contains(&way.as_str())) {
        let step = match way.as_str() {
            "publickey" => login.keys().await?,
            "keyboard-interactive" => login.keyboard_interactive().await?,
            "password" => login.password().await?,
            // Kerberos and the like: there are none.
            _ => None,
        };
        if step.is_some() {
            return Ok(());
        }
    }
    if login.allowed.is_none() {
        // Nothing to offer: ask what the host would have liked.
        let answer = login.handle.authenticate_none(config.user.clone()).await.map_err(|error| login.broken(error))?;
        if login.note(answer)?.is_some() {
            return Ok(());
        }
    }
    let allowed = login.allowed.iter().flat_map(|methods| methods.iter()).map(String::from).collect();
    Err(ConnectError::Auth { address: config.address(), user: config.user.clone(), tried: login.tried, allowed })
}

impl Login<'_> {
    fn broken(&self, reason: impl ToString) -> ConnectError {
        ConnectError::Broken { address: self.config.address(), reason: reason.to_string() }
    }

    fn allows(&self, method: MethodKind) -> bool {
        self.allowed.as_ref().is_none_or(|methods| methods.contains(&method))
    }

    fn note(&mut self, result: AuthResult) -> Step {
        match result {
            AuthResult::Success => Ok(Some(())),
            AuthResult::Failure { remaining_methods, .. } => self.note_refusal(remaining_methods),
        }
    }

    fn note_refusal(&mut self, remaining: MethodSet) -> Step {
        // russh gives no methods when the host has hung up.
        if remaining.is_empty() && self.handle.is_closed() {
            let tried = self.tried.join(", ");
            return Err(self.broken(format!("the host hung up during the login, after: {tried}")));
        }
        self.allowed = Some(remaining);
        Ok(None)
    }

    async fn keys(&mut self) -> Step {
        let mut in_agent = match &mut self.agent {
            Some(agent) => agent.request_identities().await.unwrap_or_default(),
            None => Vec::new(),
        };
        let given: Vec<PathBuf> = self.ssh.private_keys.clone();
        for path in &given {
            if self.key_file(path, &mut in_agent, true).await?.is_some() {
                return Ok(Some(()));
            }
        }
        let configured: Vec<PathBuf> = self.config.identity_files.iter().filter(|path| !given.contains(path)).cloned().collect();
        if !self.config.identities_only {
            // Those that are files too come first, so that a full agent does not use up the host's patience.
            let (known, others): (Vec<_>, Vec<_>) = std::mem::take(&mut in_agent).into_iter().partition(|identity| {
                configured.iter().any(|path| public_half(path).is_some_and(|key| key.key_data() == identity.public_key().key_data()))
            });
            for identity in known.into_iter().chain(others) {
                if self.agent_key(identity).await?.is_some() {
                    return Ok(Some(()));
                }
            }
        }
        for path in &configured {
            if self.key_file(path, &mut in_agent, false).await?.is_some() {
                return Ok(Some(()));
            }
        }
        Ok(None)
    }

    async fn key_file(&mut self, path: &Path, in_agent: &mut Vec<AgentIdentity>, is_given: bool) -> Step {
        if !self.allows(MethodKind::PublicKey) {
            return Ok(None);
        }
        let name = path.display().to_string();
        if let Some(public) = public_half(path)
            && let Some(at) = in_agent.iter().position(|identity| identity.public_key().key_data() == public.key_data())
        {
            return self.agent_key(in_agent.swap_remove(at)).await;
        }
        let key = match secret_key(path) {
            Ok(key) => key,
            Err(russh::keys::Error::KeyIsEncrypted) => {
                self.tried.push(format!("{name} (has a passphrase: `ssh-add {name}` first)"));
                return Ok(None);
            }
            // ssh_config names many that need not be there.
            Err(russh::keys::Error::IO(error)) if error.kind() == std::io::ErrorKind::NotFound && !is_given => return Ok(None),
            Err(error) => {
                self.tried.push(format!("{name} (cannot be read: {error})"));
                return Ok(None);
            }
        };
        let user = self.config.user.clone();
        let certificate = PathBuf::from(format!("{name}-cert.pub"));
        if let Ok(certificate) = load_openssh_certificate(&certificate) {
            let name = format!("{name}-cert.pub");
            if let Some(offer) = self.offer(certificate.public_key(), true, &name).await? {
                let mut signer = FileKey(key.clone());
                let result = self.handle.authenticate_certificate_with(user.clone(), certificate, offer.hash, &mut signer).await;
                let result = result.map_err(|error| self.broken(error))?;
                if self.note(result)?.is_some() {
                    return Ok(Some(()));
                }
            }
        }
        match self.offer(key.public_key().key_data(), false, &name).await? {
            Some(offer) => self.plain_key(user, key, offer.hash).await,
            None => Ok(None),
        }
    }

    async fn plain_key(&mut self, user: String, key: Arc<PrivateKey>, hash: Option<HashAlg>) -> Step {
        let result = self.handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, hash)).await;
        let result = result.map_err(|error| self.broken(error))?;
        self.note(result)
    }

    async fn agent_key(&mut self, identity: AgentIdentity) -> Step {
        if !self.allows(MethodKind::PublicKey) {
            return Ok(None);
        }
        let is_certificate = matches!(identity, AgentIdentity::Certificate { .. });
        let name = format!("`{}` of the agent", identity.comment());
        let Some(Offer { hash, .. }) = self.offer(identity.public_key().key_data(), is_certificate, &name).await? else {
            return Ok(None);
        };
        let Some(agent) = &mut self.agent else { return Ok(None) };
        let user = self.config.user.clone();
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => self.handle.authenticate_publickey_with(user, key, hash, agent).await,
            AgentIdentity::Certificate { certificate, .. } => {
                self.handle.authenticate_certificate_with(user, certificate, hash, agent).await
            }
        };
        match result {
            Ok(result) => self.note(result),
            Err(error) if self.handle.is_closed() => Err(self.broken(error)),
            // An agent may refuse a key; the next may do.
            Err(error) => {
                self.tried.push(format!("(the agent: {error})"));
                Ok(None)
            }
        }
    }

    /// How a key is offered, if it may be; noted among what was tried.
    async fn offer(&mut self, key: &KeyData, is_certificate: bool, name: &str) -> Result<Option<Offer>, ConnectError> {
        let offer = match key.rsa().map(|key| key.key_size()) {
            None => self.plain_offer(&key.algorithm(), is_certificate),
            Some(bits) if bits < self.config.least_rsa_bits() => Err(format!("it has {bits} bits, and `RequiredRSASize` asks for more")),
            Some(_) => self.rsa_offer(is_certificate).await?,
        };
        self.tried.push(match &offer {
            Ok(Offer { doubt: "", .. }) => name.to_owned(),
            Ok(Offer { doubt, .. }) => format!("{name} ({doubt})"),
            Err(reason) => format!("{name} (not offered: {reason})"),
        });
        Ok(offer.ok())
    }

    fn is_allowed(&self, algorithm: &Algorithm, is_certificate: bool) -> bool {
        let name = if is_certificate { algorithm.to_certificate_type() } else { algorithm.to_string() };
        self.signatures.contains(&name.as_str())
    }

    fn plain_offer(&self, algorithm: &Algorithm, is_certificate: bool) -> Result<Offer, String> {
        match self.is_allowed(algorithm, is_certificate) {
            true => Ok(Offer { hash: None, doubt: "" }),
            false => Err(format!("`PubkeyAcceptedAlgorithms` does not allow {algorithm}")),
        }
    }

    /// With the first hash that is allowed and that the host knows. A host that does not say what it knows is from before there was more than
    /// SHA-1, or keeps it to itself: as ssh does, it is asked with SHA-1 where that is allowed.
    async fn rsa_offer(&mut self, is_certificate: bool) -> Result<Result<Offer, String>, ConnectError> {
        let known = match self.rsa_hash {
            Some(known) => known,
            None => *self.rsa_hash.insert(self.handle.best_supported_rsa_hash().await.map_err(|error| self.broken(error))?),
        };
        let read = if is_certificate { Algorithm::new_certificate } else { Algorithm::new };
        let hash_of = |name: &&str| match read(name) {
            Ok(Algorithm::Rsa { hash }) => Some(hash),
            _ => None,
        };
        let hashes: Vec<Option<HashAlg>> = self.signatures.iter().filter_map(hash_of).collect();
        let hash = match known {
            None if hashes.contains(&None) => Some(&None),
            None => hashes.first(),
            // SHA-1, which is none at all here, is less than SHA-256, and that less than SHA-512.
            Some(best) => hashes.iter().find(|hash| **hash <= best),
        };
        Ok(match (hash, known) {
            (Some(Some(hash)), None) => Ok(Offer { hash: Some(*hash), doubt: MAYBE_TOO_NEW }),
            (Some(hash), _) => Ok(Offer { hash: *hash, doubt: "" }),
            (None, Some(best)) if !hashes.is_empty() => {
                let best = Algorithm::Rsa { hash: best };
                Err(format!("for RSA keys the host knows {best} at best, which `PubkeyAcceptedAlgorithms +{best}` allows"))
            }
            (None, _) => Err("`PubkeyAcceptedAlgorithms` does not allow RSA".to_owned()),
        })
    }

    async fn keyboard_interactive(&mut self) -> Step {
        let Some(password) = &self.ssh.password else { return Ok(None) };
        if !self.allows(MethodKind::KeyboardInteractive) {
            return Ok(None);
        }
        let user = self.config.user.clone();
        let mut answer = self.handle.authenticate_keyboard_interactive_start(user, None).await.map_err(|error| self.broken(error))?;
        let mut given = false;
        // Each round is a question of the host; it may ask several, but the password is given once.
        for _ in 0..8 {
            match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(Some(())),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => return self.note_refusal(remaining_methods),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    if given && !prompts.is_empty() {
                        return Ok(None);
                    }
                    if !prompts.is_empty() {
                        given = true;
                        self.tried.push("the password (keyboard-interactive)".to_owned());
                    }
                    let answers =
                        prompts.iter().map(|prompt| if prompt.echo { String::new() } else { password.expose().to_owned() }).collect();
                    answer = self.handle.authenticate_keyboard_interactive_respond(answers).await.map_err(|error| self.broken(error))?;
                }
            }
        }
        Ok(None)
    }

    async fn password(&mut self) -> Step {
        let Some(password) = &self.ssh.password else { return Ok(None) };
        if !self.allows(MethodKind::Password) {
            return Ok(None);
        }
        self.tried.push("the password".to_owned());
        let result = self.handle.authenticate_password(self.config.user.clone(), password.expose()).await;
        let result = result.map_err(|error| self.broken(error))?;
        self.note(result)
    }
}

/// Read once for all hosts that are let in with it at the same time, and forgotten after the last of them.
fn secret_key(path: &Path) -> Result<Arc<PrivateKey>, russh::keys::Error> {
    type InUse = BTreeMap<PathBuf, (SystemTime, Weak<PrivateKey>)>;
    static IN_USE: Mutex<InUse> = Mutex::new(BTreeMap::new());
    let written = std::fs::metadata(path)?.modified()?;
    let mut in_use = super::lock(&IN_USE);
    if let Some(key) = in_use.get(path).filter(|(then, _)| *then == written).and_then(|(_, key)| key.upgrade()) {
        return Ok(key);
    }
    let key = Arc::new(load_secret_key(path, None)?);
    in_use.insert(path.to_owned(), (written, Arc::downgrade(&key)));
    Ok(key)
}

fn public_half(path: &Path) -> Option<PublicKey> {
    load_public_key(format!("{}.pub", path.display())).ok()
}
