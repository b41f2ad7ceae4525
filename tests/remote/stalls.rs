//! What is said of jobs that do nothing: each way of waiting for real.

use crate::sshd::probe;
use crate::users::Host;
use nodewright::remote::{Connection, Run};
use nodewright::sh::Script;
use std::path::Path;
use std::time::Duration;

/// What is to be waited for; `lock-frontend` is dpkg's, in a mount namespace.
const SCENE: &str = r#"
cd "$(mktemp -d)" && pwd && mkfifo read write tty apt-in question install open && : >flocked && : >posix && : >apt
cp /bin/sh apt-get
mount --bind apt /var/lib/dpkg/lock-frontend
printf '%s\n' 'Template: asking/what' 'Type: string' 'Description: what?' ' Say it.' >asking.templates
printf '%s\n' '#!/bin/sh' '. /usr/share/debconf/confmodule' 'db_input critical asking/what' 'db_go' >asking.config
printf '%s\n' '#!/bin/sh' '. /usr/share/debconf/confmodule' 'exec sleep 321' >working.sh
for one in 1 2; do
  printf '%s\n' 'Config: config' 'Templates: templates' '' 'Name: config' 'Driver: File' "Filename: $PWD/config$one" '' \
    'Name: templates' 'Driver: File' "Filename: $PWD/templates$one" >debconf$one.conf
done
chmod +x asking.config working.sh
"#;

/// Holds three locks until it is told to end: two as `flock` does, one as `fcntl` does.
const HOLD: &str = r#"
cd DIR
flock flocked sh -c 'echo >flocked.held; exec sleep 120' & flock apt sh -c 'echo >apt.held; exec sleep 120' &
perl -e 'use Fcntl; open(F, ">", "posix"); $l = pack("ssx4qqix4", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; open(G, ">", "posix.held"); close G; sleep 120' &
wait
"#;

/// The script, the program that is named, what its command line begins with, and why.
const CASES: [(&str, &str, &str); 12] = [
    ("sleep 321; true", "sleep 321", "it sleeps"),
    ("sleep 321 | cat", "sleep 321", "it sleeps"),
    ("cat DIR/open; true", "cat DIR/open", "it waits for another program to open the other end of a named pipe"),
    ("exec 3<>DIR/read; cat <&3; true", "cat", "it waits for what another program writes to DIR/read"),
    ("exec 3<>DIR/write; tr a b </dev/zero >&3; true", "tr a b", "it waits for another program to read what it writes"),
    ("exec 3<>DIR/tty; script -qec 'head -n 1' /dev/null <&3; true", "head -n 1", "it waits for somebody to type something"),
    (
        "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\"); \
         $s = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $l->sockport); <$s>'; true",
        "perl -MIO::Socket::INET",
        "it waits for the network",
    ),
    ("flock DIR/flocked true; true", "flock DIR/flocked true", "it waits for a lock, held by `flock` (pid "),
    (
        "perl -e 'use Fcntl; open(F, \">\", \"DIR/posix\"); $l = pack(\"ssx4qqix4\", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLKW, $l)'; true",
        "perl -e use Fcntl",
        "it waits for a lock, held by `perl` (pid ",
    ),
    (
        "exec 3<>DIR/apt-in; DIR/apt-get -c 'read line' debconf-utils <&3; true",
        "DIR/apt-get -c read line debconf-utils",
        "the lock /var/lib/dpkg/lock-frontend is held by `flock` (pid ",
    ),
    (
        "exec 3<>DIR/question; DEBCONF_SYSTEMRC=DIR/debconf1.conf DEBIAN_FRONTEND=teletype DIR/asking.config <&3; true",
        "/bin/sh DIR/asking.config",
        "a question of debconf that nobody can answer",
    ),
    ("exec 3<>DIR/install; DEBCONF_SYSTEMRC=DIR/debconf2.conf DEBIAN_FRONTEND=teletype DIR/working.sh <&3; true", "sleep 321", "it sleeps"),
];

/// The first that is said of a job.
async fn said_of(connection: Connection, script: String) -> String {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let on_wait = move |what: &str| drop(tell.send(what.to_owned()));
    let run = Run { on_wait: Some(std::sync::Arc::new(on_wait)), stall_after: Some(Duration::from_secs(1)), ..Run::default() };
    let job = connection.apply(Script::new(script), run);
    let said = async {
        let limited = tokio::time::timeout(Duration::from_secs(60), told.recv());
        let said = limited.await.ok().flatten().unwrap_or_else(|| "nothing was said".to_owned());
        connection.interrupt();
        said
    };
    tokio::join!(job, said).1
}

#[tokio::test]
async fn who_waits_and_for_what() {
    let Some(host) = Host::start("").await else { return };
    for needed in ["/usr/share/debconf/frontend", "/usr/bin/perl", "/usr/bin/script", "/usr/bin/flock", "/var/lib/dpkg/lock-frontend"] {
        if !Path::new(needed).exists() {
            return crate::support::skip("who_waits_and_for_what", &format!("{needed} is not there"));
        }
    }
    let root = host.connect("root").await;
    let dir = probe(&root, SCENE).await.stdout_text().trim().to_owned();
    let fill = |text: &str| text.replace("DIR", &dir);
    let holder = host.connect("root").await;
    let holding = tokio::spawn({
        let (holder, hold) = (holder.clone(), Script::new(fill(HOLD)));
        async move { holder.apply(hold, Run::default()).await }
    });
    let held = probe(&root, &fill("cd DIR; n=0; until [ -e flocked.held ] && [ -e apt.held ] && [ -e posix.held ]; do sleep 0.05; n=$((n + 1)); [ $n -lt 400 ] || exit 1; done")).await;
    assert!(held.success(), "the locks are not held: {held:?}");
    let mut asked = tokio::task::JoinSet::new();
    for (n, (script, _, _)) in CASES.iter().enumerate() {
        let (connection, script) = (host.connect("root").await, fill(script));
        asked.spawn(async move { (n, said_of(connection, script).await) });
    }
    let mut wrong = String::new();
    while let Some(answer) = asked.join_next().await {
        let (n, said) = answer.unwrap();
        let (_, process, why) = CASES[n];
        let is_right = said.starts_with(&fill(&format!("`{process}")))
            && said.contains("` (pid ")
            && said.contains(&fill(&format!(": no output and no work for 1 s; {why}")));
        if !is_right {
            wrong.push_str(&format!("{n}: {process}; {why}: {said}\n"));
        }
    }
    holder.interrupt();
    let _ = holding.await;
    assert!(held.success(), "the locks are not held: {held:?}");
    probe(&root, &fill("umount /var/lib/dpkg/lock-frontend; rm -rf DIR")).await;
    assert!(wrong.is_empty(), "{wrong}");
}
