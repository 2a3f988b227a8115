//! A container as the kernel knows it: namespaces of its own, and a cgroup that is named as a runtime names one.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::actor::Actor;
use super::tiny;
use crate::expect::{Expected, Want};
use crate::sys;

/// 64 digits, as container runtimes give them.
const ID: &str = "6b65737472656c00000000000000000000000000000000000000000074727468";

/// The folder of the second cgroup hierarchy, if there is one that takes new groups.
fn hierarchy() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.join("cgroup.controllers").exists())
}

/// Removes the group when its last process has left it.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if let Some(parent) = self.0.parent() {
            let _ = fs::remove_dir(parent);
        }
    }
}

pub(super) fn container(actor: &mut Actor) -> Result<i32> {
    let Some(hierarchy) = hierarchy() else {
        eprintln!("workload: container: no second cgroup hierarchy");
        return Ok(0);
    };
    let program = actor.folder().join("contained");
    fs::write(&program, tiny::program(21))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let folder = hierarchy.join("docker").join(ID);
    if let Err(error) = fs::create_dir_all(&folder) {
        eprintln!("workload: container: no new cgroup: {error}");
        return Ok(0);
    }
    let group = Group(folder);
    let cgroup = fs::metadata(&group.0)?.ino();
    run(actor, &program, &group.0, cgroup)?;
    Ok(0)
}

/// A child leaves its namespaces and joins the group; its own child is the first process of the container.
fn run(actor: &Actor, program: &Path, group: &Path, cgroup: u64) -> Result<()> {
    let target = CString::new(program.as_os_str().as_bytes())?;
    let before = sys::now() - 30_000_000;
    let (reader, writer) = std::io::pipe()?;
    let flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    let outer = actor.fork(None, || {
        let inner = || -> Result<u32> {
            fs::write(group.join("cgroup.procs"), "0").context("cannot join the group")?;
            sys::unshare(flags).context("cannot leave the namespaces")?;
            let inner = sys::fork(|| {
                // Until the namespaces have been looked at from outside.
                let mut byte = [0];
                let _ = std::io::Read::read(&mut &reader, &mut byte);
                let _ = sys::execute(&target, &[c"contained".to_owned()], &[]);
                127
            })?;
            let namespace = |name: &str| -> Result<u64> {
                let link = fs::read_link(format!("/proc/{inner}/ns/{name}"))?;
                link.to_string_lossy().split(['[', ']']).nth(1).and_then(|text| text.parse().ok()).context("a number")
            };
            tell(actor, program, inner, cgroup, [namespace("mnt")?, namespace("net")?, namespace("pid")?], before)?;
            std::io::Write::write_all(&mut &writer, b"x")?;
            sys::wait(inner)?;
            Ok(inner)
        };
        match inner() {
            Ok(_) => 0,
            Err(error) => {
                eprintln!("workload: container: {error:#}");
                1
            }
        }
    })?;
    let status = sys::wait(outer)?;
    drop((reader, writer));
    let mut left = actor.child(outer, (before, sys::now()));
    // It stays in its PID namespace, and what it left the others for is not known here.
    left.own.namespaces = [0, 0, left.own.namespaces[2]];
    left.own.cgroup = Some(cgroup);
    actor.say_child_ending(&left, 0)?;
    anyhow::ensure!(status == 0, "the container ended with {status}");
    Ok(())
}

fn tell(actor: &Actor, program: &Path, pid: u32, cgroup: u64, namespaces: [u64; 3], before: i64) -> Result<()> {
    let mut contained = actor.child(pid, (before, sys::now() + 30_000_000));
    contained.own.namespace_pid = 1;
    contained.own.namespaces = namespaces;
    contained.own.cgroup = Some(cgroup);
    contained.own.executable = program.to_string_lossy().into_owned();
    contained.own.arguments = vec!["contained".to_owned()];
    let mut fields = contained.base();
    // Its parent is the process that left the namespaces, of which only number and image are known here.
    fields.retain(|name, _| !name.starts_with("process.parent.") && name != "process.Ext.ancestry");
    contained.own.image_fields("process.entry_leader.", &mut fields);
    fields.insert("process.entry_leader.entry_meta.type".to_owned(), Want::value("container"));
    fields.insert("container.id".to_owned(), Want::value(ID));
    fields.insert("@timestamp".to_owned(), Want::Between(before, sys::now() + 5_000_000_000));
    let expected = |kind: &str| Expected {
        act: "container".to_owned(),
        kind: kind.to_owned(),
        pid,
        key: Vec::new(),
        fields: fields.clone(),
    };
    let mut forked = expected("fork");
    // A copy of this program until it executes another.
    forked.fields.retain(|name, _| !["process.name", "process.executable", "process.args"].contains(&name.as_str()));
    forked.fields.retain(|name, _| !["process.args_count", "process.command_line"].contains(&name.as_str()));
    forked.fields.retain(|name, _| !name.starts_with("process.entry_leader"));
    super::say(&forked)?;
    super::say(&expected("exec"))?;
    let mut ended = expected("exit");
    ended.fields.insert("process.exit_code".to_owned(), Want::value(21));
    super::say(&ended)
}
