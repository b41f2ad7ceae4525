//! The short run of the fuzz targets: the kept corpus, what the tests' own files hold, and mutations of both. `scripts/fuzz` is the long one.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// How many mutations of each target there are, unless `FUZZ_MUTATIONS` says otherwise.
const MUTATIONS: usize = 300;

/// No input takes longer. This is a build without optimisation, on a machine that does other things as well.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn corpus_and_mutations() {
    let mutations = std::env::var("FUZZ_MUTATIONS").ok().and_then(|number| number.parse().ok()).unwrap_or(MUTATIONS);
    let now: Arc<Mutex<Option<(&str, Instant, Vec<u8>)>>> = Arc::default();
    let watched = now.clone();
    // A hang cannot be caught: it is named, and the tests end.
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(LIMIT / 10);
            if let Some((target, since, input)) = &*watched.lock().expect("nobody panics with the lock")
                && since.elapsed() > LIMIT
            {
                eprintln!("{target} hangs on {:?}", String::from_utf8_lossy(input));
                std::process::abort();
            }
        }
    });
    for target in TARGETS {
        let inputs = seeds(target);
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        let mut random = SmallRng::seed_from_u64(20);
        let mutated = (0..mutations).map(|_| mutate(&inputs, &mut random)).collect::<Vec<_>>();
        for input in inputs.iter().chain(&mutated) {
            *now.lock().expect("nobody panics with the lock") = Some((target.name, Instant::now(), input.clone()));
            let outcome = std::panic::catch_unwind(|| (target.run)(input));
            assert!(outcome.is_ok(), "{} panics on {:?}", target.name, String::from_utf8_lossy(input));
        }
        *now.lock().expect("nobody panics with the lock") = None;
        println!("{}: {} kept, {} mutated", target.name, inputs.len(), mutated.len());
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = project.join("fuzz/corpus").join(target.name);
    files_in(&corpus).iter().map(|path| std::fs::read(path).expect("a kept input can be read")).collect()
}

/// One input with a few changes: bytes, pieces of itself or of another, what readers stumble over.
fn mutate(inputs: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"\xff",
        b"\n",
        b"\t",
        b"'",
        b"\"",
        b"{{",
        b"}}",
        b"{%",
        b": ",
        b"- ",
        b"&a",
        b"*a",
        b"[",
        b"]",
        b"99999999999999999999",
        b"-1",
        b"\xc3\xa4",
        b"\\",
    ];
    let mut input = inputs.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 40));
        match random.random_range(0..5) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 => drop(input.splice(at..end, [])),
            2 => {
                let piece = input[at..end].to_vec();
                let to = random.random_range(0..=input.len());
                drop(input.splice(to..to, piece));
            }
            3 => {
                let other = inputs.choose(random).map_or(&[][..], Vec::as_slice);
                let from = random.random_range(0..=other.len());
                let until = random.random_range(from..=other.len().min(from + 60));
                drop(input.splice(at..end, other[from..until].iter().copied()));
            }
            _ => drop(input.splice(at..at, PIECES.choose(random).copied().unwrap_or_default().iter().copied())),
        }
    }
    input
}
