//! Programs, forks, exits, sessions, users and groups.

use std::ffi::{CString, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::actor::{Actor, ExecutedChild};
use super::{ROLE, STAGE, tiny};
use crate::expect::Want;
use crate::sys;

pub(super) fn nothing(_: &mut Actor) -> Result<i32> {
    Ok(0)
}

pub(super) fn exit_code(_: &mut Actor) -> Result<i32> {
    Ok(217)
}

/// Ends by a signal: the code is the one that a shell shows.
pub(super) fn signal(actor: &mut Actor) -> Result<i32> {
    actor.say_ending(128 + libc::SIGKILL)?;
    sys::kill(std::process::id(), libc::SIGKILL)?;
    bail!("outlived SIGKILL")
}

pub(super) fn abort(actor: &mut Actor) -> Result<i32> {
    actor.say_ending(128 + libc::SIGABRT)?;
    // Without a core file, which would be written to who knows where.
    sys::call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 0, 0, 0, 0, 0])?;
    std::process::abort()
}

fn second(actor: &Actor) -> Result<Command> {
    let mut stage = actor.stage.clone();
    stage.previous = Some((actor.own.executable.clone(), actor.own.arguments.clone()));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("kestrel-truth: second image").arg("after");
    command.env(ROLE, "second image").env(STAGE, serde_json::to_string(&stage)?).stdin(Stdio::null());
    Ok(command)
}

pub(super) fn exec_again(actor: &mut Actor) -> Result<i32> {
    Err(second(actor)?.exec()).context("cannot exec")
}

/// The process keeps its number, whichever thread calls.
pub(super) fn exec_in_thread(actor: &mut Actor) -> Result<i32> {
    let mut command = second(actor)?;
    let waiting = std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(60)));
    let error = std::thread::spawn(move || command.exec()).join();
    drop(waiting);
    bail!("cannot exec in a thread: {error:?}")
}

fn strings(texts: &[&str]) -> Result<Vec<CString>> {
    texts.iter().map(|text| CString::new(*text).context("no NUL")).collect()
}

/// Programs from a memory file, from a script, by a link, after their file is gone, and with the user of their owner.
pub(super) fn programs(actor: &mut Actor) -> Result<i32> {
    let plain = |executable: String, arguments: &[&str], code| ExecutedChild {
        executable,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        users: None,
        capabilities: None,
        code,
    };
    let path = |name: &str| actor.folder().join(name);
    let run = |file: &std::path::Path, executed: &ExecutedChild| -> Result<()> {
        let target = CString::new(file.as_os_str().as_bytes())?;
        let arguments: Vec<&str> = executed.arguments.iter().map(String::as_str).collect();
        // A script's arguments are put before by the kernel.
        let own: &[&str] =
            if file.extension().is_some_and(|ending| ending == "script") { &arguments[2..] } else { &arguments };
        let arguments = strings(own)?;
        let pid = actor.fork(Some(executed), || {
            let _ = sys::execute(&target, &arguments, &[]);
            127
        })?;
        sys::wait(pid).map(drop).context("cannot wait")
    };
    let make = |name: &str, code: u8| -> Result<std::path::PathBuf> {
        let path = path(name);
        fs::write(&path, tiny::program(code))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    };

    let tiny = make("tiny", 9)?;
    let tiny_text = tiny.to_string_lossy().into_owned();
    run(&tiny, &plain(tiny_text.clone(), &["tiny", "argument"], 9))?;
    let linked = path("linked");
    std::os::unix::fs::symlink(&tiny, &linked)?;
    run(&linked, &plain(tiny_text.clone(), &["by a link"], 9))?;
    let script = path("run.script");
    fs::write(&script, format!("#!{tiny_text} option\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let script_text = script.to_string_lossy().into_owned();
    let mut executed = plain(tiny_text.clone(), &[&tiny_text, "option", &script_text, "more"], 9);
    // `run` leaves out the first two; the name that exec was given is dropped for the script's.
    run(&script, &executed)?;
    let hidden = make(".naïve 日本", 3)?;
    // Since 5.18 the kernel gives a program without arguments an empty one.
    run(&hidden, &plain(hidden.to_string_lossy().into_owned(), &[""], 3))?;

    let key = [("process.Ext.memfd.name", json!("kestrel-truth"))];
    let memory =
        actor.act("memfd_create", &key, &[], || sys::memory_file(c"kestrel-truth", 0).context("no memory file"))?;
    fs::write(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&memory)), tiny::program(11))?;
    executed = plain("/memfd:kestrel-truth (deleted)".to_owned(), &["from memory"], 11);
    let arguments = strings(&["from memory"])?;
    let pid = actor.fork(Some(&executed), || {
        let _ = sys::execute_file(&memory, &arguments, &[]);
        127
    })?;
    sys::wait(pid)?;

    if actor.own.users[0] == 0 {
        let owned = make("owned", 5)?;
        std::os::unix::fs::chown(&owned, Some(65_534), None)?;
        fs::set_permissions(&owned, fs::Permissions::from_mode(0o4755))?;
        executed = plain(owned.to_string_lossy().into_owned(), &["owned"], 5);
        executed.users = Some([0, 65_534, 65_534]);
        executed.capabilities = Some([0, actor.own.capabilities[1]]);
        run(&owned, &executed)?;
    }
    Ok(0)
}

