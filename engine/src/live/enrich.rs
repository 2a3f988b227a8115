//! What events get in user space, because no hook of the kernel can give it: containers, files' content, the way in.
//!
//! Goes in: which fields the loaded rules use ([`Demand`]), and each event's process. Comes out: those fields, and nothing
//! that no rule asks for, since all of it costs. What cannot be had, or not in time, is missing, and the event says that
//! something could not be read. Every table is limited in size, and waiting in time (`enrich/files.rs`).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kestrel_ir::event::{Event, EventFlags};

use super::containers::{Container, Containers, Remembered};
use super::fields::EnrichFields;
use super::proc_files;
use crate::process_table::{EntityId, EntryKind, Process, ProcessTable};

mod files;

use files::{Files, Look, Place, Wanted, WhyNot};

/// What is remembered of processes: digests of what they run, addresses from which they came in.
const REMEMBERED: usize = 8_192;
/// As much of a process's environment is looked at.
const ENVIRONMENT_LIMIT: usize = 128 << 10;

macro_rules! demand {
    ($($(#[$doc:meta])* $name:ident = $bit:literal: $($field:literal)*;)*) => {
        impl Demand {
            $($(#[$doc])* const $name: Demand = Demand(1 << $bit);)*
            /// What each field asks for.
            const TABLE: &[(&str, Demand)] = &[$($(($field, Demand::$name),)*)*];
        }
    };
}

/// The fields that are found out in user space and that somebody wants; none at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand(u32);

demand!(
    /// From the cgroup's path alone.
    CONTAINER = 0: "container.id" "container.runtime" "orchestrator.type" "orchestrator.resource.type"
        "orchestrator.resource.id";
    /// From the runtime's files.
    DETAILS = 1: "container.name" "container.image.name" "container.image.tag" "container.security_context.privileged"
        "orchestrator.namespace" "orchestrator.resource.name";
    /// From the environment of who came in through sshd.
    ENTRY_SOURCE = 2: "process.entry_leader.entry_meta.source.ip";
    PROCESS_MD5 = 3: "process.hash.md5";
    PROCESS_SHA1 = 4: "process.hash.sha1";
    PROCESS_SHA256 = 5: "process.hash.sha256";
    FILE_MD5 = 6: "file.hash.md5";
    FILE_SHA1 = 7: "file.hash.sha1";
    FILE_SHA256 = 8: "file.hash.sha256";
    FILE_HEADER = 9: "file.Ext.header_bytes";
    FILE_ENTROPY = 10: "file.Ext.entropy";
);

impl Demand {
    /// What these fields ask for; fields that come from elsewhere ask for nothing.
    ///
    /// ```
    /// use kestrel_engine::live::Demand;
    ///
    /// assert_eq!(Demand::of_fields(["process.name", "file.path"]), Demand::default());
    /// assert_ne!(Demand::of_fields(["container.id"]), Demand::default());
    /// ```
    pub fn of_fields<'f>(fields: impl IntoIterator<Item = &'f str>) -> Demand {
        let asked = |field| Demand::TABLE.iter().filter(move |(name, _)| *name == field).map(|(_, demand)| *demand);
        fields.into_iter().flat_map(asked).fold(Demand::default(), Demand::and)
    }

    /// All that there is.
    pub fn all() -> Demand {
        Demand::TABLE.iter().fold(Demand::default(), |all, (_, demand)| all.and(*demand))
    }

    /// Both together.
    pub fn and(self, other: Demand) -> Demand {
        Demand(self.0 | other.0)
    }

    /// Whether anything is wanted for which the cgroup's path is needed.
    pub(super) fn wants_containers(self) -> bool {
        self.has(Demand::CONTAINER.and(Demand::DETAILS))
    }

    fn has(self, other: Demand) -> bool {
        self.0 & other.0 != 0
    }

    fn of_executables(self) -> Wanted {
        Wanted {
            md5: self.has(Demand::PROCESS_MD5),
            sha1: self.has(Demand::PROCESS_SHA1),
            sha256: self.has(Demand::PROCESS_SHA256),
            ..Wanted::default()
        }
    }

    fn of_files(self) -> Wanted {
        Wanted {
            md5: self.has(Demand::FILE_MD5),
            sha1: self.has(Demand::FILE_SHA1),
            sha256: self.has(Demand::FILE_SHA256),
            header: self.has(Demand::FILE_HEADER),
            entropy: self.has(Demand::FILE_ENTROPY),
        }
    }
}

/// Who acts, as far as enrichment needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Actor<'a> {
    /// Who.
    pub(super) id: EntityId,
    /// What the table knows of it.
    pub(super) process: Option<&'a Process>,
    /// Its cgroup's number.
    pub(super) cgroup: u64,
    /// Its mount namespace's number; 0 when unknown.
    pub(super) mount_namespace: u32,
    /// Whether it runs something new.
    pub(super) is_exec: bool,
    /// Whether it has just been created.
    pub(super) is_fork: bool,
    /// When, in nanoseconds since 1970.
    pub(super) timestamp: i64,
}

/// Fills in what [`Demand`] names; see the head of this file.
pub(super) struct Enricher {
    demand: Demand,
    proc: PathBuf,
    containers: Option<Containers>,
    files: Option<Files>,
    executables: Remembered<EntityId, std::sync::Arc<Look>>,
    sources: Remembered<EntityId, Option<IpAddr>>,
    own_mount_namespace: Option<u32>,
}

impl Enricher {
    pub(super) fn new(demand: Demand) -> Self {
        let mut enricher = Enricher {
            demand: Demand::default(),
            proc: PathBuf::from("/proc"),
            containers: None,
            files: None,
            executables: Remembered::new(REMEMBERED),
            sources: Remembered::new(REMEMBERED),
            own_mount_namespace: proc_files::namespace_number(Path::new("/proc/self/ns/mnt")),
        };
        enricher.set_demand(demand);
        enricher
    }

    /// Changes what is wanted, from the next event on.
    pub(super) fn set_demand(&mut self, demand: Demand) {
        if demand == self.demand {
            return;
        }
        self.demand = demand;
        self.containers =
            demand.wants_containers().then(|| Containers::new(Path::new("/"), demand.has(Demand::DETAILS)));
        let files = demand.of_executables().any() || demand.of_files().any();
        // Without its thread, every event that wants a file says that it could not be read.
        self.files = files.then(|| Files::start(&self.proc).ok()).flatten();
        self.executables = Remembered::new(REMEMBERED);
    }

    /// What is about the process that acts.
    pub(super) fn fill_process(
        &mut self,
        event: &mut Event,
        fields: &EnrichFields,
        actor: &Actor<'_>,
        table: &ProcessTable,
    ) {
        if self.demand == Demand::default() {
            return;
        }
        self.fill_container(event, fields, actor);
        self.fill_digests(event, fields, actor);
        let leader = actor.process.and_then(|process| table.get(process.entry_leader?));
        if self.demand.has(Demand::ENTRY_SOURCE)
            && let Some(leader) = leader
            && let Some(address) = self.source_of(leader)
        {
            event.push_ip(fields.entry_source_ip, address);
        }
    }

    /// Whether something is remembered of processes that must be seen when they begin.
    pub(super) fn remembers(&self) -> bool {
        self.demand != Demand::default()
    }

    /// A numbered cgroup has this path.
    pub(super) fn learn_cgroup(&mut self, cgroup: u64, path: &str) {
        if let Some(containers) = &mut self.containers {
            containers.learn(cgroup, path);
        }
    }

    /// Whether somebody wants something of files' content.
    pub(super) fn wants_files(&self) -> bool {
        self.demand.of_files().any()
    }

    /// What is about the content of the file at `path`, as the acting process sees it. `inode` is its number, if known.
    pub(super) fn fill_file(
        &mut self,
        event: &mut Event,
        fields: &EnrichFields,
        actor: &Actor<'_>,
        path: &str,
        inode: Option<u64>,
    ) {
        let wanted = self.demand.of_files();
        let shared = self.own_mount_namespace == Some(actor.mount_namespace);
        let place = Place::Path { process: actor.id, path: PathBuf::from(path), inode, shared };
        let look = match self.files.as_mut().map(|files| files.look(place, wanted)) {
            Some(Ok(look)) => look,
            // A folder, or a device, has none of this; nothing is missing.
            Some(Err(WhyNot::NotRegular)) => return,
            _ => return event.flags.insert(EventFlags::UNREADABLE),
        };
        for (field, text) in [
            (fields.file_md5, &look.md5),
            (fields.file_sha1, &look.sha1),
            (fields.file_sha256, &look.sha256),
            (fields.file_header, &look.header),
        ] {
            if !text.is_empty() {
                event.push_text(field, text);
            }
        }
        if let Some(entropy) = look.entropy {
            event.push_float(fields.file_entropy, entropy);
        }
    }

    fn fill_container(&mut self, event: &mut Event, fields: &EnrichFields, actor: &Actor<'_>) {
        let Some(containers) = &mut self.containers else { return };
        if actor.is_exec {
            containers.forget(actor.id);
        }
        let parent = actor.process.and_then(|process| process.facts.parent);
        let Some(container) = containers.of(actor.id, actor.cgroup, parent) else { return };
        let Container { name, details } = &*container;
        let mut push = |field, text: Option<&str>| {
            if let Some(text) = text {
                event.push_text(field, text);
            }
        };
        push(fields.container_id, Some(&name.id));
        push(fields.container_runtime, name.runtime);
        push(fields.container_name, details.name.as_deref());
        push(fields.container_image, details.image.as_deref());
        push(fields.container_tag, details.tag.as_deref());
        if let Some(pod) = &name.pod {
            push(fields.orchestrator_type, Some("kubernetes"));
            push(fields.resource_type, Some("pod"));
            push(fields.resource_id, Some(pod));
        }
        push(fields.resource_name, details.pod_name.as_deref());
        push(fields.orchestrator_namespace, details.namespace.as_deref());
        if let Some(privileged) = details.privileged {
            event.push_boolean(fields.container_privileged, privileged);
        }
    }

    fn fill_digests(&mut self, event: &mut Event, fields: &EnrichFields, actor: &Actor<'_>) {
        let wanted = self.demand.of_executables();
        if !wanted.any() || actor.process.is_some_and(|process| process.facts.kernel_thread) {
            return;
        }
        let known = if actor.is_exec { None } else { self.executables.get(&actor.id).cloned() };
        // Who was just forked runs what its parent runs.
        let known = known.or_else(|| {
            let process = actor.process.filter(|_| actor.is_fork)?;
            self.executables.get(&process.facts.parent?).cloned()
        });
        let look = known.map(Ok).or_else(|| {
            let shared = self.own_mount_namespace == Some(actor.mount_namespace);
            let path = actor.process.map(|process| &*process.image.executable);
            let path = path.filter(|path| shared && !path.is_empty()).map(PathBuf::from);
            let place = Place::Executable { process: actor.id, path, unchanged_since: actor.timestamp };
            Some(self.files.as_mut()?.look(place, wanted))
        });
        let Some(Ok(look)) = look else {
            self.executables.remove(&actor.id);
            event.flags.insert(EventFlags::UNREADABLE);
            return;
        };
        for (field, text) in
            [(fields.process_md5, &look.md5), (fields.process_sha1, &look.sha1), (fields.process_sha256, &look.sha256)]
        {
            if !text.is_empty() {
                event.push_text(field, text);
            }
        }
        self.executables.insert(actor.id, look);
    }

    /// From where an entry leader came in: sshd tells its sessions.
    fn source_of(&mut self, leader: &Process) -> Option<IpAddr> {
        if leader.entry_kind != Some(EntryKind::Sshd) {
            return None;
        }
        let id = leader.facts.id;
        if let Some(known) = self.sources.get(&id) {
            return *known;
        }
        let file = self.proc.join(id.pid.to_string()).join("environ");
        let environment = proc_files::read_limited(&file, ENVIRONMENT_LIMIT).unwrap_or_default();
        let found = ssh_client(&environment).filter(|_| proc_files::is_alive(&self.proc, id));
        // A session leader gets its environment with its exec; before that there is nothing to remember.
        if found.is_some() {
            self.sources.insert(id, found);
        }
        found
    }
}

/// The client's address in `SSH_CONNECTION` (client, port, server, port) or `SSH_CLIENT`, as sshd(8) sets them.
fn ssh_client(environment: &[u8]) -> Option<IpAddr> {
    environment.split(|&byte| byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(b"SSH_CONNECTION=").or_else(|| variable.strip_prefix(b"SSH_CLIENT="))?;
        let address = std::str::from_utf8(value).ok()?.split(' ').next()?;
        // A link-local address comes with its interface.
        address.split('%').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_table_is_in_the_schema() {
        let schema = kestrel_schema::Schema::ecs();
        for (name, _) in Demand::TABLE {
            assert!(schema.lookup(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_client_of_ssh_is_read_from_the_environment() {
        for (environment, expected) in [
            (&b"A=1\0SSH_CONNECTION=192.0.2.7 5022 192.0.2.1 22\0"[..], Some("192.0.2.7")),
            (b"SSH_CLIENT=2001:db8::1 5022 22\0", Some("2001:db8::1")),
            (b"SSH_CLIENT=fe80::1%eth0 5022 22", Some("fe80::1")),
            (b"XSSH_CLIENT=192.0.2.7 1 2\0SSH_CLIENT=\0SSH_CONNECTION=\xff", None),
            (b"", None),
        ] {
            let expected = expected.map(|address| address.parse().expect("an address"));
            assert_eq!(ssh_client(environment), expected);
        }
    }
}
