//! What processes do to themselves and to each other, compared with what was done.

use super::call::{self, call};
use super::*;
use crate::live::sys;

/// A watch of one kind more than the process table's, this process included; `None`, with the reason printed, when the
/// kind cannot be had here.
fn watch(kind: Kind) -> Option<Watch> {
    let kinds = KindSet::of_the_process_table().with(kind);
    let watch = Watch::open(LiveOptions { kinds, ignore_self: false, ..LiveOptions::default() })?;
    if let Some((kind, why)) = watch.source.unavailable().next() {
        eprintln!("skipped: no {} events here: {}", kind.name(), why.with_causes());
        return None;
    }
    Some(watch)
}

#[test]
fn a_new_session_is_told_with_its_leader() {
    let Some(mut watch) = watch(Kind::SessionIdChange) else { return };
    let Ok(mut child) = Command::new("setsid").arg("/bin/true").spawn() else {
        eprintln!("skipped: no setsid(1) on this machine");
        return;
    };
    child.wait().expect("setsid ends");
    let pid = child.id();
    let event = &watch.wait_for("session_id_change", pid);
    assert_eq!(watch.text(event, "event.type"), ["change"]);
    assert_eq!(watch.text(event, "process.name"), ["setsid"]);
    assert_eq!(watch.number(event, "process.session_leader.pid"), Some(pid.into()));
    assert_eq!(watch.number(event, "process.parent.pid"), Some(std::process::id().into()));
    let end = &watch.wait_for("end", pid);
    assert_eq!(watch.number(end, "process.session_leader.pid"), Some(pid.into()));
}

/// Runs `act` in a thread of its own: what it does to its credentials or its tracees ends with it.
fn in_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(act).join().expect("the act does not panic")
}

const KEEP: usize = u32::MAX as usize;

#[test]
fn a_changed_user_is_told_and_an_unchanged_one_is_not() {
    let Some(mut watch) = watch(Kind::UidChange) else { return };
    in_a_thread(|| {
        for user in [54_321, 54_321, 54_322] {
            call(call::SETRESUID, [KEEP, user, KEEP, 0, 0, 0]).unwrap_or_default();
        }
    });
    let is = |watch: &Watch, event: &Event| watch.text(event, "process.user.id") == ["54321"];
    let event = &watch.wait_until("uid_change", is);
    assert_eq!(watch.text(event, "event.type"), ["change"]);
    assert_eq!(watch.text(event, "user.id"), ["54321"]);
    assert_eq!(watch.text(event, "user.changes.id"), ["54321"]);
    assert_eq!(watch.text(event, "user.Ext.real.id"), ["0"]);
    assert_eq!(watch.text(event, "user.Ext.saved.id"), ["0"]);
    let told = watch.events.iter().filter(|event| {
        watch.text(event, "event.action") == ["uid_change"] && watch.text(event, "user.id") == ["54321"]
    });
    assert_eq!(told.count(), 1, "the second call changed nothing, the third was not allowed");
}

#[test]
fn a_changed_group_is_told() {
    let Some(mut watch) = watch(Kind::GidChange) else { return };
    in_a_thread(|| call(call::SETRESGID, [54_331, 54_332, 54_333, 0, 0, 0])).expect("root may");
    let is = |watch: &Watch, event: &Event| watch.text(event, "process.group.id") == ["54332"];
    let event = &watch.wait_until("gid_change", is);
    assert_eq!(watch.text(event, "group.id"), ["54332"]);
    assert_eq!(watch.text(event, "group.Ext.real.id"), ["54331"]);
    assert_eq!(watch.text(event, "group.Ext.saved.id"), ["54333"]);
}

#[test]
fn a_signal_is_told_with_who_gets_it_and_one_to_oneself_is_not() {
    let Some(mut watch) = watch(Kind::Kill) else { return };
    let mut child = Command::new("/bin/sleep").arg("60").spawn().expect("sleep starts");
    watch.wait_for("exec", child.id());
    child.kill().expect("own child");
    child.wait().expect("killed");
    let pid = i64::from(child.id());
    let is = move |watch: &Watch, event: &Event| watch.number(event, "Target.process.pid") == Some(pid);
    let event = &watch.wait_until("kill", is);
    assert_eq!(watch.text(event, "event.type"), ["access"]);
    assert_eq!(watch.number(event, "process.Ext.signal.number"), Some(9));
    assert_eq!(watch.text(event, "process.Ext.signal.name"), ["SIGKILL"]);
    assert_eq!(watch.text(event, "Target.process.name"), ["sleep"]);
    let target = &watch.wait_for("exec", child.id());
    assert_eq!(watch.text(event, "Target.process.entity_id"), watch.text(target, "process.entity_id"));
    assert_eq!(watch.text(event, "Target.process.executable"), watch.text(target, "process.executable"));
}

#[test]
fn whoever_traces_is_told_with_whom() {
    let Some(mut watch) = watch(Kind::Ptrace) else { return };
    let mut child = Command::new("/bin/sleep").arg("60").spawn().expect("sleep starts");
    watch.wait_for("exec", child.id());
    let pid = child.id();
    // Looking is no event: PTRACE_PEEKUSER (3) of a process that is not stopped fails besides.
    let seized = in_a_thread(move || call(call::PTRACE, [0x4206, pid as usize, 0, 0, 0, 0]));
    child.kill().expect("own child");
    child.wait().expect("killed");
    seized.expect("own child may be traced");
    let event = &watch.wait_until("ptrace", |_, _| true);
    assert_eq!(watch.text(event, "process.Ext.ptrace.request"), ["PTRACE_SEIZE"]);
    assert_eq!(watch.number(event, "process.Ext.ptrace.child_pid"), Some(pid.into()));
    assert_eq!(watch.number(event, "Target.process.pid"), Some(pid.into()));
    assert_eq!(watch.text(event, "Target.process.name"), ["sleep"]);
    assert!(!event.flags.contains(EventFlags::UNREADABLE), "the process was found");
    let target = &watch.wait_for("exec", pid);
    assert_eq!(watch.text(event, "Target.process.entity_id"), watch.text(target, "process.entity_id"));
}