/// Many children at once, each with an end of its own.
pub(super) fn fork_storm(actor: &mut Actor) -> Result<i32> {
    let mut children = Vec::new();
    for number in 0..300 {
        let before = sys::now() - 30_000_000;
        let pid = actor.fork(None, || number % 256)?;
        children.push((pid, number % 256, before));
    }
    for (pid, code, before) in children {
        sys::wait(pid)?;
        actor.say_child_ending(&actor.child(pid, (before, sys::now() + 30_000_000)), code)?;
    }
    Ok(0)
}

/// Children that end before their parent has looked, and that exec at once, many times over.
pub(super) fn races(actor: &mut Actor) -> Result<i32> {
    let tiny = actor.folder().join("racer");
    fs::write(&tiny, tiny::program(1))?;
    fs::set_permissions(&tiny, fs::Permissions::from_mode(0o755))?;
    let target = CString::new(tiny.as_os_str().as_bytes())?;
    let mut children = Vec::new();
    for number in 0..50_u32 {
        let name = OsString::from(format!("racer {number}"));
        let executed = ExecutedChild {
            executable: tiny.to_string_lossy().into_owned(),
            arguments: vec![name.to_string_lossy().into_owned()],
            users: None,
            capabilities: None,
            code: 1,
        };
        let arguments = strings(&[&format!("racer {number}")])?;
        children.push(actor.fork(Some(&executed), || {
            let _ = sys::execute(&target, &arguments, &[]);
            127
        })?);
    }
    for pid in children {
        sys::wait(pid)?;
    }
    Ok(0)
}

/// A session of its own.
pub(super) fn session(actor: &mut Actor) -> Result<i32> {
    let before = sys::now();
    sys::new_session()?;
    let after = sys::now();
    actor.own.session = actor.own.pid;
    actor.own.group = actor.own.pid;
    let own = actor.own.clone();
    // From here on it leads itself.
    let mut led = Vec::new();
    for leader in ["process.session_leader.", "process.group_leader."] {
        let mut fields = crate::expect::Fields::new();
        own.image_fields(leader, &mut fields);
        led.extend(fields);
    }
    let led: Vec<(&str, Want)> = led.iter().map(|(name, want)| (name.as_str(), want.clone())).collect();
    actor.told("session_id_change", &[], &led, (before, after))?;
    actor.lead_itself();
    Ok(0)
}

/// Each change of the user.
pub(super) fn users(actor: &mut Actor) -> Result<i32> {
    if actor.own.users != [0, 0, 0] {
        return Ok(0);
    }
    // Effective alone, back, then all of them for good.
    for users in [[0, 1_234, 0], [0, 0, 0], [65_534, 65_534, 65_534]] {
        let before = sys::now();
        sys::set_users(users[0], users[1], users[2])?;
        let after = sys::now();
        actor.own.users = users;
        actor.own.capabilities = [0, 0];
        let key = [("user.Ext.real.id", json!(users[0].to_string())), ("user.id", json!(users[1].to_string()))];
        actor.told("uid_change", &key, &[("user.Ext.saved.id", Want::value(users[2].to_string()))], (before, after))?;
    }
    Ok(0)
}

pub(super) fn groups(actor: &mut Actor) -> Result<i32> {
    if actor.own.users != [0, 0, 0] {
        return Ok(0);
    }
    for groups in [[0, 4_321, 0], [65_534, 65_534, 65_534]] {
        let before = sys::now();
        sys::set_groups(groups[0], groups[1], groups[2])?;
        let after = sys::now();
        actor.own.groups = groups;
        let key = [("group.Ext.real.id", json!(groups[0].to_string())), ("group.id", json!(groups[1].to_string()))];
        actor.told(
            "gid_change",
            &key,
            &[("group.Ext.saved.id", Want::value(groups[2].to_string()))],
            (before, after),
        )?;
    }
    Ok(0)
}
