//! Leaders: of the session, of the process group, and of the way in (the entry leader).
//!
//! The entry leader is the process at which a person, a service or a container came in; all that it started belongs to
//! it. The rules are those that Elastic's session view documents: a session leader below sshd, a login program, a
//! container's runtime, an agent, or init is one; so are init and the kernel's own threads; everybody else has the one of
//! its parent.

use std::collections::HashMap;

use super::bootstrap::Snapshot;
use super::{EntityId, Process, ProcessTable};

/// How an entry leader came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Init itself, or a service that it started.
    Init,
    /// Through sshd.
    Sshd,
    /// Through AWS Systems Manager.
    Ssm,
    /// Through Teleport.
    Teleport,
    /// Through the Kubernetes node agent.
    Kubelet,
    /// By login on a terminal: a serial line, or the one of a display manager's session.
    Terminal,
    /// By login on a virtual console or the system console.
    Console,
    /// The first process of a container, or a process put into one.
    Container,
    /// A thread of the kernel.
    KernelThread,
}

impl EntryKind {
    /// The word in `process.entry_leader.entry_meta.type`.
    pub fn name(self) -> &'static str {
        match self {
            EntryKind::Init => "init",
            EntryKind::Sshd => "sshd",
            EntryKind::Ssm => "ssm",
            EntryKind::Teleport => "teleport",
            EntryKind::Kubelet => "kubelet",
            EntryKind::Terminal => "terminal",
            EntryKind::Console => "console",
            EntryKind::Container => "container",
            EntryKind::KernelThread => "kthread",
        }
    }
}

impl ProcessTable {
    /// Finds the leaders of a process anew; its session and group may have changed with any look at it.
    pub(super) fn resolve_leaders(&mut self, id: EntityId) {
        let Some(process) = self.processes.get(&id) else { return };
        let parent = process.facts.parent.and_then(|parent| self.processes.get(&parent));
        // A number in use as a session or a group is not given to a new process, so its last holder is the leader.
        let holder = |pid: u32| self.by_pid.get(&pid).copied();
        let session_leader = holder(process.facts.session);
        let group_leader = holder(process.facts.group);
        let (entry_leader, entry_kind) = match entry_kind(process, parent) {
            Some(kind) => (Some(id), Some(kind)),
            None => match parent {
                Some(parent) => (parent.entry_leader, None),
                None => (session_leader.or(Some(id)), None),
            },
        };
        if let Some(process) = self.processes.get_mut(&id) {
            process.session_leader = session_leader;
            process.group_leader = group_leader;
            // Once in, always in: a daemon that starts a session of its own has not come in anew.
            if process.entry_kind.is_none() {
                process.entry_leader = entry_leader;
                process.entry_kind = entry_kind;
            }
        }
    }
}

fn entry_kind(process: &Process, parent: Option<&Process>) -> Option<EntryKind> {
    let facts = &process.facts;
    if facts.kernel_thread {
        return Some(EntryKind::KernelThread);
    }
    if facts.id.pid == 1 {
        return Some(EntryKind::Init);
    }
    if facts.namespace_pid == 1 {
        return Some(EntryKind::Container);
    }
    let parent = parent?;
    // Put into a namespace of process numbers that its creator is not in, as `docker exec` and the like do.
    if facts.namespace_pid != facts.id.pid && parent.facts.namespace_pid == parent.facts.id.pid {
        return Some(EntryKind::Container);
    }
    if facts.session != facts.id.pid {
        return None;
    }
    let name: &str = &parent.image.name;
    if name.starts_with("containerd-shim") || matches!(name, "runc" | "crun" | "conmon" | "docker-containerd-shim") {
        return Some(EntryKind::Container);
    }
    match name {
        "sshd" | "sshd-session" | "dropbear" => Some(EntryKind::Sshd),
        "ssm-session-worker" | "amazon-ssm-agent" => Some(EntryKind::Ssm),
        "teleport" => Some(EntryKind::Teleport),
        "kubelet" => Some(EntryKind::Kubelet),
        "login" | "agetty" | "getty" if is_console(facts.tty) => Some(EntryKind::Console),
        "login" | "agetty" | "getty" | "gdm-session-worker" | "sddm-helper" => Some(EntryKind::Terminal),
        _ if parent.facts.id.pid == 1 => Some(EntryKind::Init),
        _ => None,
    }
}

/// `/dev/tty0` to `/dev/tty63`, and `/dev/console` (Documentation/admin-guide/devices.txt of the kernel).
fn is_console(tty: (u32, u32)) -> bool {
    matches!(tty, (4, 0..=63) | (5, 1))
}

/// Puts parents before their children. A parent that is missing, or a circle in made-up input, does no harm.
pub(super) fn parents_first(mut snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
    // A parent began no later than its child; within one clock tick the number decides, which is right but for a
    // circle of numbers closed in that very tick. Then the depth below settles it.
    let parents: HashMap<EntityId, Option<EntityId>> =
        snapshots.iter().map(|snapshot| (snapshot.facts.id, snapshot.facts.parent)).collect();
    let depth = |id: EntityId| {
        let up = |id: &EntityId| parents.get(id).copied().flatten();
        std::iter::successors(Some(id), up).take(parents.len() + 1).count()
    };
    snapshots.sort_by_cached_key(|snapshot| (depth(snapshot.facts.id), snapshot.facts.id));
    snapshots
}
