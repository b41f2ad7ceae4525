//! Scripts and jobs through real shells of this machine: dash, busybox's ash and bash.

use super::*;
use crate::sh::Script;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

struct Host {
    connection: Connection,
    meter: Arc<Meter>,
    shell: String,
    _directory: TempDir,
}

/// A connection per shell that this machine has.
async fn hosts() -> Vec<Host> {
    measured(Meter::default).await
}

async fn measured(meter: fn() -> Meter) -> Vec<Host> {
    let mut hosts = Vec::new();
    for program in ["/bin/dash", "/bin/busybox", "/bin/bash"] {
        if !std::path::Path::new(program).exists() {
            eprintln!("skipped: {program} is not there");
            continue;
        }
        // By the name `sh`: busybox and bash go by it.
        let directory = tempfile::tempdir().unwrap();
        let shell = directory.path().join("sh").display().to_string();
        std::os::unix::fs::symlink(program, &shell).unwrap();
        let target = Target { name: "here".into(), transport: Transport::Local };
        let meter = Arc::new(meter());
        let connection = Connection::of_run(&target, &shell, &frame::random_id(), meter.clone()).await.unwrap();
        hosts.push(Host { connection, meter, shell: program.to_owned(), _directory: directory });
    }
    hosts
}

impl Host {
    async fn probe(&self, text: &str) -> Output {
        self.connection.probe(Script::new(text), Run::default()).await.unwrap()
    }

    async fn apply(&self, text: &str) -> Output {
        self.connection.apply(Script::new(text), Run::default()).await.unwrap()
    }
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < Duration::from_secs(20), "this took too long");
        tokio::task::yield_now().await;
    }
}

fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[tokio::test]
async fn a_script_touches_nothing_but_itself() {
    for host in hosts().await {
        let before = host.probe("umask; pwd").await.stdout;
        let first = host.probe("cd /; set -f; umask 077; x=1; trap 'echo bye' EXIT; echo out; echo err >&2; exit 3").await;
        assert_eq!(
            (first.status, first.stdout_text().as_ref(), first.stderr_text().as_ref()),
            (3, "out\nbye\n", "err\n"),
            "{}",
            host.shell
        );
        assert_eq!(host.probe("umask; pwd; echo ${x-}").await.stdout, [&before[..], b"\n"].concat());
        assert_eq!(host.probe("if").await.status, 2, "a syntax error stays inside: {}", host.shell);
        assert_eq!(host.probe("kill -9 $(exec sh -c 'echo $PPID')").await.status, 137, "{}", host.shell);
        assert_eq!(host.probe("printf 'no newline'; # and a comment").await.stdout, b"no newline");
        assert_eq!(host.probe("cat <<'END'\nit's\nEND").await.stdout, b"it's\n");
    }
}

#[tokio::test]
async fn every_byte_arrives_on_both_ways() {
    let mut bytes: Vec<u8> = b"-n %s\\n'\\c".to_vec();
    bytes.extend((0..=255u8).chain((0..=255).rev()));
    let large: Vec<u8> = (0..700_000u32).flat_map(|n| n.to_le_bytes()).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &large).unwrap();
    for host in hosts().await {
        for input in [&bytes, &large, &Vec::new()] {
            let script = Script::new("cat; echo \"$A\" >&2").with_input(&input[..]).with_environment([("A".into(), "it's\n\"a\"".into())]);
            for output in [host.connection.probe(script.clone(), Run::default()).await, host.connection.apply(script, Run::default()).await]
            {
                let output = output.unwrap();
                assert!(output.stdout == *input, "{}: {} of {} bytes", host.shell, output.stdout.len(), input.len());
                assert_eq!(output.stderr_text(), "it's\n\"a\"\n");
            }
        }
        let from_file = host.connection.apply(Script::new("cksum; cat").with_file(file.path()), Run::default()).await.unwrap();
        assert!(from_file.stdout.is_empty() || from_file.stdout.starts_with(b"2"), "{}", host.shell);
        assert_eq!(host.probe("echo ${A-unset}; cat").await.stdout, b"unset\n", "neither input nor environment stay");
        // A script that reads only half of its input, or nothing.
        let half = Script::new("head -c 3 >/dev/null; echo read").with_input(&bytes[..]);
        assert_eq!(host.connection.probe(half, Run::default()).await.unwrap().stdout, b"read\n");
    }
}

