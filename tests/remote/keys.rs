//! Who is let in, and whom we believe.

use crate::sshd::{Sshd, keygen, probe, public, target};
use nodewright::remote::{ConnectError, Connection, HostKeyError, Ssh};
use std::process::{Command, Stdio};
use std::time::Duration;

async fn error(ssh: Ssh) -> ConnectError {
    match Connection::connect(&target(ssh)).await {
        Ok(_) => panic!("this should not have connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn keys_of_every_kind() {
    let Some(sshd) = Sshd::start("").await else { return };
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let key = sshd.at(&format!("key_{kind}"));
        keygen(&key, kind, "");
        std::fs::write(sshd.at("authorized_keys"), public(&key)).unwrap();
        let connection = Connection::connect(&target(Ssh { private_keys: vec![key], ..sshd.ssh() })).await.unwrap();
        assert_eq!(probe(&connection, "echo in").await.stdout, b"in\n", "{kind}");
        connection.close().await;
    }
}

#[tokio::test]
async fn a_key_with_a_passphrase_needs_the_agent() {
    let Some(sshd) = Sshd::start("").await else { return };
    let key = sshd.at("locked");
    keygen(&key, "ed25519", "geheim");
    std::fs::write(sshd.at("authorized_keys"), public(&key)).unwrap();
    let ssh = Ssh { private_keys: vec![key.clone()], ..sshd.ssh() };
    let said = error(ssh.clone()).await;
    assert!(!said.is_transient());
    let said = said.to_string();
    assert!(said.contains("locked (has a passphrase: `ssh-add ") && said.contains("it allows: publickey"), "{said}");

    let socket = sshd.at("agent");
    let mut agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    std::fs::write(sshd.at("askpass"), "#!/bin/sh\necho geheim\n").unwrap();
    std::fs::set_permissions(sshd.at("askpass"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    while !socket.exists() {
        tokio::task::yield_now().await;
    }
    let mut add = Command::new("ssh-add");
    add.arg(&key).env("SSH_AUTH_SOCK", &socket).env("SSH_ASKPASS", sshd.at("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
    assert!(add.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let config = std::fs::read_to_string(sshd.at("ssh_config")).unwrap() + &format!("  IdentityAgent {}\n", socket.display());
    std::fs::write(sshd.at("ssh_config"), config).unwrap();
    for private_keys in [vec![key], vec![]] {
        let connection = Connection::connect(&target(Ssh { private_keys, ..sshd.ssh() })).await.unwrap();
        assert_eq!(probe(&connection, "echo in").await.stdout, b"in\n");
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_until_new_ones_are_accepted() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = Ssh { pinned_host_key: None, ..sshd.ssh() };
    let refused = error(ssh.clone()).await;
    assert!(matches!(refused, ConnectError::HostKey(HostKeyError::Unknown { .. })) && !refused.is_transient(), "{refused}");
    assert!(!sshd.at("known_hosts").exists());
    Connection::connect(&target(Ssh { accept_new_host_keys: true, ..ssh.clone() })).await.unwrap().close().await;
    assert!(std::fs::read_to_string(sshd.at("known_hosts")).unwrap().contains("ssh-ed25519"));
    Connection::connect(&target(ssh.clone())).await.unwrap().close().await;

    keygen(&sshd.at("another"), "ed25519", "");
    let words = public(&sshd.at("another"));
    std::fs::write(sshd.at("known_hosts"), format!("# old\n[127.0.0.1]:{} {words}\n", sshd.port)).unwrap();
    for accept_new_host_keys in [false, true] {
        let ssh = Ssh { accept_new_host_keys, ..ssh.clone() };
        let said = error(ssh).await.to_string();
        assert!(said.contains("CHANGED") && said.contains("/known_hosts:2 has ssh-ed25519 SHA256:"), "{said}");
        assert!(said.contains(&format!("ssh-keygen -R '[127.0.0.1]:{}' -f /", sshd.port)), "{said}");
    }
    let said = error(Ssh { pinned_host_key: Some(words), ..ssh }).await.to_string();
    assert!(said.contains("but the inventory pins"), "{said}");
}

#[tokio::test]
async fn a_host_certificate_is_believed_for_its_authority() {
    let Some(mut sshd) = Sshd::start("").await else { return };
    keygen(&sshd.at("ca"), "ed25519", "");
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-I", "web1", "-h", "-n", "127.0.0.1", "-s"]).arg(sshd.at("ca")).arg(sshd.at("host_ed25519.pub"));
    assert!(sign.status().unwrap().success());
    sshd.restart(&format!("HostCertificate {}-cert.pub", sshd.at("host_ed25519").display())).await;
    std::fs::write(sshd.at("known_hosts"), format!("@cert-authority [127.0.0.*]:* {}\n", public(&sshd.at("ca")))).unwrap();
    let ssh = Ssh { pinned_host_key: None, ..sshd.ssh() };
    let connection = Connection::connect(&target(ssh.clone())).await.unwrap();
    assert_eq!(probe(&connection, "echo in").await.stdout, b"in\n");
    std::fs::write(sshd.at("known_hosts"), format!("@cert-authority [127.0.0.*]:* {}\n", public(&sshd.at("id")))).unwrap();
    let said = error(ssh).await.to_string();
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn through_jump_hosts_and_an_alias() {
    let Some(sshd) = Sshd::start("").await else { return };
    std::fs::write(sshd.at("known_hosts"), format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key())).unwrap();
    let gate = format!("127.0.0.1:{}", sshd.port);
    let ssh = Ssh { proxy_jump: Some(format!("{gate},{gate}")), ..sshd.ssh() };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    assert_eq!(probe(&connection, "echo in").await.stdout, b"in\n");

    let known = format!("[127.0.0.1]:{0},[localhost]:{0} {1}\n", sshd.port, sshd.host_key());
    std::fs::write(sshd.at("known_hosts"), known).unwrap();
    let config = std::fs::read_to_string(sshd.at("ssh_config")).unwrap();
    let alias = format!(
        "Host deep\n  HostName 127.0.0.1\n  Port {0}\n  ProxyJump localhost:{0}\n  IdentityFile {1}\n{config}",
        sshd.port,
        sshd.at("id").display()
    );
    std::fs::write(sshd.at("ssh_config"), alias).unwrap();
    let ssh = Ssh { host: "deep".into(), config_file: Some(sshd.at("ssh_config")), private_keys: vec![sshd.at("id")], ..Ssh::default() };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    assert_eq!(probe(&connection, "echo in").await.stdout, b"in\n");

    let Some(other) = Sshd::start("").await else { return };
    let ssh = Ssh { proxy_jump: Some(format!("127.0.0.1:{}", other.port)), ..sshd.ssh() };
    let said = error(ssh).await;
    assert!(said.to_string().starts_with("cannot get through the jump host `127.0.0.1`"), "{said}");
}

#[tokio::test]
async fn errors_tell_a_closed_door_from_a_wrong_key() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let refused = error(Ssh { host: "127.0.0.1".into(), port: Some(free), ..Ssh::default() }).await;
    assert!(matches!(refused, ConnectError::Tcp { .. }) && refused.is_transient(), "{refused}");

    let named = error(Ssh { host: "-oProxyCommand=id".into(), ..Ssh::default() }).await;
    assert!(matches!(named, ConnectError::Config { .. }), "{named}");
    let unknown =
        error(Ssh { host: "no-such-host.invalid".into(), connect_timeout: Some(Duration::from_secs(30)), ..Ssh::default() }).await;
    assert!(matches!(unknown, ConnectError::Resolve { .. }), "{unknown}");

    let Some(sshd) = Sshd::start("").await else { return };
    keygen(&sshd.at("stranger"), "ed25519", "");
    let said = error(Ssh { private_keys: vec![sshd.at("stranger"), sshd.at("missing")], ..sshd.ssh() }).await;
    assert!(matches!(said, ConnectError::Auth { .. }) && !said.is_transient(), "{said}");
    assert!(said.to_string().contains("stranger") && said.to_string().contains("missing (cannot be read"), "{said}");
}
