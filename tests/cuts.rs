//! Connections cut at random moments of a run: nothing is lost, nothing is done twice, and the hosts end as if nothing had happened.
//!
//! `scripts/cuts N` makes N runs with cuts; a few are part of the tests. `SEED` begins with the cuts of that seed, `VERBOSE` shows what runs say.

#[path = "cuts/host.rs"]
mod host;
#[path = "cuts/proxy.rs"]
mod proxy;
mod support;

use host::Host;
use proxy::{Cut, Direction, Moment, Proxy, WAYS};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const HOSTS: [&str; 2] = ["one", "two"];
/// A run that takes longer hangs.
const TOO_LONG: Duration = Duration::from_secs(180);

/// Random, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    /// As many small numbers as large ones: the beginning of a connection is short in bytes and long in steps.
    fn magnitude(&mut self, limit: u64) -> u64 {
        let bits = self.below(u64::from(64 - limit.leading_zeros()) + 1);
        self.below(limit.min(1 << bits.min(62)))
    }
}

/// What an undisturbed run was like.
struct Whole {
    took: Duration,
    passed: [[u64; 2]; 2],
    end: End,
}

/// How a run left things.
#[derive(PartialEq)]
struct End {
    /// By path: mode, owner and content of everything on the hosts.
    files: BTreeMap<String, String>,
    recap: String,
}

struct Outcome {
    end: End,
    took: Duration,
    passed: [[u64; 2]; 2],
    n_connections: usize,
    status: Option<i32>,
    said: String,
    /// What is left of jobs.
    left: Vec<String>,
}

fn cuts(seed: u64, whole: &Whole) -> [Vec<Cut>; 2] {
    let mut dice = Dice(seed);
    let mut cuts = [Vec::new(), Vec::new()];
    for _ in 0..=dice.below(3) {
        let at = dice.below(2) as usize;
        let direction = [Direction::Up, Direction::Down][dice.below(2) as usize];
        let moment = match dice.below(3) {
            0 => Moment::After(Duration::from_micros(dice.below(whole.took.as_micros() as u64))),
            1 => Moment::Bytes(direction, dice.below(whole.passed[at][direction as usize])),
            _ => Moment::OfConnection(dice.below(3) as usize, direction, dice.magnitude(20_000)),
        };
        let away = if dice.below(3) == 0 { Duration::from_millis(dice.below(1500)) } else { Duration::ZERO };
        cuts[at].push(Cut { moment, way: WAYS[dice.below(WAYS.len() as u64) as usize], away });
    }
    cuts
}