#[tokio::test]
async fn a_job_is_like_a_script_and_leaves_nothing() {
    for host in hosts().await {
        let output = host.apply("echo out; echo err >&2; exit 3").await;
        assert_eq!((output.status, output.stdout_text().as_ref(), output.stderr_text().as_ref()), (3, "out\n", "err\n"), "{}", host.shell);
        assert_eq!(host.apply("kill -9 $$").await.status, 137, "{}", host.shell);
        assert_eq!(host.apply("if").await.status, 2);
        assert_eq!(host.apply("echo $#; exit").await.stdout, b"0\n");
        let place = host
            .apply("for d in /run/nodewright/* ~/.cache/nodewright/jobs/*; do grep -l 'a word of its own' $d/script; done 2>/dev/null")
            .await;
        let place = place.stdout_text().trim().trim_end_matches("/script").to_owned();
        assert!(place.contains("nodewright"), "{}: {place}", host.shell);
        until(async || !std::path::Path::new(&place).exists()).await;
    }
}

#[tokio::test]
async fn output_of_a_job_is_seen_while_it_runs() {
    for host in hosts().await {
        let go = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let path = go.display().to_string();
        let seen = Arc::new(AtomicUsize::new(0));
        let (seen_too, path_too) = (seen.clone(), path.clone());
        let run = Run {
            on_line: Some(Arc::new(move |line| {
                // The job goes on only once its first line was seen.
                if line == "first" {
                    std::fs::remove_file(&path_too).unwrap();
                }
                seen_too.fetch_add(1, Ordering::SeqCst);
            })),
            ..Run::default()
        };
        let text = format!("echo first; while [ -e {path} ]; do sleep 0.05; done; echo second; echo third >&2");
        let output = host.connection.apply(Script::new(text), run).await.unwrap();
        assert_eq!(output.stdout, b"first\nsecond\n");
        assert_eq!(output.stderr, b"third\n");
        assert_eq!(seen.load(Ordering::SeqCst), 3, "{}", host.shell);
    }
}

