//! Who is who: every process of the host, alive or lately gone, with its lineage.
//!
//! Goes in: plain facts ([`Facts`], [`Image`]) about forks, execs, exits and what `/proc` showed at the start. Comes out:
//! for an entity id its process, parent, leaders and ancestry. The table does no IO and reads no clock, so that tests
//! feed it made-up hosts; [`bootstrap`] is the reader of `/proc`, and nothing else here touches the system.
//!
//! - A process is known by its [`EntityId`], never by its number alone: numbers are used again.
//! - Lineage is that of birth. A process whose parent ends goes to a reaper in the kernel's books; here its parent stays
//!   who created it, or a double fork would wash off its origin.
//! - An ended process stays while there is room, because its children's events tell of it. Room is bounded in processes
//!   and in bytes; what has to go goes in the order of ending, those with living children last, and is counted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

pub mod bootstrap;
pub mod entity;
mod entry;
mod room;

pub use entity::{BootTag, EntityId};
pub use entry::EntryKind;

/// How long an ancestry is given, from the parent upwards; as in Elastic Defend.
pub const ANCESTRY_LIMIT: usize = 20;

/// How much the table may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processes, alive and ended together.
    pub processes: usize,
    /// Ended processes.
    pub ended: usize,
    /// Bytes of paths and arguments.
    pub bytes: usize,
    /// What is kept of one process's arguments once `bytes` is used up by living processes.
    pub arguments_when_full: usize,
}

impl Default for Limits {
    /// 65,536 processes, 8,192 of them ended, 16 MiB of text.
    fn default() -> Self {
        Limits { processes: 65_536, ended: 8_192, bytes: 16 << 20, arguments_when_full: 1_024 }
    }
}

/// What a process runs. Shared between a process and the children that it forks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The file's name without its folder; of a kernel thread its short name.
    pub name: Box<str>,
    /// The full path, empty when unknown.
    pub executable: Box<str>,
    /// The arguments, each followed by a NUL.
    pub arguments: Box<str>,
    /// How many arguments the process got; more than [`Image::arguments`] holds if they were cut.
    pub argument_count: u32,
    /// The working directory at exec time, empty when unknown.
    pub working_directory: Box<str>,
    /// Whether something above was cut.
    pub truncated: bool,
}

impl Image {
    /// The arguments in order.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let none = self.arguments.is_empty();
        let area = self.arguments.strip_suffix('\0').unwrap_or(&self.arguments);
        area.split('\0').skip(usize::from(none))
    }

    fn bytes(&self) -> usize {
        size_of::<Image>()
            + self.name.len()
            + self.executable.len()
            + self.arguments.len()
            + self.working_directory.len()
    }
}

/// What one look at a process tells about it, apart from its image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Who.
    pub id: EntityId,
    /// Its parent at the time of the look, if known.
    pub parent: Option<EntityId>,
    /// Number of its session.
    pub session: u32,
    /// Number of its process group.
    pub group: u32,
    /// Its number as it sees it itself.
    pub namespace_pid: u32,
    /// When it began, in nanoseconds since boot; from `/proc` only to a hundredth of a second.
    pub start_time: u64,
    /// Real, effective, saved user.
    pub users: [u32; 3],
    /// Real, effective, saved group.
    pub groups: [u32; 3],
    /// Controlling terminal, major and minor number; `(0, 0)` without one.
    pub tty: (u32, u32),
    /// Whether its standard input and its standard error are that terminal.
    pub interactive: bool,
    /// Whether it is a thread of the kernel.
    pub kernel_thread: bool,
}

/// A process of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What the last look told; `facts.parent` is the parent of birth.
    pub facts: Facts,
    /// What it runs.
    pub image: Arc<Image>,
    /// What it ran before its last exec.
    pub previous: Option<Arc<Image>>,
    /// The leader of its session.
    pub session_leader: Option<EntityId>,
    /// The leader of its process group.
    pub group_leader: Option<EntityId>,
    /// The process through which its session came into being.
    pub entry_leader: Option<EntityId>,
    /// How; of an entry leader only.
    pub entry_kind: Option<EntryKind>,
    /// Whether it has ended.
    pub ended: bool,
    /// Children of it that are in the table and alive.
    living_children: u32,
}