/// One run of the playbook on fresh folders, through proxies that cut.
async fn run(host: &Host, place: &Path, cuts: [Vec<Cut>; 2]) -> Outcome {
    host.forget_jobs().await;
    let _ = std::fs::remove_dir_all(place);
    let mut inventory = String::from("all:\n  hosts:\n");
    let mut proxies = Vec::new();
    for (name, cuts) in HOSTS.iter().zip(cuts) {
        let dir = place.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("marks"), "").unwrap();
        host::open_to_all(&[place, &dir, &dir.join("marks")]);
        let proxy = Proxy::before(host.port, cuts).await;
        writeln!(inventory, "    {name}: {{ ansible_port: {}, dir: '{}' }}", proxy.port, dir.display()).unwrap();
        proxies.push(proxy);
    }
    inventory += &host.vars();
    std::fs::write(place.join("inventory.yaml"), inventory).unwrap();
    let large = place.join("large");
    std::fs::write(&large, (0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let started = Instant::now();
    let mut command = tokio::process::Command::from(support::nodewright());
    command.args(["run", "-T", "3", "-i"]).arg(place.join("inventory.yaml")).arg("-e").arg(format!("large={}", large.display()));
    command.arg(support::project().join("tests/cuts/site.yaml")).current_dir(place).kill_on_drop(true);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = tokio::time::timeout(TOO_LONG, child.wait_with_output()).await;
    let took = started.elapsed();
    let (status, said) = match output {
        Ok(output) => {
            let output = output.unwrap();
            (output.status.code(), support::said(&output))
        }
        Err(_) => (None, "it hangs".to_owned()),
    };
    Outcome {
        end: End { files: files(place), recap: recap(&said) },
        took,
        passed: [proxies[0].passed(), proxies[1].passed()],
        n_connections: proxies.iter().map(Proxy::n_connections).sum(),
        status,
        said,
        left: host.jobs_left().await,
    }
}

fn recap(said: &str) -> String {
    said.lines().filter(|line| line.contains("unreachable=")).collect::<Vec<_>>().join("\n")
}

fn files(place: &Path) -> BTreeMap<String, String> {
    use std::os::unix::fs::MetadataExt;
    let mut files = BTreeMap::new();
    let mut open: Vec<PathBuf> = HOSTS.iter().map(|name| place.join(name)).collect();
    while let Some(path) = open.pop() {
        let about = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(place).unwrap().display().to_string();
        let content = if about.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if name.ends_with("marks") {
            // In which order loops of two hosts come to the same file is nobody's business.
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines: Vec<_> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        } else {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.len() < 2000 { support::text(&bytes) } else { format!("{} bytes, {:x?}", bytes.len(), crc(&bytes)) }
        };
        files.insert(name, format!("{:o} {}:{} {content}", about.mode(), about.uid(), about.gid()));
    }
    files
}

fn crc(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What is wrong with a run, in words.
fn judge(outcome: &Outcome, whole: &Whole) -> Vec<String> {
    let mut wrong = Vec::new();
    if outcome.status != Some(0) {
        wrong.push(format!("it ended with {:?}", outcome.status));
    }
    if outcome.end.recap != whole.end.recap {
        wrong.push(format!("the recap is\n{}\nand not\n{}", outcome.end.recap, whole.end.recap));
    }
    let names = outcome.end.files.keys().chain(whole.end.files.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        let (is, should) = (outcome.end.files.get(name), whole.end.files.get(name));
        if is != should {
            wrong.push(format!("{name} is\n{}\nand not\n{}", is.map_or("missing", |text| text), should.map_or("missing", |text| text)));
        }
    }
    if !outcome.left.is_empty() {
        wrong.push(format!("jobs were left on the host: {:?}", outcome.left));
    }
    wrong
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_connections_are_cut_ends_like_any_other() {
    let n = number("CUTS", 4);
    let first_seed = number("SEED", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64 % 1_000_000);
    let n_workers = number("WORKERS", 4).min(n);
    let Some(host) = Host::start().await else { return };
    let place = host.place();
    let undisturbed = run(&host, &place.join("whole"), [Vec::new(), Vec::new()]).await;
    assert_eq!(undisturbed.status, Some(0), "{}", undisturbed.said);
    let marks = &undisturbed.end.files["one/marks"];
    let starts: Vec<&str> = marks.lines().filter_map(|line| line.split_once("start ")).map(|(_, task)| task).collect();
    assert!(starts.len() >= 17, "{marks}");
    let whole = Arc::new(Whole { took: undisturbed.took, passed: undisturbed.passed, end: undisturbed.end });
    println!("undisturbed: {:.1} s, {:?} bytes up and down; SEED={first_seed}", whole.took.as_secs_f64(), whole.passed);
    println!("{:<8} {:<7} {:<11} {:<6} cuts", "seed", "seconds", "connections", "result");
    let (next, n_failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..n_workers {
        let (whole, next, n_failed) = (whole.clone(), next.clone(), n_failed.clone());
        workers.spawn(async move {
            let host = Host::start().await.unwrap();
            let place = host.place().join("work");
            loop {
                let at = next.fetch_add(1, Ordering::SeqCst) as u64;
                if at >= n {
                    return worker;
                }
                let seed = first_seed + at;
                let cuts = cuts(seed, &whole);
                let told = format!("{cuts:?}");
                let outcome = run(&host, &place, cuts).await;
                let wrong = judge(&outcome, &whole);
                let result = if wrong.is_empty() { "ok" } else { "FAILED" };
                println!("{seed:<8} {:<7.1} {:<11} {result:<6} {told}", outcome.took.as_secs_f64(), outcome.n_connections);
                if std::env::var_os("VERBOSE").is_some() {
                    println!("{}", outcome.said);
                }
                if !wrong.is_empty() {
                    n_failed.fetch_add(1, Ordering::SeqCst);
                    println!("{}\n{}", wrong.join("\n"), outcome.said);
                }
            }
        });
    }
    workers.join_all().await;
    let n_failed = n_failed.load(Ordering::SeqCst) as u64;
    println!("{} passed, {n_failed} failed", n - n_failed);
    assert_eq!(n_failed, 0);
}
