//! The words behind the kernel's numbers (include/uapi of Linux 6.18, x86-64 and every newer architecture).

use std::fmt::Write as _;

/// Signals 1 to 31, as signal(7) names them.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The first real-time signal, as the kernel counts them; the C library keeps the first two for itself.
const FIRST_REAL_TIME: u32 = 32;

/// Commands of bpf(2), by number.
const BPF_COMMANDS: [&str; 39] = [
    "BPF_MAP_CREATE",
    "BPF_MAP_LOOKUP_ELEM",
    "BPF_MAP_UPDATE_ELEM",
    "BPF_MAP_DELETE_ELEM",
    "BPF_MAP_GET_NEXT_KEY",
    "BPF_PROG_LOAD",
    "BPF_OBJ_PIN",
    "BPF_OBJ_GET",
    "BPF_PROG_ATTACH",
    "BPF_PROG_DETACH",
    "BPF_PROG_TEST_RUN",
    "BPF_PROG_GET_NEXT_ID",
    "BPF_MAP_GET_NEXT_ID",
    "BPF_PROG_GET_FD_BY_ID",
    "BPF_MAP_GET_FD_BY_ID",
    "BPF_OBJ_GET_INFO_BY_FD",
    "BPF_PROG_QUERY",
    "BPF_RAW_TRACEPOINT_OPEN",
    "BPF_BTF_LOAD",
    "BPF_BTF_GET_FD_BY_ID",
    "BPF_TASK_FD_QUERY",
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM",
    "BPF_MAP_FREEZE",
    "BPF_BTF_GET_NEXT_ID",
    "BPF_MAP_LOOKUP_BATCH",
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
    "BPF_MAP_UPDATE_BATCH",
    "BPF_MAP_DELETE_BATCH",
    "BPF_LINK_CREATE",
    "BPF_LINK_UPDATE",
    "BPF_LINK_GET_FD_BY_ID",
    "BPF_LINK_GET_NEXT_ID",
    "BPF_ENABLE_STATS",
    "BPF_ITER_CREATE",
    "BPF_LINK_DETACH",
    "BPF_PROG_BIND_MAP",
    "BPF_TOKEN_CREATE",
    "BPF_PROG_STREAM_READ_BY_FD",
    "BPF_PROG_ASSOC_STRUCT_OPS",
];

/// Types of BPF programs, by number.
const BPF_PROGRAM_TYPES: [&str; 33] = [
    "unspec",
    "socket_filter",
    "kprobe",
    "sched_cls",
    "sched_act",
    "tracepoint",
    "xdp",
    "perf_event",
    "cgroup_skb",
    "cgroup_sock",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "sock_ops",
    "sk_skb",
    "cgroup_device",
    "sk_msg",
    "raw_tracepoint",
    "cgroup_sock_addr",
    "lwt_seg6local",
    "lirc_mode2",
    "sk_reuseport",
    "flow_dissector",
    "cgroup_sysctl",
    "raw_tracepoint_writable",
    "cgroup_sockopt",
    "tracing",
    "struct_ops",
    "ext",
    "lsm",
    "sk_lookup",
    "syscall",
    "netfilter",
];

/// `MAP_*` by bit, behind the type of the mapping.
const MAPPING_FLAGS: [(u32, &str); 13] = [
    (0x10, "MAP_FIXED"),
    (0x20, "MAP_ANONYMOUS"),
    (0x40, "MAP_32BIT"),
    (0x100, "MAP_GROWSDOWN"),
    (0x800, "MAP_DENYWRITE"),
    (0x1000, "MAP_EXECUTABLE"),
    (0x2000, "MAP_LOCKED"),
    (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"),
    (0x1_0000, "MAP_NONBLOCK"),
    (0x2_0000, "MAP_STACK"),
    (0x4_0000, "MAP_HUGETLB"),
    (0x10_0000, "MAP_FIXED_NOREPLACE"),
];

/// The name of a signal, such as `SIGKILL`; real-time signals count from the first, as in `SIGRTMIN+3`.
pub(super) fn signal(number: u32, out: &mut String) {
    let known = number.checked_sub(1).and_then(|index| SIGNALS.get(index as usize));
    // Writing to a string cannot fail.
    let _ = match known {
        Some(name) => write!(out, "{name}"),
        None if number >= FIRST_REAL_TIME => write!(out, "SIGRTMIN+{}", number - FIRST_REAL_TIME),
        None => write!(out, "{number}"),
    };
}

/// The name of a request to ptrace(2), of those that the kernel programs report.
pub(super) fn ptrace_request(request: u64) -> Option<&'static str> {
    Some(match request {
        0 => "PTRACE_TRACEME",
        4 => "PTRACE_POKETEXT",
        5 => "PTRACE_POKEDATA",
        6 => "PTRACE_POKEUSR",
        13 => "PTRACE_SETREGS",
        15 => "PTRACE_SETFPREGS",
        16 => "PTRACE_ATTACH",
        0x4205 => "PTRACE_SETREGSET",
        0x4206 => "PTRACE_SEIZE",
        _ => return None,
    })
}

/// The name of a command of bpf(2).
pub(super) fn bpf_command(number: u32) -> Option<&'static str> {
    BPF_COMMANDS.get(number as usize).copied()
}

/// The name of a type of BPF program.
pub(super) fn bpf_program_type(number: u32) -> Option<&'static str> {
    BPF_PROGRAM_TYPES.get(number as usize).copied()
}

/// `PROT_*` as three letters, such as `R-X`.
pub(super) fn protection(bits: u32) -> String {
    [(1, 'R'), (2, 'W'), (4, 'X')].map(|(bit, letter)| if bits & bit != 0 { letter } else { '-' }).iter().collect()
}

/// The names of `MAP_*`: the type of the mapping first, then the flags that are known.
pub(super) fn mapping_flags(bits: u32) -> impl Iterator<Item = &'static str> {
    let kind = match bits & 3 {
        1 => Some("MAP_SHARED"),
        2 => Some("MAP_PRIVATE"),
        3 => Some("MAP_SHARED_VALIDATE"),
        _ => None,
    };
    kind.into_iter().chain(MAPPING_FLAGS.iter().filter(move |(bit, _)| bits & bit != 0).map(|&(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_words() {
        let named = |number| {
            let mut name = String::new();
            signal(number, &mut name);
            name
        };
        assert_eq!(
            [named(9), named(15), named(31), named(32), named(64), named(0)].join(" "),
            "SIGKILL SIGTERM SIGSYS SIGRTMIN+0 SIGRTMIN+32 0"
        );
        assert_eq!(
            (bpf_command(5), bpf_command(28), bpf_command(99)),
            (Some("BPF_PROG_LOAD"), Some("BPF_LINK_CREATE"), None)
        );
        assert_eq!((bpf_program_type(26), bpf_program_type(29)), (Some("tracing"), Some("lsm")));
        assert_eq!((protection(5), protection(7), protection(0)), ("R-X".into(), "RWX".into(), "---".into()));
        assert_eq!(mapping_flags(0x22).collect::<Vec<_>>(), ["MAP_PRIVATE", "MAP_ANONYMOUS"]);
    }
}
