//! What is given arbitrary input: every reader of something that somebody else wrote. One list, used by the long run (`scripts/fuzz`) and by the
//! short one among the tests (`tests/fuzz.rs`).
//!
//! A target is right if it returns. What is refused is refused by an error, and the error is drawn, because drawing has to bear any text too.

mod content;
mod host;

use nodewright::source::Diag;
use std::cell::RefCell;
use std::path::PathBuf;

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// The names are those of the folders in `fuzz/corpus`.
pub const TARGETS: &[Target] = &[
    Target { name: "ansible_cfg", run: content::ansible_cfg },
    Target { name: "condition", run: content::condition },
    Target { name: "extra_vars", run: content::extra_vars },
    Target { name: "framing", run: host::framing },
    Target { name: "inventory", run: content::inventory },
    Target { name: "key_value", run: content::key_value },
    Target { name: "known_hosts", run: host::known_hosts },
    Target { name: "module_arguments", run: host::module_arguments },
    Target { name: "pattern", run: content::pattern },
    Target { name: "playbook", run: content::playbook },
    Target { name: "probe", run: host::probe },
    Target { name: "regex", run: content::regex },
    Target { name: "ssh_config", run: host::ssh_config },
    Target { name: "template", run: content::template },
    Target { name: "template_file", run: content::template_file },
    Target { name: "vault", run: content::vault },
    Target { name: "yaml", run: content::yaml },
];

/// Draws a finding in each of the ways there are.
fn draw(diag: &Diag) {
    std::hint::black_box((diag.render(true), diag.with_origin(), diag.message()));
}

fn draw_all(diags: &[Diag]) {
    diags.iter().take(20).for_each(draw);
}

/// A file with this content, in a folder that the thread uses again and again.
fn file(name: &str, content: &[u8]) -> PathBuf {
    thread_local! {
        static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| {
            // Millions of files are written: in memory, where that is possible.
            let memory = PathBuf::from("/dev/shm");
            let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
            tempfile::Builder::new().prefix("fuzz").tempdir_in(place).expect("a folder for files")
        });
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    })
}

/// As text: what is no UTF-8 is refused when a file is read, and the `playbook` target sees that.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
