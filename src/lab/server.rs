//! The static web server that gives a lab's hosts the mirror, on the lab's own gateway address.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::LabError;
use super::run::{Detached, wait_until};

const PORT: u16 = 8080;
const LIMIT: Duration = Duration::from_secs(10);

/// The mirror's server of one lab, which is kept in `directory`.
pub struct Server {
    address: String,
    gateway: Ipv4Addr,
    pid_file: PathBuf,
    log: PathBuf,
}

impl Server {
    pub fn new(directory: &Path, gateway: Ipv4Addr) -> Server {
        Server { address: gateway.to_string(), gateway, pid_file: directory.join("server.pid"), log: directory.join("server.log") }
    }

    /// The address under which hosts find the mirror.
    pub fn url(&self) -> String {
        format!("http://{}:{PORT}", self.address)
    }

    /// Starts it unless it runs, and waits until it answers.
    pub fn start(&self, mirror: &Path) -> Result<(), LabError> {
        if self.process().pid().is_none() {
            let port = PORT.to_string();
            let words = ["python3", "-m", "http.server", "--bind", &self.address, "--directory"].map(OsStr::new);
            let command = [&words[..], &[mirror.as_os_str(), OsStr::new(&port)]].concat();
            self.process().start(&command, &self.log)?;
        }
        let address = SocketAddr::from((self.gateway, PORT));
        if wait_until(LIMIT, || TcpStream::connect_timeout(&address, LIMIT).is_ok()) {
            return Ok(());
        }
        Err(LabError::NoServer { address: address.to_string(), seconds: LIMIT.as_secs(), log: self.log.clone() })
    }

    pub fn stop(&self) -> Result<(), LabError> {
        self.process().terminate(LIMIT)?;
        if self.pid_file.exists() {
            fs::remove_file(&self.pid_file).map_err(LabError::path("remove", &self.pid_file))?;
        }
        Ok(())
    }

    fn process(&self) -> Detached<'_> {
        Detached { pid_file: &self.pid_file, mark: OsStr::new(&self.address) }
    }
}
