//! What processes do to themselves and to each other, compared with what was done.

use super::*;

/// A watch of one kind more than the process table's; `None`, with the reason printed, when the kind cannot be had here.
fn watch(kind: Kind) -> Option<Watch> {
    let kinds = KindSet::of_the_process_table().with(kind);
    let watch = Watch::open(LiveOptions { kinds, ..LiveOptions::default() })?;
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
