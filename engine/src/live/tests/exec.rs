//! What exec events tell beyond who and what: environments, files that are no files, threads that call exec.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use super::call::{self, call};
use super::*;

fn run(command: &mut Command) -> u32 {
    let mut child = command.spawn().expect("the program starts");
    assert!(child.wait().expect("it ends").success());
    child.id()
}

#[test]
fn of_the_environment_only_what_is_wanted_is_told() {
    let environment = Environment::Named(vec!["kestrel_test".to_owned()]);
    let Some(mut watch) = Watch::open(LiveOptions { environment, ..LiveOptions::default() }) else { return };
    let mut command = Command::new("/bin/true");
    command.env_clear().env("KESTREL_TEST", "a=b c").env("SECRET", "s").env("KESTREL_TEST_MORE", "x");
    let pid = run(&mut command);
    let event = &watch.wait_for("exec", pid);
    assert_eq!(watch.text(event, "process.env_vars"), ["KESTREL_TEST=a=b c"]);
    assert!(!event.flags.contains(EventFlags::TRUNCATED));
    let long = "x".repeat(20_000);
    let pid = run(command.env("KESTREL_TEST", "1").env("A", &long).env("Z", &long));
    let event = &watch.wait_for("exec", pid);
    assert!(event.flags.contains(EventFlags::TRUNCATED), "40,000 bytes are more than the limit");
    assert_eq!(watch.text(event, "process.env_vars"), ["KESTREL_TEST=1"]);

    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let pid = run(&mut command);
    let event = &watch.wait_for("exec", pid);
    assert!(watch.text(event, "process.env_vars").is_empty() && !event.flags.contains(EventFlags::TRUNCATED));
}

#[test]
fn a_program_in_memory_is_told_as_the_kernel_shows_it() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let name = c"kestrel program";
    let descriptor = call(call::MEMFD_CREATE, [name.as_ptr() as usize, 0, 0, 0, 0, 0]).expect("a memory file");
    let path = format!("/proc/{}/fd/{descriptor}", std::process::id());
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).expect("own file");
    file.write_all(&std::fs::read("/bin/true").expect("true is there")).expect("memory");
    assert!(file.as_raw_fd() > 2);
    drop(file);
    let pid = run(Command::new(&path).arg("from memory"));
    let event = &watch.wait_for("exec", pid);
    assert_eq!(watch.text(event, "process.executable"), ["/memfd:kestrel program (deleted)"]);
    assert_eq!(watch.text(event, "process.name"), ["memfd:kestrel program"]);
    assert_eq!(watch.text(event, "process.args"), [path.as_str(), "from memory"]);
}

#[test]
fn a_deleted_program_is_told_with_its_path_and_that_it_is_gone() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let path = std::env::temp_dir().join(format!("kestrel-deleted-{}", std::process::id()));
    std::fs::copy("/bin/true", &path).expect("temporary folder");
    let open = std::fs::File::open(&path).expect("own file");
    std::fs::remove_file(&path).expect("own file");
    let pid = run(&mut Command::new(format!("/proc/{}/fd/{}", std::process::id(), open.as_raw_fd())));
    let event = &watch.wait_for("exec", pid);
    assert_eq!(watch.text(event, "process.executable"), [format!("{} (deleted)", path.display())]);
    let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    assert_eq!(watch.text(event, "process.name"), [name]);
}

#[test]
fn what_ran_before_is_told_of_every_exec() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let pid = run(Command::new("/bin/sh").args(["-c", "exec /bin/true second"]));
    watch.wait_for("end", pid);
    let is = |event: &&Event| {
        watch.text(event, "process.args").contains(&"second") && {
            watch.text(event, "event.action") == ["exec"] && watch.number(event, "process.pid") == Some(pid.into())
        }
    };
    let second = watch.events.iter().find(is).expect("the second exec of one process");
    let first = &watch.find("exec", pid).expect("the first");
    assert_eq!(watch.text(second, "process.previous.args"), ["/bin/sh", "-c", "exec /bin/true second"]);
    assert_eq!(watch.text(second, "process.previous.executable"), watch.text(first, "process.executable"));
    assert_eq!(watch.text(second, "process.entity_id"), watch.text(first, "process.entity_id"), "one process");
}

/// A thread that is not the first calls exec: the others end, and it goes on as the process. Python is the smallest
/// program at hand that can.
#[test]
fn an_exec_in_a_thread_is_its_processes() {
    let Some(mut watch) = Watch::open(LiveOptions::default()) else { return };
    let program = "import os, threading\n\
        threading.Thread(target=lambda: os.execv('/bin/true', ['true', 'in a thread'])).start()\n\
        threading.Event().wait()";
    let Ok(mut child) = Command::new("python3").args(["-c", program]).spawn() else {
        eprintln!("skipped: no python3 on this machine");
        return;
    };
    assert!(child.wait().expect("it ends").success());
    let pid = child.id();
    let end = &watch.wait_for("end", pid);
    assert_eq!(watch.text(end, "process.args"), ["true", "in a thread"]);
    assert_eq!(watch.number(end, "process.exit_code"), Some(0));
    let of_it = |event: &&Event| watch.number(event, "process.pid") == Some(pid.into());
    let told: Vec<&str> =
        watch.events.iter().filter(of_it).flat_map(|event| watch.text(event, "event.action")).collect();
    // What is called python3 may be a script that looks for it: there may be more execs.
    assert_eq!((told.first(), told.last()), (Some(&"fork"), Some(&"end")));
    assert_eq!(told.iter().filter(|&&action| action != "exec").count(), 2, "threads that end are no processes");
    let mut ids: Vec<&str> =
        watch.events.iter().filter(of_it).flat_map(|event| watch.text(event, "process.entity_id")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one process all the time");
}

#[test]
fn a_storm_of_processes_is_told_whole() {
    let Some(mut watch) = Watch::open(LiveOptions { ring_bytes: 16 << 20, ..LiveOptions::default() }) else { return };
    let script = "i=0; while [ $i -lt 300 ]; do /bin/true storm $i; i=$((i+1)); done";
    let pid = run(Command::new("/bin/sh").args(["-c", script]));
    watch.wait_for("end", pid);
    let of_storm = |event: &&Event| watch.text(event, "process.args").get(1) == Some(&"storm");
    let count = |action: &str| {
        let is = |event: &&Event| of_storm(event) && watch.text(event, "event.action") == [action];
        watch.events.iter().filter(is).count()
    };
    assert_eq!((count("exec"), count("end")), (300, 300));
    let orphans = watch.events.iter().filter(of_storm);
    let orphans = orphans.filter(|event| watch.number(event, "process.parent.pid") != Some(pid.into()));
    assert_eq!(orphans.count(), 0);
    let ledger = watch.source.ledger().expect("maps");
    assert_eq!((ledger.gaps, ledger.malformed, ledger.missed_runs), (0, 0, 0), "{ledger:#?}");
}
