//! Which kernel programs produce which kind of event, and where they attach: a table, and nothing but.
//!
//! A kind may have several plans, the best first: the engine takes the first one that the kernel accepts whole. A plan is
//! a list of needs; a need is a list of hooks of which the first that the kernel accepts is attached. Programs that serve
//! several kinds stand in the plans of each, and are loaded and attached once.

use kestrel_bpf::record::Kind;

use super::source::Tier;

/// Where a program attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Attach {
    /// A tracepoint with typed arguments (`tp_btf`).
    Tracepoint(&'static str),
    /// The begin of a system call, by its name.
    Enter(&'static str),
    /// The end of a system call, by its name.
    Leave(&'static str),
    /// The begin of a function of the kernel (`fentry`).
    FunctionBegin(&'static str),
    /// The end of a function of the kernel (`fexit`).
    FunctionEnd(&'static str),
    /// The root of the cgroups of version 2, and so every cgroup.
    Cgroup(CgroupPlace),
}

/// What a program of a cgroup sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CgroupPlace {
    /// Packets that its sockets send.
    Egress,
    /// Packets that its sockets receive.
    Ingress,
    /// What its TCP sockets do.
    SocketOperations,
}

impl std::fmt::Display for Attach {
    /// As libbpf's section names say it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Attach::Tracepoint(name) => write!(f, "tp_btf/{name}"),
            Attach::Enter(name) => write!(f, "tracepoint/syscalls/sys_enter_{name}"),
            Attach::Leave(name) => write!(f, "tracepoint/syscalls/sys_exit_{name}"),
            Attach::FunctionBegin(name) => write!(f, "fentry/{name}"),
            Attach::FunctionEnd(name) => write!(f, "fexit/{name}"),
            Attach::Cgroup(CgroupPlace::Egress) => f.write_str("cgroup_skb/egress"),
            Attach::Cgroup(CgroupPlace::Ingress) => f.write_str("cgroup_skb/ingress"),
            Attach::Cgroup(CgroupPlace::SocketOperations) => f.write_str("sockops"),
        }
    }
}

/// A program and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hook {
    /// Its name in the object.
    pub(super) program: &'static str,
    /// Where it attaches.
    pub(super) attach: Attach,
}

/// Something without which a plan is not complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// The first that the kernel accepts is taken.
    pub(super) hooks: &'static [Hook],
    /// Whether the plan works without it, because the kernel or the architecture may lack the system call itself.
    pub(super) optional: bool,
}

/// One way to produce a kind of event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The kind.
    pub(super) kind: Kind,
    /// The class of mechanisms.
    pub(super) tier: Tier,
    /// All that is to be attached.
    pub(super) needs: &'static [Need],
}

/// A hook at a tracepoint.
const fn tracepoint(program: &'static str, name: &'static str) -> Hook {
    Hook { program, attach: Attach::Tracepoint(name) }
}

const fn need(hooks: &'static [Hook]) -> Need {
    Need { hooks, optional: false }
}

/// A hook at the end of a system call.
const fn leave(program: &'static str, call: &'static str) -> Hook {
    Hook { program, attach: Attach::Leave(call) }
}

/// A hook at the begin of a function of the kernel.
const fn begin(program: &'static str, function: &'static str) -> Hook {
    Hook { program, attach: Attach::FunctionBegin(function) }
}

/// A hook at the end of a function of the kernel.
const fn end(program: &'static str, function: &'static str) -> Hook {
    Hook { program, attach: Attach::FunctionEnd(function) }
}

/// A hook at the root of the cgroups.
const fn cgroup(program: &'static str, place: CgroupPlace) -> Hook {
    Hook { program, attach: Attach::Cgroup(place) }
}

/// Connections of TCP by a cgroup's program, or where there are no cgroups by the change of the socket's state; and those
/// of all other protocols.
const CONNECT: [Need; 2] = [
    need(&[
        cgroup("kestrel_tcp_connect", CgroupPlace::SocketOperations),
        tracepoint("kestrel_tcp_attempt", "inet_sock_set_state"),
    ]),
    need(&[leave("kestrel_connect", "connect")]),
];
const ACCEPT: Need = need(&[leave("kestrel_accept4", "accept4")]);
/// Newer architectures have `accept4` alone.
const OLD_ACCEPT: Need = Need { hooks: &[leave("kestrel_accept", "accept")], optional: true };
/// Forgets owners of connections too, so that whoever remembers them needs it.
const TCP_STATE: Need = need(&[tracepoint("kestrel_tcp_state", "inet_sock_set_state")]);
const QUESTION: Need = need(&[cgroup("kestrel_question", CgroupPlace::Egress)]);
const ANSWER: Need = need(&[cgroup("kestrel_answer", CgroupPlace::Ingress)]);
/// A hook at the begin of a system call.
const fn enter(program: &'static str, call: &'static str) -> Hook {
    Hook { program, attach: Attach::Enter(call) }
}

