//! Acts on other processes, on memory, and on the kernel: traces, signals, mappings, modules, BPF programs.

use std::fs;
use std::os::fd::AsRawFd as _;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use super::actor::Actor;
use crate::expect::Want;
use crate::sys;

/// A child that waits is traced, stopped and killed.
pub(super) fn ptrace_and_kill(actor: &mut Actor) -> Result<i32> {
    let before = sys::now() - 30_000_000;
    let pid = actor.fork(None, || {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    })?;
    let target = [
        ("Target.process.pid", Want::value(pid)),
        ("Target.process.entity_id", Want::Entities(vec![pid])),
        ("Target.process.name", Want::value(actor.own.name())),
        ("Target.process.executable", Want::texts([&actor.own.executable])),
    ];
    let mut more = target.to_vec();
    more.push(("process.Ext.ptrace.child_pid", Want::value(pid)));
    actor.act("ptrace", &[("process.Ext.ptrace.request", json!("PTRACE_SEIZE"))], &more, || {
        Ok(sys::call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as u64, pid.into(), 0, 0, 0, 0])?)
    })?;
    // To begin a trace is an event; what a tracer then does is not.
    sys::call(libc::SYS_ptrace, [libc::PTRACE_INTERRUPT as u64, pid.into(), 0, 0, 0, 0])?;
    sys::wait_stopped(pid)?;
    sys::call(libc::SYS_ptrace, [libc::PTRACE_DETACH as u64, pid.into(), 0, 0, 0, 0])?;
    for (name, signal) in [("SIGCONT", libc::SIGCONT), ("SIGWINCH", libc::SIGWINCH), ("SIGKILL", libc::SIGKILL)] {
        let mut more = target.to_vec();
        more.push(("process.Ext.signal.number", Want::value(signal)));
        actor.act("kill", &[("process.Ext.signal.name", json!(name))], &more, || Ok(sys::kill(pid, signal)?))?;
    }
    sys::wait(pid)?;
    actor.say_child_ending(&actor.child(pid, (before, sys::now())), 128 + libc::SIGKILL)?;
    Ok(0)
}

const PAGE: u64 = 4096;

fn map(protection: i32, flags: i32, file: i32) -> Result<u64> {
    let arguments = [0, 4 * PAGE, protection as u64, flags as u64, file as u64, 0];
    Ok(sys::call(libc::SYS_mmap, arguments)? as u64)
}

/// Memory files, executable mappings of a file and of nothing, and memory that is made executable later.
pub(super) fn memory(actor: &mut Actor) -> Result<i32> {
    for (name, flags) in [(c"one", 0), (c"", libc::MFD_CLOEXEC), (c"naïve 日本", libc::MFD_ALLOW_SEALING)] {
        let text = name.to_string_lossy().into_owned();
        let wanted = if text.is_empty() { Want::absent() } else { Want::value(text) };
        let flag = |flag| Want::value(flags & flag != 0);
        let more = [
            ("process.Ext.memfd.name", wanted),
            ("process.Ext.memfd.flag_cloexec", flag(libc::MFD_CLOEXEC)),
            ("process.Ext.memfd.flag_allow_seal", flag(libc::MFD_ALLOW_SEALING)),
            ("process.Ext.memfd.flag_hugetlb", flag(libc::MFD_HUGETLB)),
            ("process.Ext.memfd.flag_noexec_seal", flag(libc::MFD_NOEXEC_SEAL)),
            ("process.Ext.memfd.flag_exec", flag(libc::MFD_EXEC)),
        ];
        actor.act("memfd_create", &[("process.Ext.memfd.flags", json!(flags))], &more, || {
            Ok(sys::memory_file(name, flags)?)
        })?;
    }
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let path = actor.folder().join("mapped");
    fs::write(&path, [0_u8; 4 * PAGE as usize])?;
    let file = fs::File::open(&path)?;
    let (read, write, execute) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
    for (protection, flags, descriptor, text, path) in [
        (read | execute, anonymous, -1, "R-X", None),
        (read | write | execute, anonymous, -1, "RWX", None),
        (read | execute, libc::MAP_PRIVATE, file.as_raw_fd(), "R-X", path.to_str()),
    ] {
        let before = sys::now();
        let address = map(protection, flags, descriptor)?;
        let key = [("process.Ext.memory_protection.address", json!(address))];
        let more = [
            ("process.Ext.memory_protection.size", Want::value(4 * PAGE)),
            ("process.Ext.memory_protection.protection", Want::value(text)),
            ("process.Ext.memory_protection.path", Want::texts(path)),
        ];
        actor.told("mmap", &key, &more, (before, sys::now()))?;
    }
    // A mapping without execution is no event; what becomes of it later is.
    let address = map(read | write, anonymous, -1)?;
    let key = [("process.Ext.memory_protection.address", json!(address))];
    let more = [
        ("process.Ext.memory_protection.size", Want::value(PAGE)),
        ("process.Ext.memory_protection.protection", Want::value("R-X")),
        ("process.Ext.memory_protection.protection_old", Want::value("RW-")),
        ("process.Ext.memory_protection.path", Want::absent()),
    ];
    actor.act("mprotect", &key, &more, || {
        Ok(sys::call(libc::SYS_mprotect, [address, PAGE, (read | execute) as u64, 0, 0, 0])?)
    })?;
    Ok(0)
}

/// Loads a module when one is named by `KESTREL_TRUTH_MODULE`, as the virtual machines do, and takes it out again.
pub(super) fn module(actor: &mut Actor) -> Result<i32> {
    let Ok(path) = std::env::var("KESTREL_TRUTH_MODULE") else { return Ok(0) };
    let file = fs::File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let name = path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default().replace('-', "_");
    let arguments = c"";
    let key = [("driver.name", Json::from(name.as_str()))];
    actor.act("load_module", &key, &[], || {
        let call = [file.as_raw_fd() as u64, sys::address(arguments.to_bytes_with_nul()), 0, 0, 0, 0];
        Ok(sys::call(libc::SYS_finit_module, call)?)
    })?;
    let name = std::ffi::CString::new(name)?;
    sys::call(libc::SYS_delete_module, [sys::address(name.as_bytes_with_nul()), libc::O_NONBLOCK as u64, 0, 0, 0, 0])?;
    Ok(0)
}

/// Loads a socket filter of two instructions.
pub(super) fn bpf(actor: &mut Actor) -> Result<i32> {
    let instructions: [u64; 2] = [0xb7, 0x95];
    let license = c"GPL";
    let mut attribute = [0_u8; 128];
    let mut put = |place: usize, bytes: &[u8]| {
        attribute[place..place + bytes.len()].copy_from_slice(bytes);
    };
    // enum bpf_prog_type, number of instructions, their address, the licence's address; at 48 the name.
    put(0, &1_u32.to_ne_bytes());
    put(4, &2_u32.to_ne_bytes());
    put(8, &sys::address(&instructions).to_ne_bytes());
    put(16, &sys::address(license.to_bytes_with_nul()).to_ne_bytes());
    put(48, b"kestrel_truth\0");
    let more = [
        ("process.Ext.bpf.program_name", Want::value("kestrel_truth")),
        ("process.Ext.bpf.program_type", Want::value("socket_filter")),
    ];
    let loaded = actor.act("bpf", &[("process.Ext.bpf.command", json!("BPF_PROG_LOAD"))], &more, || {
        Ok(sys::call(libc::SYS_bpf, [5, sys::address(&attribute), 128, 0, 0, 0])?)
    })?;
    sys::close(loaded);
    Ok(0)
}
