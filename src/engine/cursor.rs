//! A host's place in a play, as data: which task is next, where a failure leads, what was included on the way.

use crate::playbook::{Block, Entry, RoleCall, Task};
use crate::vars::VarMap;
use std::sync::Arc;

/// Where a task stands in the play, comparable between hosts: of two hosts, the one with the smaller place is behind.
pub type Place = Vec<u32>;

/// What a host does next.
#[derive(Clone)]
pub struct Step {
    pub place: Place,
    pub task: Arc<Task>,
    /// Variables of the includes that led here, outermost first.
    pub include_vars: Vec<Arc<VarMap>>,
    pub is_handler: bool,
}

/// A stack of frames, the innermost last. Empty: the host has come to the end.
#[derive(Clone)]
pub struct Cursor {
    frames: Vec<Frame>,
    failed: bool,
}

#[derive(Clone)]
struct Frame {
    entries: Entries,
    index: usize,
    is_handlers: bool,
    include_vars: Option<Arc<VarMap>>,
    /// A failure waits for this `always` to end.
    fails_after: bool,
    /// The block has a `rescue` of which something is to be run.
    rescues: bool,
}

#[derive(Clone)]
enum Entries {
    /// A section of the play, or an included file.
    List(Arc<Vec<Entry>>),
    Block(Arc<Block>, Part),
    /// What one include task brought for this host: one file, or one per item of its loop. Also the lists of handlers.
    Includes(Vec<Included>),
}

/// A file that was included.
#[derive(Clone)]
pub struct Included {
    /// Tells the files of one include task apart, alike on all hosts.
    pub ordinal: u32,
    pub entries: Arc<Vec<Entry>>,
    pub vars: Arc<VarMap>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Block,
    Rescue,
    Always,
}

/// What the caller knows about an entry that the cursor comes to.
pub trait Choose {
    /// Whether a task is to be run at all (tags; for handlers: was it notified).
    fn wants(&mut self, task: &Arc<Task>, is_handler: bool) -> bool;
    /// Whether `--tags` and `--skip-tags` choose a task.
    fn chooses(&self, task: &Task, is_handler: bool) -> bool;
    /// Whether a block is entered: false for a role's that ran already.
    fn enters(&mut self, block: &Arc<Block>) -> bool;
    /// A block ended without failing.
    fn leaves(&mut self, block: &Arc<Block>);
}

impl Cursor {
    pub fn new(entries: Arc<Vec<Entry>>) -> Cursor {
        Cursor { frames: vec![Frame::new(Entries::List(entries))], failed: false }
    }

    /// The next task, without going past it.
    pub fn next(&mut self, choose: &mut dyn Choose) -> Option<Step> {
        loop {
            let is_handler = self.frames.iter().any(|frame| frame.is_handlers);
            let frame = self.frames.last_mut()?;
            match frame.entries.get(frame.index) {
                Some(Item::Entry(Entry::Task(task))) => {
                    if choose.wants(&task, is_handler) {
                        return Some(Step { place: self.place(), task, include_vars: self.include_vars(), is_handler });
                    }
                    self.advance();
                }
                Some(Item::Entry(Entry::Block(block))) => {
                    if choose.enters(&block) {
                        let rescues = holds_chosen(&block.rescue, &|task| choose.chooses(task, is_handler));
                        self.frames.push(Frame { rescues, ..Frame::new(Entries::Block(block, Part::Block)) });
                    } else {
                        self.advance();
                    }
                }
                Some(Item::File(entries, vars)) => {
                    self.frames.push(Frame { include_vars: Some(vars), ..Frame::new(Entries::List(entries)) });
                }
                None => self.end_frame(choose),
            }
        }
    }

