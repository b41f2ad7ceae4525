//! Hosts that have nothing but what is weak: refused, and let in where somebody asks for it.

use crate::sshd::{Sshd, keygen, probe, public, target};
use nodewright::remote::{ConnectError, Connection, HostKeyError, Ssh};
use std::process::Command;

async fn refused(ssh: Ssh) -> ConnectError {
    match Connection::connect(&target(ssh)).await {
        Ok(_) => panic!("this should not have connected"),
        Err(error) => error,
    }
}

/// More than one packet in each direction.
async fn works(ssh: Ssh, what: &str) {
    let connection = Connection::connect(&target(ssh)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let output = probe(&connection, &format!("# {}\nhead -c 200001 /dev/zero | tr '\\0' x", "long ".repeat(20_000))).await;
    assert!(output.stdout.len() == 200_001 && output.stdout.iter().all(|byte| *byte == b'x'), "{what}");
    connection.close().await;
}

fn with(ssh: &Ssh, option: &str, value: &str) -> Ssh {
    Ssh { options: vec![(option.to_lowercase(), value.to_owned())], ..ssh.clone() }
}

#[tokio::test]
async fn what_is_weak_is_off_unless_it_is_asked_for() {
    let cases = [
        ("KexAlgorithms diffie-hellman-group14-sha1", "key exchange", "KexAlgorithms", "diffie-hellman-group14-sha1"),
        ("KexAlgorithms diffie-hellman-group1-sha1", "key exchange", "KexAlgorithms", "diffie-hellman-group1-sha1"),
        ("KexAlgorithms diffie-hellman-group-exchange-sha1", "key exchange", "KexAlgorithms", "diffie-hellman-group-exchange-sha1"),
        ("KexAlgorithms ecdh-sha2-nistp384", "key exchange", "KexAlgorithms", "ecdh-sha2-nistp384"),
        ("Ciphers aes128-cbc", "cipher", "Ciphers", "aes128-cbc"),
        ("Ciphers 3des-cbc", "cipher", "Ciphers", "3des-cbc"),
        ("Ciphers aes192-ctr\nMACs hmac-sha1", "MAC", "MACs", "hmac-sha1"),
    ];
    for (settings, what, option, name) in cases {
        let Some(sshd) = Sshd::start(settings).await else { return };
        let error = refused(sshd.ssh()).await;
        assert!(matches!(error, ConnectError::NothingInCommon { .. }) && !error.is_transient(), "{error}");
        let has = format!("127.0.0.1:{} offers no {what} that is allowed: it has {name}; set ", sshd.port);
        let advice = format!("set `{option} +{name}` in ~/.ssh/config or in `ansible_ssh_extra_args` (`-o {option}=+{name}`) to use it");
        assert!(error.to_string().starts_with(&has) && error.to_string().contains(&advice), "{error}");

        works(with(&sshd.ssh(), option, &format!("+{name}")), name).await;
        if !["diffie-hellman-group14-sha1", "hmac-sha1"].contains(&name) {
            continue;
        }
        let config = std::fs::read_to_string(sshd.at("ssh_config")).unwrap();
        std::fs::write(sshd.at("ssh_config"), format!("Host 127.*\n  {option} ^{name}\n{config}")).unwrap();
        works(sshd.ssh(), name).await;
        // Where ssh is asked, its own usual list is nobody's wish.
        std::fs::write(sshd.at("ssh_config"), format!("Match user nobody-at-all\n{config}")).unwrap();
        let error = refused(sshd.ssh()).await.to_string();
        assert!(error.starts_with(&has) && error.contains(&format!("(`-o {option}=+{name}`) to use it")), "{error}");
        std::fs::write(sshd.at("ssh_config"), format!("Match host 127.*\n  {option} ^{name}\n{config}")).unwrap();
        works(sshd.ssh(), name).await;
        let error = refused(with(&sshd.ssh(), option, &format!("-{name}"))).await;
        assert!(error.to_string().ends_with(&format!("asks for `{option} -{name}`, which leaves out {name}")), "{error}");
    }
}

#[tokio::test]
async fn a_list_may_name_what_there_is_not() {
    let Some(sshd) = Sshd::start("").await else { return };
    works(with(&sshd.ssh(), "KexAlgorithms", "sntrup761x25519-sha512@openssh.com,curve25519-sha256"), "a mixed list").await;
    let error = refused(with(&sshd.ssh(), "MACs", "umac-128-etm@openssh.com")).await.to_string();
    assert!(error.contains("`MACs umac-128-etm@openssh.com` leaves no MAC that is implemented; there are hmac-sha2-512"), "{error}");
    let config = std::fs::read_to_string(sshd.at("ssh_config")).unwrap();
    std::fs::write(sshd.at("ssh_config"), format!("{config}\n  Ciphers aes512-ctr\n")).unwrap();
    let error = refused(sshd.ssh()).await.to_string();
    assert!(error.contains("ssh_config line 6: Bad SSH2 cipher spec 'aes512-ctr'"), "{error}");
}

#[tokio::test]
async fn a_host_key_that_signs_with_sha1_only() {
    let Some(mut sshd) = Sshd::start("HostKeyAlgorithms ssh-rsa").await else { return };
    keygen(&sshd.at("host_rsa"), "rsa", "");
    sshd.restart(&format!("HostKey {}", sshd.at("host_rsa").display())).await;
    let words = public(&sshd.at("host_rsa"));
    std::fs::write(sshd.at("known_hosts"), format!("[127.0.0.1]:{} {words}\n", sshd.port)).unwrap();
    for pinned_host_key in [None, Some(words)] {
        let ssh = Ssh { pinned_host_key, ..sshd.ssh() };
        let error = refused(ssh.clone()).await.to_string();
        assert!(
            error.contains("offers no kind of host key that is allowed: it has ssh-rsa; set `HostKeyAlgorithms +ssh-rsa` in"),
            "{error}"
        );
        works(with(&ssh, "HostKeyAlgorithms", "+ssh-rsa"), "ssh-rsa").await;
        let mut long = with(&ssh, "HostKeyAlgorithms", "+ssh-rsa");
        long.options.push(("requiredrsasize".to_owned(), "3073".to_owned()));
        let error = refused(long).await.to_string();
        assert!(error.contains("has only 3072 bits, and `RequiredRSASize` is 3073: ssh-rsa SHA256:"), "{error}");
    }
    let error = refused(with(&sshd.ssh(), "HostKeyAlgorithms", "+ssh-rsa")).await;
    assert!(matches!(error, ConnectError::HostKey(HostKeyError::NotPinned { .. })), "{error}");
    assert!(error.to_string().contains("is one of ssh-rsa, but the inventory pins ssh-ed25519 SHA256:"), "{error}");
}

#[tokio::test]
async fn an_authority_that_signs_with_sha1() {
    let Some(mut sshd) = Sshd::start("").await else { return };
    keygen(&sshd.at("ca"), "rsa", "");
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-I", "web1", "-h", "-t", "ssh-rsa", "-s"]).arg(sshd.at("ca")).arg(sshd.at("host_ed25519.pub"));
    assert!(sign.status().unwrap().success());
    sshd.restart(&format!("HostCertificate {}-cert.pub", sshd.at("host_ed25519").display())).await;
    std::fs::write(sshd.at("known_hosts"), format!("@cert-authority * {}\n", public(&sshd.at("ca")))).unwrap();
    let ssh = Ssh { pinned_host_key: None, ..sshd.ssh() };
    let error = refused(ssh.clone()).await.to_string();
    assert!(error.ends_with("it is signed with ssh-rsa, which `CASignatureAlgorithms` does not allow"), "{error}");
    works(with(&ssh, "CASignatureAlgorithms", "+ssh-rsa"), "ssh-rsa").await;
}

#[tokio::test]
async fn what_our_keys_sign_with() {
    let Some(mut sshd) = Sshd::start("").await else { return };
    let key = sshd.at("rsa");
    keygen(&key, "rsa", "");
    std::fs::write(sshd.at("authorized_keys"), public(&key)).unwrap();
    let ssh = Ssh { private_keys: vec![key.clone()], ..sshd.ssh() };
    let asking = |value: &str| with(&ssh, "PubkeyAcceptedAlgorithms", value);
    works(asking("rsa-sha2-256"), "rsa-sha2-256").await;
    let error = refused(asking("-rsa-sha2-*")).await.to_string();
    assert!(error.contains("/rsa (not offered: `PubkeyAcceptedAlgorithms` does not allow RSA)"), "{error}");
    let error = refused(Ssh { private_keys: vec![sshd.at("id")], ..asking("-ssh-ed25519") }).await.to_string();
    assert!(error.contains("/id (not offered: `PubkeyAcceptedAlgorithms` does not allow ssh-ed25519)"), "{error}");

    // An RSA certificate signs with SHA-2 like its key.
    keygen(&sshd.at("ca"), "ed25519", "");
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    std::fs::write(sshd.at("authorized_keys"), format!("cert-authority {}\n", public(&sshd.at("ca")))).unwrap();
    for (key, algorithm) in [("rsa", "rsa-sha2-512"), ("id", "ssh-ed25519")] {
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-I", "deploy", "-n", user.trim(), "-s"]).arg(sshd.at("ca")).arg(sshd.at(key));
        assert!(sign.status().unwrap().success());
        works(Ssh { private_keys: vec![sshd.at(key)], ..asking(&format!("{algorithm}-cert-v01@openssh.com")) }, key).await;
        std::fs::remove_file(sshd.at(&format!("{key}-cert.pub"))).unwrap();
    }

    std::fs::write(sshd.at("authorized_keys"), public(&key)).unwrap();
    sshd.restart("PubkeyAcceptedAlgorithms ssh-rsa").await;
    assert!(matches!(refused(ssh.clone()).await, ConnectError::Auth { .. }));
    works(asking("ssh-rsa"), "ssh-rsa").await;
}
