//! From a record to an event.
//!
//! Goes in: the bytes of one record. Comes out: at most one event for the sink, and an up-to-date process table. One
//! [`Event`] is filled again and again; names, numbers and constant values are found beforehand.

use std::fmt::Write as _;

use kestrel_bpf::record::exec::section;
use kestrel_bpf::record::{Body, Exec, Exit, Flags, Fork, Kind, Record, Task, push_lossy};
use kestrel_ir::event::{Event, EventFlags, FieldTable};
use kestrel_schema::{EventKind, event_kind_by_id};

use super::allow::AllowFields;
use super::clock::Clock;
use super::enrich::{Actor, Enricher};
use super::fields::Fields;
use super::host::Host;
use super::names::Names;
use super::sys;
use super::{Environment, KindSet, Ledger, LiveOptions, Loss, LossNews};
use crate::process_table::bootstrap::Snapshot;
use crate::process_table::{EntityId, EntryKind, Facts, Image, ProcessTable};

mod capabilities;
mod file;
mod images;
mod names;
mod process;

use images::{ImageWriter, push_display, push_some};

/// `S_IFREG`: only such files have content.
const REGULAR: u32 = 0o100_000;

/// Turns records into events; see the head of this file.
pub(super) struct Translator {
    fields: Fields,
    table: ProcessTable,
    kinds: KindSet,
    capabilities: bool,
    environment: Environment,
    agent_id: String,
    host: Host,
    clock: Clock,
    users: Names,
    groups: Names,
    enricher: Enricher,
    ledger: Ledger,
    /// The last number of each CPU.
    sequences: Vec<Place>,
    losses: LossNews,
    /// The latest time so far, nanoseconds since boot.
    latest: u64,
    ordinal: u64,
    /// What the sink is not given though it asked for its kind.
    allow: super::Allow,
    allow_fields: AllowFields,
    /// Whether the sink is given the ends of all processes, allowed or not.
    lineage: bool,
    event: Event,
    /// Where texts are put together.
    text: String,
}

/// The last record of a CPU.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    sequence: u64,
    /// Nanoseconds since boot.
    time: u64,
}

/// Whether a record is an event.
enum News {
    Event,
    /// The second news of one exit.
    Repeated,
    /// A call that changed nothing.
    Unchanged,
}

impl Translator {
    pub(super) fn new(options: LiveOptions) -> Self {
        let host = Host::read();
        let agent_id = if options.agent_id.is_empty() { host.id.clone() } else { options.agent_id };
        let fields = Fields::new();
        Translator {
            allow_fields: AllowFields::new(&fields.table),
            allow: options.allow,
            lineage: options.lineage,
            fields,
            table: ProcessTable::new(options.limits),
            kinds: options.kinds,
            capabilities: options.capabilities,
            environment: options.environment,
            agent_id,
            host,
            clock: Clock::new(),
            users: Names::new("/etc/passwd"),
            groups: Names::new("/etc/group"),
            enricher: Enricher::new(options.demand),
            ledger: Ledger::default(),
            sequences: Vec::new(),
            losses: LossNews::default(),
            latest: 0,
            ordinal: 0,
            event: Event::new(),
            text: String::new(),
        }
    }

    pub(super) fn load(&mut self, snapshots: Vec<Snapshot>) {
        self.table.load(snapshots);
    }

    /// A process as it is now, which may run something else than the table knows.
    pub(super) fn renew(&mut self, found: &Snapshot) {
        let known = self.table.get(found.facts.id).map(|process| *process.image == found.image);
        if known != Some(true) {
            self.table.exec(found.facts, found.image.clone());
        }
    }

    pub(super) fn set_kinds(&mut self, kinds: KindSet) {
        self.kinds = kinds;
    }

    pub(super) fn set_allow(&mut self, allow: super::Allow) {
        self.allow = allow;
    }

    pub(super) fn set_lineage(&mut self, lineage: bool) {
        self.lineage = lineage;
    }

