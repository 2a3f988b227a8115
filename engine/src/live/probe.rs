//! What this kernel allows: each row is tried, never read from a list (a kernel may list `bpf` among its security modules
//! and refuse every program of that type all the same).

use super::LiveError;
use super::btf::{FUNCTION, KernelTypes, TYPEDEF};
use super::sys::{self, BpfAttribute};

/// One row of `kestrel-engine doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// What it is good for, or why it does not work and what to do.
    pub detail: String,
}

/// r0 = 0; exit.
const RETURN_ZERO: [u64; 2] = [0xb7, 0x95];
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// A program type, by the numbers of bpf(2), and what to attach to.
struct ProgramType {
    name: &'static str,
    program_type: u32,
    attach_type: u32,
    /// Kind and name of the BTF type that the program would attach to.
    target: Option<(u32, &'static str)>,
    good_for: &'static str,
}

const PROGRAM_TYPES: [ProgramType; 7] = [
    ProgramType {
        name: "tp_btf",
        program_type: 26,
        attach_type: 23,
        target: Some((TYPEDEF, "btf_trace_sched_process_exec")),
        good_for: "process events (exec, fork, exit)",
    },
    ProgramType {
        name: "raw_tp",
        program_type: 17,
        attach_type: 0,
        target: None,
        good_for: "system call tracepoints on kernels without typed ones",
    },
    ProgramType {
        name: "tracepoint",
        program_type: 5,
        attach_type: 0,
        target: None,
        good_for: "system call tracepoints",
    },
    ProgramType {
        name: "lsm",
        program_type: 29,
        attach_type: 27,
        target: Some((FUNCTION, "bpf_lsm_file_open")),
        good_for: "decisions in the kernel (block)",
    },
    ProgramType {
        name: "fentry",
        program_type: 26,
        attach_type: 24,
        target: Some((FUNCTION, "security_file_open")),
        good_for: "file events with full paths",
    },
    ProgramType {
        name: "iterator",
        program_type: 26,
        attach_type: 28,
        target: Some((FUNCTION, "bpf_iter_task")),
        good_for: "the process table without /proc",
    },
    ProgramType {
        name: "cgroup",
        program_type: 18,
        attach_type: 10,
        target: None,
        good_for: "network connections, and decisions on them",
    },
];

/// Tries everything that live sources can use. Loads and unloads a few programs of two instructions; attaches nothing.
pub fn kernel_support() -> Vec<Check> {
    let mut checks = vec![capabilities(), initial_pid_namespace()];
    let types = KernelTypes::read();
    checks.push(match &types {
        Ok(_) => passed("btf", "/sys/kernel/btf/vmlinux is there"),
        Err(error) => {
            failed("btf", format!("/sys/kernel/btf/vmlinux: {error}; the kernel needs CONFIG_DEBUG_INFO_BTF=y"))
        }
    });
    let types = types.ok();
    checks.push(ring_buffer());
    checks.extend(PROGRAM_TYPES.iter().map(|program_type| try_program_type(program_type, types.as_ref())));
    checks
}

/// The missing capabilities as an error.
pub(super) fn require_capabilities() -> Result<(), LiveError> {
    match missing_capabilities() {
        Some(missing) => Err(LiveError::Capabilities { missing }),
        None => Ok(()),
    }
}

fn missing_capabilities() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    // Where /proc does not tell, the kernel will.
    let effective = u64::from_str_radix(effective?.trim(), 16).ok()?;
    let has = |capability: u32| effective >> capability & 1 == 1;
    if has(CAP_SYS_ADMIN) {
        return None;
    }
    let missing: Vec<&str> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|&(capability, _)| !has(capability))
        .map(|(_, name)| name)
        .collect();
    (!missing.is_empty()).then(|| missing.join(" and "))
}

fn capabilities() -> Check {
    match missing_capabilities() {
        Some(missing) => failed("capabilities", format!("without {missing}; run as root or grant them")),
        None => passed("capabilities", "this process may load programs"),
    }
}

/// Records carry numbers of the initial PID namespace; `/proc` shows those of its own.
fn initial_pid_namespace() -> Check {
    // PROC_PID_INIT_INO of include/linux/proc_ns.h.
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if link.to_str() == Some("pid:[4026531836]") {
        return passed("pid namespace", "the host's own");
    }
    let detail =
        "this process does not see the host's process numbers; in a container, run with the host's PID namespace";
    failed("pid namespace", detail.to_owned())
}

fn ring_buffer() -> Check {
    let mut attribute = BpfAttribute::new();
    // map_type BPF_MAP_TYPE_RINGBUF, max_entries: a multiple of every page size in use.
    attribute.set(0, 27);
    attribute.set(12, 65_536);
    match sys::create_map(&attribute) {
        Ok(_) => passed("ring buffer", "records from the kernel"),
        Err(error) => failed("ring buffer", format!("{error}; needs Linux 5.8 and memory that may be locked")),
    }
}

fn try_program_type(kind: &ProgramType, types: Option<&KernelTypes>) -> Check {
    let mut attribute = BpfAttribute::new();
    attribute.set(0, kind.program_type);
    attribute.set(68, kind.attach_type);
    if let Some((btf_kind, target)) = kind.target {
        let Some(number) = types.and_then(|types| types.find(btf_kind, target)) else {
            return failed(kind.name, format!("no `{target}` in the kernel's BTF; for {}", kind.good_for));
        };
        attribute.set(108, number);
    }
    match sys::load_program(&attribute, &RETURN_ZERO, c"Dual BSD/GPL") {
        Ok(_) => passed(kind.name, kind.good_for),
        Err(error) => failed(kind.name, format!("refused: {error}; for {}", kind.good_for)),
    }
}

fn passed(name: &'static str, detail: &str) -> Check {
    Check { name, ok: true, detail: detail.to_owned() }
}

fn failed(name: &'static str, detail: String) -> Check {
    Check { name, ok: false, detail }
}