#[tokio::test]
async fn a_timeout_kills_the_whole_group() {
    let running = tokio::task::LocalSet::new();
    let mut tasks = Vec::new();
    for host in hosts().await {
        tasks.push(running.spawn_local(async move {
            for is_job in [false, true] {
                let run = Run { timeout: Some(Duration::from_secs(1)), ..Run::default() };
                let script = Script::new("echo before; sh -c 'echo $$; exec sleep 987'; echo after");
                let result = if is_job { host.connection.apply(script, run).await } else { host.connection.probe(script, run).await };
                let Err(RunError::Timeout { stdout, after, .. }) = result else { panic!("{}: {result:?}", host.shell) };
                assert_eq!(after, Duration::from_secs(1));
                let stdout = String::from_utf8(stdout).unwrap();
                let pid = stdout.strip_prefix("before\n").unwrap().trim().to_owned();
                until(async || is_gone(&pid)).await;
                assert_eq!(host.probe("echo still here").await.stdout, b"still here\n");
            }
        }));
    }
    running.await;
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_job_that_does_not_listen_is_killed_in_the_end() {
    let hosts = hosts().await;
    let host = &hosts[0];
    let run = Run { timeout: Some(Duration::from_secs(1)), ..Run::default() };
    let result = host.connection.apply(Script::new("trap '' TERM; while :; do sleep 1; done"), run).await;
    assert!(matches!(result, Err(RunError::Timeout { .. })), "{result:?}");
}

#[tokio::test]
async fn dropping_a_call_does_not_hold_up_the_next() {
    for host in hosts().await {
        for is_job in [false, true] {
            let (started, is_running) = tokio::sync::oneshot::channel();
            let started = Mutex::new(Some(started));
            let on_line = move |line: &str| {
                if let Some(started) = lock(&started).take() {
                    started.send(line.to_owned()).unwrap();
                }
            };
            // By a name that no other run of these tests has: the jobs of a machine are in one place.
            let title = format!("dropped {}", frame::random_id());
            let run = Run { title: title.clone(), on_line: Some(Arc::new(on_line)), ..Run::default() };
            let script = Script::new("sh -c 'echo $$; exec sleep 986'");
            let connection = host.connection.clone();
            let running =
                tokio::spawn(async move { if is_job { connection.apply(script, run).await } else { connection.probe(script, run).await } });
            let pid = is_running.await.unwrap();
            let behind = tokio::spawn({
                let connection = host.connection.clone();
                async move { connection.probe(Script::new("echo behind"), Run::default()).await }
            });
            running.abort();
            assert_eq!(behind.await.unwrap().unwrap().stdout, b"behind\n", "{}", host.shell);
            if is_job {
                // It outlives us; whoever comes later finds it.
                assert!(!is_gone(&pid));
                let dropped = async |host: &Host| {
                    let jobs = host.connection.unfinished_jobs(Run::default()).await.unwrap();
                    jobs.iter().filter(|job| job.what == title).count()
                };
                assert_eq!(dropped(&host).await, 0, "our own jobs are not those of an earlier run");
                let later = hosts().await.into_iter().find(|later| later.shell == host.shell).unwrap();
                assert!(dropped(&later).await > 0);
                later.probe(&format!("for job in \"$nw_jobs\"/*/; do ! grep -q '{title}' \"$job/title\" || rm -rf \"$job\"; done")).await;
                host.probe(&format!("kill {pid}")).await;
            }
            until(async || is_gone(&pid)).await;
        }
    }
}

#[tokio::test]
async fn a_later_run_finds_an_unfinished_job_and_gets_its_answer() {
    for host in hosts().await {
        let go = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let title = format!("install nginx for {} {}", host.shell, frame::random_id());
        let (started, is_running) = tokio::sync::oneshot::channel();
        let started = Mutex::new(Some(started));
        let on_line = move |_: &str| {
            if let Some(started) = lock(&started).take() {
                started.send(()).unwrap();
            }
        };
        let run = Run { title: title.clone(), on_line: Some(Arc::new(on_line)), ..Run::default() };
        let script = Script::new(format!("echo one; while [ -e {} ]; do sleep 0.05; done; echo two; exit 5", go.display()));
        let running = tokio::spawn({
            let connection = host.connection.clone();
            async move { connection.apply(script, run).await }
        });
        is_running.await.unwrap();
        running.abort();
        let later = hosts().await.into_iter().find(|later| later.shell == host.shell).unwrap();
        let jobs = later.connection.unfinished_jobs(Run::default()).await.unwrap();
        let job = jobs.iter().find(|job| job.what == title).unwrap_or_else(|| panic!("{}: {jobs:?}", host.shell));
        assert!(job.since.elapsed().unwrap() < Duration::from_secs(20));
        let (answer, ()) = tokio::join!(later.connection.wait_for_job(job, Run::default()), async { go.close().unwrap() });
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.stdout_text().as_ref()), (5, "one\ntwo\n"));
        let left = later.connection.unfinished_jobs(Run::default()).await.unwrap();
        assert!(left.iter().all(|other| other.id != job.id), "{left:?}");
        later.probe(&format!("rm -rf \"$nw_jobs\"/{}", job.id)).await;
    }
}

#[tokio::test]
async fn a_script_that_kills_its_shell_is_not_tried_for_ever() {
    for host in hosts().await {
        let result = host.connection.probe(Script::new("kill -9 $$"), Run::default()).await;
        assert!(matches!(result, Err(RunError::Shell(_))), "{}: {result:?}", host.shell);
        assert_eq!(host.probe("echo on").await.stdout, b"on\n");
    }
}