    pub(super) fn set_demand(&mut self, demand: super::Demand) {
        self.enricher.set_demand(demand);
    }

    pub(super) fn set_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    pub(super) fn fields(&self) -> &FieldTable {
        &self.fields.table
    }

    pub(super) fn table(&self) -> &ProcessTable {
        &self.table
    }

    /// An entity id as it stands in events.
    #[cfg(test)]
    pub(super) fn print(&self, id: EntityId) -> String {
        self.host.boot.print(id).to_string()
    }

    /// This side of the ledger; the kernel's counters are zero.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger { clock_steps: self.clock.steps, ..self.ledger.clone() }
    }

    /// To be called before a batch of records.
    pub(super) fn start_batch(&mut self) {
        self.clock.refresh();
    }

    /// Takes in one record; whether the sink got an event.
    pub(super) fn record(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&Event)) -> bool {
        let Ok(record) = Record::parse(bytes) else {
            self.ledger.malformed += 1;
            return false;
        };
        let kind = record.header.kind;
        self.ledger.count(kind, |part| part.received += 1);
        self.note_sequence(&record);
        let timestamp = self.in_order(record.header.timestamp);
        match self.keep_table(&record) {
            News::Event => {}
            News::Repeated => {
                self.ledger.count(kind, |part| part.repeated += 1);
                return false;
            }
            News::Unchanged => {
                self.ledger.count(kind, |part| part.unchanged += 1);
                return false;
            }
        }
        let wanted = !record.header.flags.upkeep();
        let asked = self.kinds.contains(kind);
        if asked && (wanted || self.enricher.remembers()) {
            self.fill(&record, timestamp);
        }
        if !asked || !wanted {
            self.ledger.count(kind, |part| part.upkeep += 1);
            return false;
        }
        // Who remembers processes forgets them by their ends.
        let must_come = self.lineage && kind == Kind::Exit;
        if !must_come && !self.allow.is_empty() && self.allow_fields.allow(&self.allow, &self.event) {
            self.ledger.count(kind, |part| part.allowed += 1);
            return false;
        }
        self.ordinal += 1;
        self.ledger.count(kind, |part| part.delivered += 1);
        sink(&self.event);
        true
    }

    fn note_sequence(&mut self, record: &Record<'_>) {
        let cpu = record.header.cpu as usize;
        // The kernel's limit is 8,192 CPUs; a number beyond that is not worth memory.
        if cpu >= self.sequences.len() && cpu < 8_192 {
            self.sequences.resize(cpu + 1, Place::default());
        }
        let Some(last) = self.sequences.get_mut(cpu) else { return };
        let (sequence, time) = (record.header.sequence, record.header.timestamp);
        let count = if sequence > last.sequence {
            let missing = sequence - last.sequence - 1;
            self.ledger.gaps += missing;
            i64::try_from(missing).unwrap_or(i64::MAX)
        } else {
            // A program was interrupted by another between taking its number and its place in the ring.
            self.ledger.gaps = self.ledger.gaps.saturating_sub(1);
            -1
        };
        if count != 0 {
            let (since, until) = (self.clock.calendar(last.time), self.clock.calendar(time));
            self.losses.add(Loss { place: record.header.cpu, since, until, count });
        }
        last.sequence = last.sequence.max(sequence);
        last.time = last.time.max(time);
    }

    /// What is told of losses.
    pub(super) fn losses(&self) -> LossNews {
        self.losses.clone()
    }

    /// The latest time so far, nanoseconds since boot.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// Tells of a loss between `since`, nanoseconds since boot, and now.
    pub(super) fn note_lost(&self, count: u64, since: u64) {
        let now = u64::try_from(sys::boot_clock()).unwrap_or(self.latest);
        let (since, until) = (self.clock.calendar(since), self.clock.calendar(now.max(self.latest)));
        self.losses.add(Loss { place: Loss::NO_PLACE, since, until, count: i64::try_from(count).unwrap_or(i64::MAX) });
    }

    fn in_order(&mut self, timestamp: u64) -> u64 {
        if timestamp < self.latest {
            self.ledger.late += 1;
            self.ledger.latest = self.ledger.latest.max(self.latest - timestamp);
        }
        self.latest = self.latest.max(timestamp);
        self.latest
    }

    /// Brings the table up to date; whether this is news.
    fn keep_table(&mut self, record: &Record<'_>) -> News {
        let task = &record.task;
        let mut facts = facts(task);
        match &record.body {
            Body::Exec(exec) => {
                let image = image(exec, task, record.header.flags);
                self.table.exec(facts, image);
            }
            Body::Fork(fork) => {
                // Who called fork, even if CLONE_PARENT made the child somebody else's: lineage is origin.
                facts.parent = Some(EntityId::from_start_time(fork.creator_pid, fork.creator_start_time));
                self.table.fork(facts, &lossy(task.comm()));
            }
            Body::Exit(_) => {
                if !self.table.exit(facts, &lossy(task.comm())) {
                    return News::Repeated;
                }
            }
            Body::UidChange | Body::GidChange => {
                let before = self.table.get(facts.id).map(|process| (process.facts.users, process.facts.groups));
                self.table.look(facts, task.comm());
                let unchanged = before.is_some_and(|(users, groups)| match record.header.kind {
                    Kind::UidChange => users == facts.users,
                    _ => groups == facts.groups,
                });
                if unchanged {
                    return News::Unchanged;
                }
            }
            // What was remembered is older than what the table knows; and nobody has number 0.
            Body::Network(_) if task.remembered || task.pid == 0 => {}
            _ => self.table.look(facts, task.comm()),
        }
        News::Event
    }

    fn fill(&mut self, record: &Record<'_>, timestamp: u64) {
        self.event.clear();
        self.event.timestamp = self.clock.calendar(timestamp);
        self.event.ordinal = self.ordinal;
        self.event.tiebreaker = i64::try_from(self.ordinal).unwrap_or(i64::MAX);
        let flags = record.header.flags;
        if flags.truncated() {
            self.event.flags.insert(EventFlags::TRUNCATED);
        }
        if flags.unreadable() {
            self.event.flags.insert(EventFlags::UNREADABLE);
        }
        self.fill_event(record, timestamp);
        // Nobody has number 0: then it is not known who acted.
        if record.task.pid != 0 {
            let id = facts(&record.task).id;
            self.fill_task(record);
            self.fill_lineage(id);
            self.enrich(record, id);
        }
        match &record.body {
            Body::Exec(exec) => self.fill_exec(exec, &record.task),
            Body::Exit(exit) => self.fill_end(*exit),
            _ => self.fill_act(record),
        }
    }

    fn fill_event(&mut self, record: &Record<'_>, timestamp: u64) {
        let (event, fields) = (&mut self.event, &self.fields.event);
        event.push_integer(fields.timestamp, event.timestamp);
        if let Some(EventKind { category, event_type, action, .. }) = event_kind_by_id(record.header.kind.number()) {
            category.iter().for_each(|category| event.push_text(fields.category, category));
            event_type.iter().for_each(|event_type| event.push_text(fields.event_type, event_type));
            event.push_text(fields.action, action);
        }
        event.push_text(fields.kind, "event");
        event.push_text(fields.module, "kestrel");
        event.push_integer(fields.sequence, event.tiebreaker);
        let Record { header, .. } = record;
        self.text.clear();
        // Boot, time, CPU and its count: no two records share all four. Writing to a string cannot fail.
        let _ = write!(self.text, "{:08x}-{timestamp:x}-{:x}-{:x}", self.host.boot.0, header.cpu, header.sequence);
        event.push_text(fields.id, &self.text);
        event.push_text(fields.os_type, "linux");
        event.push_text(fields.host_id, &self.host.id);
        event.push_text(fields.host_name, &self.host.name);
        event.push_text(fields.host_hostname, &self.host.name);
        event.push_text(fields.agent_id, &self.agent_id);
        event.push_text(fields.agent_type, "kestrel");
    }

    /// What the record itself says about the process.
    fn fill_task(&mut self, record: &Record<'_>) {
        let (event, fields, task) = (&mut self.event, &self.fields.process, &record.task);
        event.push_integer(fields.vpid, task.namespace_pid.into());
        if task.tty_major != 0 {
            event.push_integer(fields.tty_major, task.tty_major.into());
            event.push_integer(fields.tty_minor, task.tty_minor.into());
        }
        for (field, number) in [
            (fields.namespace_mount, task.mount_namespace.into()),
            (fields.namespace_network, task.network_namespace.into()),
            (fields.namespace_pid, task.pid_namespace.into()),
            (fields.cgroup_id, task.cgroup_id),
        ] {
            // 0: the process has given it up, or the kernel has no such thing.
            if let (1.., Ok(number)) = (number, i64::try_from(number)) {
                event.push_integer(field, number);
            }
        }
        let text = &mut self.text;
        let mut push_id = |field, id: u32| push_display(event, text, field, id);
        push_id(fields.user_id, task.effective_user_id);
        push_id(fields.event_user_id, task.effective_user_id);
        push_id(fields.real_user_id, task.user_id);
        push_id(fields.event_real_user_id, task.user_id);
        push_id(fields.saved_user_id, task.saved_user_id);
        push_id(fields.group_id, task.effective_group_id);
        push_id(fields.event_group_id, task.effective_group_id);
        push_id(fields.real_group_id, task.user_group_id);
        push_id(fields.event_real_group_id, task.user_group_id);
        push_id(fields.saved_group_id, task.saved_group_id);
        if let Some(name) = self.users.name(task.effective_user_id) {
            event.push_text(fields.user_name, name);
            event.push_text(fields.event_user_name, name);
        }
        if let Some(name) = self.groups.name(task.effective_group_id) {
            event.push_text(fields.group_name, name);
            event.push_text(fields.event_group_name, name);
        }
    }

    /// What the table knows: the process's image, its parent, leaders and ancestors.
    fn fill_lineage(&mut self, id: EntityId) {
        let Some(process) = self.table.get(id) else { return };
        let mut writer = ImageWriter {
            event: &mut self.event,
            text: &mut self.text,
            table: &self.table,
            clock: &self.clock,
            host: &self.host,
        };
        let fields = &self.fields;
        writer.process(&fields.own, process);
        if let Some(parent) = process.facts.parent {
            writer.relative(&fields.parent, parent);
            if let Some(parent) = self.table.get(parent) {
                push_display(writer.event, writer.text, fields.process.parent_user_id, parent.facts.users[1]);
                push_display(writer.event, writer.text, fields.process.parent_group_id, parent.facts.groups[1]);
            }
        }
        for (fields, leader) in [
            (&fields.session_leader, process.session_leader),
            (&fields.group_leader, process.group_leader),
            (&fields.entry_leader, process.entry_leader),
        ] {
            if let Some(leader) = leader {
                writer.relative(fields, leader);
            }
        }
        let entry = process.entry_leader.and_then(|leader| self.table.get(leader));
        if let Some(kind) = entry.and_then(|leader| leader.entry_kind) {
            writer.event.push_text(fields.process.entry_type, EntryKind::name(kind));
        }
        for ancestor in self.table.ancestry(id) {
            push_display(writer.event, writer.text, fields.process.ancestry, self.host.boot.print(ancestor));
        }
        if let Some(previous) = &process.previous {
            push_some(writer.event, fields.process.previous_executable, &previous.executable);
            previous.arguments().for_each(|argument| writer.event.push_text(fields.process.previous_args, argument));
        }
    }

    fn enrich(&mut self, record: &Record<'_>, id: EntityId) {
        let actor = Actor {
            id,
            process: self.table.get(id),
            cgroup: record.task.cgroup_id,
            mount_namespace: record.task.mount_namespace,
            is_exec: matches!(record.body, Body::Exec(_)),
            is_fork: matches!(record.body, Body::Fork(_)),
            timestamp: self.event.timestamp,
        };
        if let Body::Exec(Exec { cgroup, .. }) | Body::Fork(Fork { cgroup, .. }) = &record.body
            && !cgroup.as_bytes().is_empty()
        {
            self.text.clear();
            cgroup.write_to(&mut self.text);
            self.enricher.learn_cgroup(record.task.cgroup_id, &self.text);
        }
        self.enricher.fill_process(&mut self.event, &self.fields.enrich, &actor, &self.table);
        if let Body::File(file) = &record.body
            && record.header.kind != Kind::FileDelete
            && file.file_type.is_none_or(|kind| kind == REGULAR)
            && self.enricher.wants_files()
        {
            self.text.clear();
            file.name.write_to(&mut self.text);
            let inode = file.inode.map(|(inode, _)| inode);
            self.enricher.fill_file(&mut self.event, &self.fields.enrich, &actor, &self.text, inode);
        }
    }

    fn fill_exec(&mut self, exec: &Exec<'_>, task: &Task) {
        let fields = &self.fields.process;
        for variable in exec.environment.iter().filter(|variable| self.environment.takes(variable)) {
            self.text.clear();
            push_lossy(&mut self.text, variable);
            self.event.push_text(fields.env_vars, &self.text);
        }
        if !self.capabilities {
            return;
        }
        for (field, set) in [
            (fields.capabilities_effective, task.capabilities_effective),
            (fields.capabilities_permitted, task.capabilities_permitted),
        ] {
            capabilities::names(set).for_each(|name| self.event.push_text(field, name));
        }
    }

    fn fill_end(&mut self, exit: Exit) {
        // A signal gives the code that a shell would show: there is no field for the signal itself.
        let code = exit.code().map_or_else(|| exit.signal().map_or(0, |signal| 128 + i64::from(signal)), i64::from);
        self.event.push_integer(self.fields.process.exit_code, code);
        self.event.push_integer(self.fields.process.end, self.event.timestamp);
    }
}