    /// Goes past the task that `next` gave.
    pub fn advance(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.index += 1;
        }
    }

    /// Opens included files at the present task, in place of going past it.
    pub fn include(&mut self, files: Vec<Included>) {
        self.frames.push(Frame::new(Entries::Includes(files)));
    }

    /// Opens the handlers at the present task (`meta: flush_handlers`), in place of going past it.
    pub fn flush(&mut self, handlers: Vec<Included>) {
        self.frames.push(Frame { is_handlers: true, ..Frame::new(Entries::Includes(handlers)) });
    }

    /// The task that `next` gave has failed: goes to where the failure leads, a `rescue`, an `always` or the end.
    pub fn fail(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            let next = match &frame.entries {
                Entries::Block(block, Part::Block) if frame.rescues => Some((block.clone(), Part::Rescue)),
                Entries::Block(block, Part::Block | Part::Rescue) if !block.always.is_empty() => Some((block.clone(), Part::Always)),
                _ => None,
            };
            if let Some((block, part)) = next {
                frame.entries = Entries::Block(block, part);
                frame.index = 0;
                frame.fails_after = part == Part::Always;
                return;
            }
            self.frames.pop();
        }
        self.failed = true;
    }

    /// Whether a `rescue` would catch a failure now, at once or after an `always` on the way to it.
    pub fn would_rescue(&self) -> bool {
        self.frames.iter().any(|frame| frame.rescues && matches!(&frame.entries, Entries::Block(_, Part::Block)))
    }

    /// Whether the host has failed for good, or will when its `always` is done.
    pub fn is_failing(&self) -> bool {
        self.failed || self.frames.iter().any(|frame| frame.fails_after)
    }

    /// Whether the host has failed and no rescue has caught it.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// `meta: clear_host_errors`.
    pub fn forgive(&mut self) {
        self.failed = false;
        for frame in &mut self.frames {
            frame.fails_after = false;
        }
    }

    /// The call of the innermost role.
    pub fn role_call(&self) -> Option<&RoleCall> {
        self.frames.iter().rev().find_map(|frame| match &frame.entries {
            Entries::Block(block, _) => block.role_call.as_ref(),
            _ => None,
        })
    }

    /// Leaves the innermost role (`meta: end_role`).
    pub fn end_role(&mut self) {
        let is_role = |frame: &Frame| matches!(&frame.entries, Entries::Block(block, _) if block.role_call.is_some());
        if let Some(at) = self.frames.iter().rposition(is_role) {
            self.frames.truncate(at);
            self.advance();
        }
    }

    fn end_frame(&mut self, choose: &mut dyn Choose) {
        let Some(mut frame) = self.frames.pop() else { return };
        if let Entries::Block(block, part) = &frame.entries {
            if *part != Part::Always && !block.always.is_empty() {
                frame.entries = Entries::Block(block.clone(), Part::Always);
                frame.index = 0;
                self.frames.push(frame);
                return;
            }
            if frame.fails_after {
                self.fail();
                return;
            }
            choose.leaves(block);
        }
        self.advance();
    }

    fn place(&self) -> Place {
        let numbers = |frame: &Frame| match &frame.entries {
            Entries::List(_) => [0, frame.index as u32],
            Entries::Block(_, part) => [*part as u32, frame.index as u32],
            Entries::Includes(files) => [0, files.get(frame.index).map_or(u32::MAX, |file| file.ordinal)],
        };
        self.frames.iter().flat_map(numbers).collect()
    }

    fn include_vars(&self) -> Vec<Arc<VarMap>> {
        self.frames.iter().filter_map(|frame| frame.include_vars.clone()).collect()
    }
}

impl Frame {
    fn new(entries: Entries) -> Frame {
        Frame { entries, index: 0, is_handlers: false, include_vars: None, fails_after: false, rescues: false }
    }
}

/// Whether there is a task to be run among entries. A `rescue` of which the tags leave nothing rescues nothing, as in Ansible.
fn holds_chosen(entries: &[Entry], chooses: &dyn Fn(&Task) -> bool) -> bool {
    entries.iter().any(|entry| match entry {
        Entry::Task(task) => chooses(task),
        Entry::Block(block) => [&block.block, &block.rescue, &block.always].iter().any(|part| holds_chosen(part, chooses)),
    })
}

enum Item {
    Entry(Entry),
    File(Arc<Vec<Entry>>, Arc<VarMap>),
}

impl Entries {
    fn get(&self, index: usize) -> Option<Item> {
        let list = match self {
            Entries::List(list) => list.as_slice(),
            Entries::Block(block, Part::Block) => &block.block,
            Entries::Block(block, Part::Rescue) => &block.rescue,
            Entries::Block(block, Part::Always) => &block.always,
            Entries::Includes(files) => return files.get(index).map(|file| Item::File(file.entries.clone(), file.vars.clone())),
        };
        list.get(index).cloned().map(Item::Entry)
    }
}