#[test]
fn a_file_in_memory_is_told_with_its_name_and_flags() {
    let Some(mut watch) = watch(Kind::MemfdCreate) else { return };
    let name = c"kestrel test";
    // MFD_CLOEXEC and MFD_ALLOW_SEALING.
    let descriptor = call(call::MEMFD_CREATE, [name.as_ptr() as usize, 3, 0, 0, 0, 0]).expect("a memory file");
    assert!(descriptor > 2);
    let event = &watch.wait_until("memfd_create", |_, _| true);
    assert_eq!(watch.text(event, "process.Ext.memfd.name"), ["kestrel test"]);
    assert_eq!(watch.number(event, "process.Ext.memfd.flags"), Some(3));
    assert!(
        watch.flag(event, "process.Ext.memfd.flag_cloexec") && watch.flag(event, "process.Ext.memfd.flag_allow_seal")
    );
    assert!(!watch.flag(event, "process.Ext.memfd.flag_hugetlb"));
}

/// Maps `length` bytes of fresh memory with this protection.
fn map(length: usize, protection: usize) -> usize {
    // MAP_PRIVATE | MAP_ANONYMOUS, no file.
    call(call::MMAP, [0, length, protection, 0x22, usize::MAX, 0]).expect("memory")
}

#[test]
fn memory_that_is_mapped_executable_is_told() {
    let Some(mut watch) = watch(Kind::Mmap) else { return };
    let (plain, executable) = (map(0x3000, 3), map(0x5000, 5));
    let is = move |watch: &Watch, event: &Event| {
        watch.number(event, "process.Ext.memory_protection.address") == Some(executable as i64)
    };
    let event = &watch.wait_until("mmap", is);
    assert_eq!(watch.number(event, "process.Ext.memory_protection.size"), Some(0x5000));
    assert_eq!(watch.text(event, "process.Ext.memory_protection.protection"), ["R-X"]);
    assert_eq!(watch.text(event, "process.Ext.memory_protection.flags"), ["MAP_PRIVATE", "MAP_ANONYMOUS"]);
    assert!(watch.text(event, "process.Ext.memory_protection.path").is_empty());
    // A program that starts maps its libraries.
    let mut child = Command::new("/bin/true").spawn().expect("true starts");
    child.wait().expect("true ends");
    watch.wait_for("end", child.id());
    let library = &watch.wait_for("mmap", child.id());
    let path = watch.text(library, "process.Ext.memory_protection.path");
    assert!(path.first().is_some_and(|path| path.starts_with('/') && path.contains(".so")), "{path:?}");
    let address = |event: &Event| watch.number(event, "process.Ext.memory_protection.address");
    assert!(!watch.events.iter().any(|event| address(event) == Some(plain as i64)), "memory that holds data only");
    for (address, length) in [(plain, 0x3000), (executable, 0x5000)] {
        call(call::MUNMAP, [address, length, 0, 0, 0, 0]).expect("own mapping");
    }
}

#[test]
fn memory_that_becomes_executable_is_told_with_what_it_was() {
    let Some(mut watch) = watch(Kind::Mprotect) else { return };
    let address = map(0x4000, 3);
    call(call::MPROTECT, [address, 0x2000, 1, 0, 0, 0]).expect("own mapping");
    call(call::MPROTECT, [address + 0x2000, 0x2000, 5, 0, 0, 0]).expect("own mapping");
    call(call::MUNMAP, [address, 0x4000, 0, 0, 0, 0]).expect("own mapping");
    let place = (address + 0x2000) as i64;
    let is =
        move |watch: &Watch, event: &Event| watch.number(event, "process.Ext.memory_protection.address") == Some(place);
    let event = &watch.wait_until("mprotect", is);
    assert_eq!(watch.number(event, "process.Ext.memory_protection.size"), Some(0x2000));
    assert_eq!(watch.text(event, "process.Ext.memory_protection.protection"), ["R-X"]);
    assert_eq!(watch.text(event, "process.Ext.memory_protection.protection_old"), ["RW-"]);
}

#[test]
fn a_loaded_program_is_told_with_its_name_and_type() {
    let Some(mut watch) = watch(Kind::Bpf) else { return };
    let mut attribute = sys::BpfAttribute::new();
    // prog_type BPF_PROG_TYPE_SOCKET_FILTER, prog_name.
    attribute.set(0, 1);
    attribute.set(48, u32::from_ne_bytes(*b"kest"));
    attribute.set(52, u32::from_ne_bytes(*b"test"));
    sys::load_program(&attribute, &[0xb7, 0x95], c"GPL").expect("a program of two instructions");
    let is = |watch: &Watch, event: &Event| watch.text(event, "process.Ext.bpf.program_name") == ["kesttest"];
    let event = &watch.wait_until("bpf", is);
    assert_eq!(watch.text(event, "process.Ext.bpf.command"), ["BPF_PROG_LOAD"]);
    assert_eq!(watch.text(event, "process.Ext.bpf.program_type"), ["socket_filter"]);
}

#[test]
fn a_module_can_be_told_where_there_are_modules() {
    // Loading one for a test would change the host; that the programs load is all that is tried here.
    watch(Kind::LoadModule);
}