fn facts(task: &Task) -> Facts {
    Facts {
        id: EntityId::from_start_time(task.pid, task.start_time),
        parent: (task.parent_pid != 0).then(|| EntityId::from_start_time(task.parent_pid, task.parent_start_time)),
        session: task.session_id,
        group: task.group_id,
        namespace_pid: task.namespace_pid,
        start_time: task.start_time,
        users: [task.user_id, task.effective_user_id, task.saved_user_id],
        groups: [task.user_group_id, task.effective_group_id, task.saved_group_id],
        tty: (task.tty_major, task.tty_minor),
        kernel_thread: task.kernel_thread,
        interactive: task.interactive,
    }
}

fn image(exec: &Exec<'_>, task: &Task, flags: Flags) -> Image {
    let mut executable = String::new();
    if exec.executable.as_bytes().is_empty() {
        // Unreadable: what exec was asked to run is the next best, and the record is flagged.
        push_lossy(&mut executable, exec.filename);
    } else {
        exec.executable.write_to(&mut executable);
    }
    let name = match executable.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.into(),
        _ => lossy(task.comm()),
    };
    if flags.section(section::EXECUTABLE).unlinked() {
        executable.push_str(" (deleted)"); // as /proc/PID/exe says it, and as rules look for it
    }
    let mut working_directory = String::new();
    exec.directory.write_to(&mut working_directory);
    Image {
        name,
        executable: executable.into(),
        arguments: lossy(exec.arguments.as_bytes()),
        argument_count: exec.argument_count,
        working_directory: working_directory.into(),
        truncated: flags.truncated(),
    }
}

fn lossy(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len());
    push_lossy(&mut text, bytes);
    text.into_boxed_str()
}

#[cfg(test)]
mod tests;