/// What the table had to do to stay within its limits, and other oddities, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Ended processes that were forgotten.
    pub forgotten_ended: u64,
    /// Living processes that were forgotten, because everything was full of them.
    pub forgotten_living: u64,
    /// Images whose arguments were cut for want of room.
    pub arguments_cut: u64,
    /// Processes that turned out to have ended unseen, because their number was used again.
    pub missed_exits: u64,
    /// Execs and exits of processes that nobody announced.
    pub unannounced: u64,
    /// Exits of processes that had ended already; nothing is done for them.
    pub repeated_exits: u64,
}

/// All processes; see the head of this file.
#[derive(Debug, Default)]
pub struct ProcessTable {
    limits: Limits,
    processes: HashMap<EntityId, Process>,
    /// The last process that had a number.
    by_pid: HashMap<u32, EntityId>,
    /// Ended processes in the order of their ending.
    ended: VecDeque<EntityId>,
    /// Living ones in the order of their coming, some of them ended or forgotten since.
    arrivals: VecDeque<EntityId>,
    bytes: usize,
    counters: TableCounters,
}

impl ProcessTable {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        ProcessTable { limits, ..ProcessTable::default() }
    }

    /// Takes in what `/proc` showed: processes that run, and zombies as ended. What is known already stays.
    pub fn load(&mut self, snapshots: Vec<bootstrap::Snapshot>) {
        let mut loaded = Vec::with_capacity(snapshots.len());
        for snapshot in entry::parents_first(snapshots) {
            let id = snapshot.facts.id;
            if self.processes.contains_key(&id) {
                continue;
            }
            self.insert(snapshot.facts, Arc::new(snapshot.image));
            if snapshot.zombie {
                self.end(id);
            }
            loaded.push(id);
        }
        // Only now, since a leader may come after those it leads.
        for id in loaded {
            self.resolve_leaders(id);
        }
    }

    /// A process was created; it runs what its parent runs. `name` is for a parent that is not known.
    pub fn fork(&mut self, facts: Facts, name: &str) -> EntityId {
        let parent = facts.parent.and_then(|parent| self.processes.get(&parent));
        let image = match parent {
            Some(parent) => Arc::clone(&parent.image),
            None => Arc::new(Image { name: name.into(), ..Image::default() }),
        };
        self.insert(facts, image);
        // What `/proc` showed may have been the reaper already; the news of the birth knows better.
        let known = self.processes.get(&facts.id).and_then(|process| process.facts.parent);
        if known != facts.parent && facts.parent.is_some() {
            self.leave_parent(facts.id);
            if let Some(process) = self.processes.get_mut(&facts.id) {
                process.facts.parent = facts.parent;
            }
            self.join_parent(facts.id);
        }
        self.resolve_leaders(facts.id);
        facts.id
    }

    /// A process runs something else now.
    pub fn exec(&mut self, facts: Facts, image: Image) -> EntityId {
        if !self.processes.contains_key(&facts.id) {
            self.counters.unannounced += 1;
        }
        self.insert(facts, Arc::new(image));
        self.resolve_leaders(facts.id);
        facts.id
    }

    /// A process did something else; what can change in its life is brought up to date. `name` is for one that nobody
    /// announced.
    pub fn look(&mut self, facts: Facts, name: &[u8]) {
        match self.processes.get_mut(&facts.id) {
            // The news of an end may overtake the last acts; they change nothing any more.
            Some(process) if process.ended => {}
            Some(process) => {
                let led_elsewhere = (process.facts.session, process.facts.group) != (facts.session, facts.group);
                refresh(&mut process.facts, facts);
                if led_elsewhere {
                    self.resolve_leaders(facts.id);
                }
            }
            None => {
                self.counters.unannounced += 1;
                let name = String::from_utf8_lossy(name).into();
                self.insert(facts, Arc::new(Image { name, ..Image::default() }));
                self.resolve_leaders(facts.id);
            }
        }
    }

    /// A process ended. `false` when it is known to have ended before: then this is the second news of one end.
    pub fn exit(&mut self, facts: Facts, name: &str) -> bool {
        match self.processes.get_mut(&facts.id) {
            Some(process) if process.ended => {
                self.counters.repeated_exits += 1;
                return false;
            }
            Some(process) => {
                // A process closes its descriptors before it ends.
                let interactive = process.facts.interactive;
                refresh(&mut process.facts, Facts { interactive, ..facts });
            }
            None => {
                self.counters.unannounced += 1;
                self.insert(facts, Arc::new(Image { name: name.into(), ..Image::default() }));
                self.resolve_leaders(facts.id);
            }
        }
        self.end(facts.id);
        true
    }

    /// The process with that id.
    pub fn get(&self, id: EntityId) -> Option<&Process> {
        self.processes.get(&id)
    }

    /// The last process that had that number.
    pub fn by_pid(&self, pid: u32) -> Option<&Process> {
        self.processes.get(self.by_pid.get(&pid)?)
    }

    /// The ancestors of a process from its parent upwards, [`ANCESTRY_LIMIT`] at most. The last one may be known by its
    /// id alone.
    pub fn ancestry(&self, id: EntityId) -> impl Iterator<Item = EntityId> {
        let parent_of = |id: EntityId| self.processes.get(&id).and_then(|process| process.facts.parent);
        std::iter::successors(parent_of(id), move |&id| parent_of(id)).take(ANCESTRY_LIMIT)
    }

    /// How many processes there are, alive and ended.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Bytes held in images; an image that several processes share counts once.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What happened to the table itself.
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    /// Adds a process, or renews what is known of it.
    fn insert(&mut self, facts: Facts, image: Arc<Image>) {
        let image = self.fit(image);
        if Arc::strong_count(&image) == 1 {
            self.bytes += image.bytes();
        }
        if let Some(process) = self.processes.get_mut(&facts.id) {
            refresh(&mut process.facts, facts);
            let before = std::mem::replace(&mut process.image, image);
            let older = if before == process.image { Some(before) } else { process.previous.replace(before) };
            older.into_iter().for_each(|image| self.release(image));
        } else {
            // Late news of a process whose number is another's by now must not end that one.
            let namesake = self.by_pid.get(&facts.id.pid);
            let succeeded = namesake.is_some_and(|other| other.start_ticks > facts.id.start_ticks);
            if !succeeded {
                self.end_namesake(facts.id);
                self.by_pid.insert(facts.id.pid, facts.id);
            }
            self.arrivals.push_back(facts.id);
            let process = Process {
                facts,
                image,
                previous: None,
                session_leader: None,
                group_leader: None,
                entry_leader: None,
                entry_kind: None,
                ended: false,
                living_children: 0,
            };
            self.processes.insert(facts.id, process);
            self.join_parent(facts.id);
            if succeeded {
                self.end(facts.id);
            }
        }
        self.make_room(facts.id);
    }

    /// Lets go of an image; its bytes are free when nobody else runs it.
    fn release(&mut self, image: Arc<Image>) {
        if Arc::strong_count(&image) == 1 {
            self.bytes = self.bytes.saturating_sub(image.bytes());
        }
    }

    fn join_parent(&mut self, id: EntityId) {
        let parent = self.processes.get(&id).and_then(|process| process.facts.parent);
        if let Some(parent) = parent.and_then(|parent| self.processes.get_mut(&parent)) {
            parent.living_children += 1;
        }
    }

    fn leave_parent(&mut self, id: EntityId) {
        let parent = self.processes.get(&id).and_then(|process| process.facts.parent);
        if let Some(parent) = parent.and_then(|parent| self.processes.get_mut(&parent)) {
            parent.living_children = parent.living_children.saturating_sub(1);
        }
    }

    /// Another process with this number must have ended, or the kernel could not have given the number again.
    fn end_namesake(&mut self, id: EntityId) {
        let Some(&other) = self.by_pid.get(&id.pid) else { return };
        if other != id && self.processes.get(&other).is_some_and(|process| !process.ended) {
            self.counters.missed_exits += 1;
            self.end(other);
        }
    }

    fn end(&mut self, id: EntityId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        if std::mem::replace(&mut process.ended, true) {
            return;
        }
        self.leave_parent(id);
        self.ended.push_back(id);
        self.make_room(id);
    }
}

/// Takes over what can change in a process's life. The parent of birth stays, and so does the exact start time.
fn refresh(known: &mut Facts, news: Facts) {
    *known = Facts { parent: known.parent.or(news.parent), start_time: known.start_time.max(news.start_time), ..news };
}

#[cfg(test)]
mod tests;
