//! What user space finds out about processes of our own.

use std::path::PathBuf;
use std::process::Child;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::live::Demand;

const ID: &str = "4f9ab7ce02e1cf3d8ec98c0f5e8c6fd0f6a1a2b3c4d5e6f708192a3b4c5d6e7f";

fn watch(fields: &[&str]) -> Option<Watch> {
    Watch::open(LiveOptions { demand: Demand::of_fields(fields.iter().copied()), ..LiveOptions::default() })
}

/// Folders that are removed afterwards, the innermost last in the list.
struct Folders(Vec<PathBuf>);

impl Drop for Folders {
    fn drop(&mut self) {
        // Cgroups can be removed when their last process is gone for good, which may take a moment.
        for folder in self.0.iter().rev() {
            let begun = Instant::now();
            while std::fs::remove_dir(folder).is_err() && begun.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A cgroup of any hierarchy that a container of Docker could have.
fn container_cgroup() -> Option<Folders> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("own mounts");
    mounts.lines().find_map(|line| {
        let mut columns = line.split(' ');
        let (_, mount, kind) = (columns.next()?, columns.next()?, columns.next()?);
        // A cpuset has no processors at first, and takes no process.
        if !kind.starts_with("cgroup") || mount.contains("cpuset") {
            return None;
        }
        let outer = PathBuf::from(mount).join(format!("kestrel-test-{}", std::process::id()));
        let inner = outer.join(format!("docker-{ID}.scope"));
        std::fs::create_dir_all(&inner).ok()?;
        Some(Folders(vec![outer, inner]))
    })
}

/// Reads until something runs with these arguments.
fn run_of(watch: &mut Watch, arguments: &[&str]) -> Event {
    let begun = Instant::now();
    loop {
        let is = |event: &&Event| {
            watch.text(event, "event.action") == ["exec"] && watch.text(event, "process.args") == arguments
        };
        if let Some(event) = watch.events.iter().find(is) {
            return event.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{arguments:?} is run");
        let Watch { source, events } = &mut *watch;
        source.poll(Duration::from_millis(50), &mut |event| events.push(event.clone())).expect("the source goes on");
    }
}

#[test]
fn a_process_in_a_container_has_its_id() {
    let Some(mut watch) = watch(&["container.id"]) else { return };
    let Some(folders) = container_cgroup() else {
        eprintln!("skipped: no cgroup can be made here");
        return;
    };
    let cgroup = folders.0.last().expect("two folders").join("cgroup.procs");
    // Its children are born inside; the shell itself was born outside and moved.
    let script = format!("echo $$ > {}; /bin/sleep 0.61 & exec /bin/sleep 0.62", cgroup.display());
    let mut child = Command::new("/bin/sh").args(["-c", &script]).spawn().expect("sh starts");
    // They are looked at while they live.
    let sleeps = ["0.61", "0.62"].map(|time| run_of(&mut watch, &["/bin/sleep", time]));
    child.wait().expect("sh ends");
    for event in sleeps {
        assert_eq!(watch.text(&event, "container.id"), [ID]);
        assert_eq!(watch.text(&event, "container.runtime"), ["docker"]);
        assert_eq!(watch.text(&event, "orchestrator.type"), [""; 0]);
    }
    drop(folders);
}

#[test]
fn digests_are_those_of_the_file_that_runs() {
    let Some(mut watch) = watch(&["process.hash.sha256", "process.hash.md5"]) else { return };
    let folder = std::env::temp_dir().join(format!("kestrel-digest-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let copy = folder.join("copy-of-sleep");
    std::fs::copy("/bin/sleep", &copy).expect("sleep can be copied");
    let digest = Sha256::digest(std::fs::read(&copy).expect("just made"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let start = || Command::new(&copy).arg("0.5").spawn().expect("it runs");
    // An event waits a limited time for the digest, so on a busy machine it may take more than one process.
    let begun = Instant::now();
    let mut children = vec![start(), start()];
    let digested = |watch: &mut Watch, child: &mut Child| {
        let event = watch.wait_for("exec", child.id());
        let found = watch.text(&event, "process.hash.sha256") == [&digest];
        assert!(found || watch.text(&event, "process.hash.sha256").is_empty(), "another file's digest");
        assert_eq!(watch.text(&event, "process.hash.md5").len(), usize::from(found));
        assert_eq!(watch.text(&event, "process.hash.sha1"), [""; 0], "nobody asked");
        child.wait().expect("it ends");
        let end = watch.wait_for("end", child.id());
        assert!(!found || watch.text(&end, "process.hash.sha256") == [&digest], "remembered");
        found
    };
    while !digested(&mut watch, children.last_mut().expect("two at first")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "no digest comes");
        children.push(start());
    }
    // A file that is deleted at once has its digest all the same: the process holds it, and what it is is known by now.
    let mut last = start();
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
    let event = watch.wait_for("exec", last.id());
    let found = watch.text(&event, "process.hash.sha256");
    assert!(found == [&digest] || found.is_empty() && begun.elapsed() > Duration::from_secs(2), "{found:?}");
    last.wait().expect("it ends");
    children.iter_mut().for_each(|child| drop(child.wait()));
}

#[test]
fn who_comes_in_through_sshd_comes_from_somewhere() {
    let Some(mut watch) = watch(&["process.entry_leader.entry_meta.source.ip"]) else { return };
    let folder = std::env::temp_dir().join(format!("kestrel-sshd-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let sshd = folder.join("sshd");
    std::fs::copy("/bin/sh", &sshd).expect("sh can be copied");
    let script =
        "SSH_CONNECTION='192.0.2.9 5022 192.0.2.1 22' setsid /bin/sh -c '/bin/sleep 0.1; /bin/sleep 0.7; :' & wait";
    let mut child = Command::new(&sshd).args(["-c", script]).spawn().expect("sh runs");
    let event = &run_of(&mut watch, &["/bin/sleep", "0.7"]);
    assert_eq!(watch.text(event, "process.entry_leader.entry_meta.type"), ["sshd"]);
    let address = std::net::Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped().octets();
    assert_eq!(watch.values(event, "process.entry_leader.entry_meta.source.ip"), [FieldValue::Ip(address)]);
    child.wait().expect("sh ends");
    std::fs::remove_dir_all(&folder).expect("a folder of our own");

    let mut child = Command::new("/bin/sh").args(["-c", "exit 0"]).spawn().expect("sh runs");
    child.wait().expect("sh ends");
    let event = watch.wait_for("exec", child.id());
    assert!(watch.values(&event, "process.entry_leader.entry_meta.source.ip").is_empty(), "not through sshd");
}

#[test]
fn a_files_content_is_looked_at_when_a_rule_asks() {
    let demand = Demand::of_fields(["file.Ext.header_bytes", "file.Ext.entropy", "file.hash.sha1"]);
    let kinds = KindSet::of_the_process_table().with(Kind::FileRename).with(Kind::FileDelete);
    let options = LiveOptions { kinds, demand, ignore_self: false, ..LiveOptions::default() };
    let Some(mut watch) = Watch::open(options) else { return };
    let folder = std::env::temp_dir().join(format!("kestrel-content-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of our own");
    let (old, new) = (folder.join("old.bin"), folder.join("new.bin"));
    std::fs::write(&old, b"\x7fELF and what follows").expect("a file of our own");
    std::fs::rename(&old, &new).expect("a file of our own");
    let path = new.to_str().expect("UTF-8");
    let is = |watch: &Watch, event: &Event| watch.text(event, "file.path") == [path];
    let event = watch.wait_until("rename", is);
    assert_eq!(watch.text(&event, "file.Ext.header_bytes"), ["7f454c4620616e64207768617420666f"]);
    assert_eq!(watch.text(&event, "file.hash.sha1").first().map(|text| text.len()), Some(40));
    assert!(matches!(watch.values(&event, "file.Ext.entropy").as_slice(), [FieldValue::Float(1.0..5.0)]));
    assert!(watch.text(&event, "file.hash.md5").is_empty());
    assert_eq!(event.flags, EventFlags::default());
    std::fs::remove_dir_all(&folder).expect("a folder of our own");
    let event = watch.wait_until("deletion", is);
    assert!(watch.text(&event, "file.Ext.header_bytes").is_empty());
    assert_eq!(event.flags, EventFlags::default(), "nobody expects content of what is deleted");
}