/// Something that not every kernel has.
const fn optional(hooks: &'static [Hook]) -> Need {
    Need { hooks, optional: true }
}

/// The calls that open a file; some architectures lack the first two, some kernels the last.
const OPENS: [Need; 4] = [
    need(&[leave("kestrel_openat", "openat")]),
    optional(&[leave("kestrel_open", "open")]),
    optional(&[leave("kestrel_creat", "creat")]),
    optional(&[leave("kestrel_openat2", "openat2")]),
];

/// All plans; those of one kind stand in the order of preference.
pub(super) const PLANS: &[Plan] = &[
    Plan { kind: Kind::Exec, tier: Tier::B, needs: &[need(&[tracepoint("kestrel_exec", "sched_process_exec")])] },
    Plan { kind: Kind::Fork, tier: Tier::B, needs: &[need(&[tracepoint("kestrel_fork", "sched_process_fork")])] },
    Plan {
        kind: Kind::Exit,
        tier: Tier::B,
        // Newer kernels say which thread was the last; older ones refuse the first program.
        needs: &[need(&[
            tracepoint("kestrel_exit", "sched_process_exit"),
            tracepoint("kestrel_exit_by_count", "sched_process_exit"),
        ])],
    },
    Plan {
        kind: Kind::UidChange,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_set_user", "setuid")]),
            need(&[leave("kestrel_set_user", "setreuid")]),
            need(&[leave("kestrel_set_user", "setresuid")]),
        ],
    },
    Plan {
        kind: Kind::GidChange,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_set_group", "setgid")]),
            need(&[leave("kestrel_set_group", "setregid")]),
            need(&[leave("kestrel_set_group", "setresgid")]),
        ],
    },
    Plan { kind: Kind::SessionIdChange, tier: Tier::B, needs: &[need(&[leave("kestrel_setsid", "setsid")])] },
    Plan { kind: Kind::ConnectionAttempted, tier: Tier::B, needs: &CONNECT },
    Plan { kind: Kind::ConnectionAccepted, tier: Tier::B, needs: &[ACCEPT, OLD_ACCEPT] },
    Plan { kind: Kind::Bind, tier: Tier::B, needs: &[need(&[leave("kestrel_bind", "bind")])] },
    Plan { kind: Kind::Listen, tier: Tier::B, needs: &[TCP_STATE] },
    Plan { kind: Kind::DisconnectReceived, tier: Tier::B, needs: &[TCP_STATE] },
    Plan { kind: Kind::LookupRequested, tier: Tier::B, needs: &[QUESTION, TCP_STATE] },
    Plan { kind: Kind::LookupResult, tier: Tier::B, needs: &[ANSWER, TCP_STATE] },
    Plan { kind: Kind::Ptrace, tier: Tier::B, needs: &[need(&[leave("kestrel_ptrace", "ptrace")])] },
    Plan { kind: Kind::Kill, tier: Tier::B, needs: &[need(&[tracepoint("kestrel_kill", "signal_generate")])] },
    Plan { kind: Kind::MemfdCreate, tier: Tier::B, needs: &[need(&[leave("kestrel_memfd", "memfd_create")])] },
    Plan { kind: Kind::LoadModule, tier: Tier::B, needs: &[need(&[tracepoint("kestrel_load_module", "module_load")])] },
    Plan { kind: Kind::Mmap, tier: Tier::B, needs: &[need(&[leave("kestrel_mmap", "mmap")])] },
    Plan {
        kind: Kind::Mprotect,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_mprotect", "mprotect")]),
            need(&[enter("kestrel_mprotect_begins", "mprotect")]),
            // Only where the processor has protection keys.
            optional(&[leave("kestrel_mprotect", "pkey_mprotect")]),
            optional(&[enter("kestrel_mprotect_begins", "pkey_mprotect")]),
        ],
    },
    Plan { kind: Kind::Bpf, tier: Tier::B, needs: &[need(&[leave("kestrel_bpf", "bpf")])] },
    Plan {
        kind: Kind::FileCreate,
        tier: Tier::B,
        needs: &[
            OPENS[0],
            OPENS[1],
            OPENS[2],
            OPENS[3],
            need(&[leave("kestrel_mkdirat", "mkdirat")]),
            optional(&[leave("kestrel_mkdir", "mkdir")]),
            need(&[leave("kestrel_mknodat", "mknodat")]),
            optional(&[leave("kestrel_mknod", "mknod")]),
        ],
    },
    Plan { kind: Kind::FileOpen, tier: Tier::B, needs: &OPENS },
    Plan {
        kind: Kind::FileModify,
        tier: Tier::B,
        needs: &[
            OPENS[0],
            OPENS[1],
            OPENS[2],
            OPENS[3],
            need(&[leave("kestrel_write", "write")]),
            need(&[leave("kestrel_write", "pwrite64")]),
            need(&[leave("kestrel_write", "writev")]),
            need(&[leave("kestrel_write", "pwritev")]),
            need(&[leave("kestrel_write", "pwritev2")]),
            optional(&[leave("kestrel_write", "sendfile64"), leave("kestrel_write", "sendfile")]),
            need(&[leave("kestrel_copy", "copy_file_range")]),
            need(&[leave("kestrel_copy", "splice")]),
            need(&[leave("kestrel_ftruncate", "ftruncate")]),
            need(&[leave("kestrel_ftruncate", "fallocate")]),
            need(&[leave("kestrel_truncate", "truncate")]),
        ],
    },
    Plan {
        kind: Kind::FileRename,
        tier: Tier::A,
        needs: &[
            need(&[end("kestrel_renamed", "vfs_rename")]),
            need(&[begin("kestrel_rename_begins", "security_path_rename")]),
        ],
    },
    Plan {
        kind: Kind::FileRename,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_renameat2", "renameat2")]),
            optional(&[leave("kestrel_renameat", "renameat")]),
            optional(&[leave("kestrel_rename", "rename")]),
        ],
    },
    Plan {
        kind: Kind::FileDelete,
        tier: Tier::A,
        // The ends first: what is remembered is recalled.
        needs: &[
            need(&[end("kestrel_unlinked", "vfs_unlink")]),
            need(&[end("kestrel_folder_removed", "vfs_rmdir")]),
            need(&[begin("kestrel_unlink_begins", "security_path_unlink")]),
            need(&[begin("kestrel_rmdir_begins", "security_path_rmdir")]),
        ],
    },
    Plan {
        kind: Kind::FileDelete,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_unlinkat", "unlinkat")]),
            optional(&[leave("kestrel_unlink", "unlink")]),
            optional(&[leave("kestrel_rmdir", "rmdir")]),
        ],
    },
    Plan {
        kind: Kind::FileChmod,
        tier: Tier::A,
        needs: &[
            need(&[end("kestrel_mode_changed", "chmod_common")]),
            need(&[begin("kestrel_mode_begins", "chmod_common")]),
        ],
    },
    Plan {
        kind: Kind::FileChmod,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_fchmodat", "fchmodat")]),
            need(&[leave("kestrel_fchmod", "fchmod")]),
            need(&[enter("kestrel_change_begins", "fchmod")]),
            optional(&[leave("kestrel_fchmodat", "fchmodat2")]),
            optional(&[leave("kestrel_chmod", "chmod")]),
        ],
    },
    Plan {
        kind: Kind::FileChown,
        tier: Tier::A,
        needs: &[
            need(&[end("kestrel_owner_changed", "chown_common")]),
            need(&[begin("kestrel_owner_begins", "chown_common")]),
        ],
    },
    Plan {
        kind: Kind::FileChown,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_fchownat", "fchownat")]),
            need(&[leave("kestrel_fchown", "fchown")]),
            need(&[enter("kestrel_change_begins", "fchown")]),
            optional(&[leave("kestrel_chown", "chown")]),
            optional(&[leave("kestrel_chown", "lchown")]),
        ],
    },
    Plan {
        kind: Kind::FileLink,
        tier: Tier::B,
        needs: &[
            need(&[leave("kestrel_linkat", "linkat")]),
            need(&[leave("kestrel_symlinkat", "symlinkat")]),
            optional(&[leave("kestrel_link", "link")]),
            optional(&[leave("kestrel_symlink", "symlink")]),
        ],
    },
];

/// The plans for a kind, the best first.
pub(super) fn plans(kind: Kind) -> impl Iterator<Item = &'static Plan> {
    PLANS.iter().filter(move |plan| plan.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_live_of_what_has_a_plan() {
        for kind in kestrel_schema::event_kinds() {
            let planned = Kind::from_number(kind.id).is_some_and(|kind| plans(kind).next().is_some());
            assert_eq!(kind.live, planned, "kind `{}` of kinds.toml", kind.name);
        }
    }

    #[test]
    fn every_program_of_a_plan_is_in_the_object() {
        let names = kestrel_bpf::OBJECT;
        for hook in PLANS.iter().flat_map(|plan| plan.needs).flat_map(|need| need.hooks) {
            let name = hook.program.as_bytes();
            assert!(names.windows(name.len()).any(|window| window == name), "`{}`", hook.program);
        }
    }
}