#[tokio::test]
async fn a_script_that_is_waited_for_takes_little_room() {
    let hosts = hosts().await;
    let waiting = hosts[0].connection.probe(Script::new("true"), Run::default());
    let size = size_of_val(&waiting);
    assert!(size <= 1536, "two dozen for each of hundreds of hosts: {size} bytes each");
    waiting.await.unwrap();
}

#[tokio::test]
async fn endless_output_ends() {
    let hosts = hosts().await;
    let host = &hosts[0];
    let result = host.connection.probe(Script::new("yes nodewright"), Run::default()).await;
    assert!(matches!(result, Err(RunError::TooMuchOutput { .. })), "{result:?}");
    assert_eq!(host.probe("echo on").await.stdout, b"on\n");
}

#[tokio::test]
async fn speed() {
    for host in hosts().await {
        host.probe("true").await;
        host.apply("true").await;
        let time = async |n: u32, is_job: bool| {
            let started = Instant::now();
            for _ in 0..n {
                if is_job {
                    host.apply("true").await
                } else {
                    host.probe("true").await
                };
            }
            started.elapsed() / n
        };
        let (probe, job) = (time(50, false).await, time(20, true).await);
        let started = Instant::now();
        let many = (0..50).map(|n| {
            let connection = host.connection.clone();
            tokio::spawn(async move { connection.probe(Script::new(format!("echo {n}")), Run::default()).await })
        });
        for (n, answer) in many.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(answer.await.unwrap().unwrap().stdout, format!("{n}\n").as_bytes());
        }
        let together = started.elapsed();
        let started = Instant::now();
        let binary = host.probe("head -c 20000000 /dev/urandom").await;
        let flood = started.elapsed();
        assert_eq!(binary.stdout.len(), 20_000_000);
        eprintln!("{}: probe {probe:?}, job {job:?}, 50 probes together {together:?}, 20 MB of binary {flood:?}", host.shell);
        // Far above what an idle machine needs (0.4, 10, 15 and 150 ms): only a stall or a quadratic search fails.
        assert!(probe < Duration::from_millis(200) && job < Duration::from_secs(1), "{probe:?} {job:?}");
        assert!(together < Duration::from_secs(3) && flood < Duration::from_secs(20), "{together:?} {flood:?}");
    }
}

#[tokio::test]
async fn counts_what_was_asked_and_how_long_the_host_took() {
    for host in measured(Meter::with_clock).await {
        host.probe("true").await;
        let before = host.meter.counts();
        assert_eq!((before.probes, before.jobs), (1, 0), "{}", host.shell);
        let output = host.probe("sleep 0.1; exit 3").await;
        assert_eq!(output.status, 3, "{}", host.shell);
        assert_eq!(host.apply("sleep 0.1; echo ' took 1 2'; exit 4").await.status, 4);
        let (first, second) = tokio::join!(host.probe("exit 5"), host.probe("exit 6"));
        assert_eq!((first.status, second.status), (5, 6));
        let news = host.meter.counts() - before;
        assert_eq!((news.probes, news.jobs, news.round_trips), (3, 1, 3), "{}: two of them went together", host.shell);
        // Each of its readings may be a step of the clock too early.
        assert!(news.on_host > Duration::from_millis(170), "{}: {:?}", host.shell, news.on_host);
        assert!(news.on_host < output.elapsed + Duration::from_secs(5), "{}: {:?}", host.shell, news.on_host);
    }
}

#[tokio::test]
async fn a_refused_sudo_says_why_and_is_not_tried_again() {
    let target = Target { name: "here".into(), transport: Transport::Local };
    let connection = Connection::connect(&target).await.unwrap();
    let r#become = Become { method: BecomeMethod::Sudo, user: "no such user".into(), ..Become::default() };
    let run = Run { r#become: Some(r#become), ..Run::default() };
    for _ in 0..2 {
        let error = connection.probe(Script::new("true"), run.clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot become `no such user`: `no such user` is not the name of a user");
    }
}
