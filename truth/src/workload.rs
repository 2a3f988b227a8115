//! The workload: known acts, one process for each group of them, and a line of JSON for each event that they must cause.
//!
//! ```text
//! driver (leader of a session of its own) ─ starts ─▶ actor: one program start, some acts, one exit
//!    └── says what fork must tell            └── says what exec, its acts and exit must tell
//! ```
//!
//! A program finds its role in the environment, so that arguments are free to be as odd as they like. Everything is made below
//! one folder, which the driver removes.

mod actor;
mod container;
mod file;
mod kernel;
mod network;
mod process;
mod tiny;

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

pub use actor::Actor;
use actor::{Stage, say};

use crate::expect::{Expected, Fields, Want};
use crate::snapshot::Snapshot;
use crate::sys;

/// The variable that names a program's role.
pub const ROLE: &str = "KESTREL_TRUTH_ROLE";
/// The variable that holds a [`Stage`].
const STAGE: &str = "KESTREL_TRUTH_STAGE";

/// What an actor does after it has told of its start; gives its exit code.
type Act = fn(&mut Actor) -> Result<i32>;

/// All roles, in the order in which the driver starts them.
fn roles() -> Vec<(&'static str, Vec<OsString>, Act)> {
    let text = |arguments: &[&str]| arguments.iter().map(OsString::from).collect::<Vec<_>>();
    let odd = vec![
        OsString::new(),
        "naïve 日本 🦅".into(),
        "two\nlines\tand a tab".into(),
        OsString::from_vec(b"not \xff utf-8 \xc3".to_vec()),
        "\u{1}\u{7f}".into(),
        OsString::new(),
    ];
    let long = vec![OsString::from("first"), "x".repeat(100 * 1024).into(), "last".into()];
    let many = (0..2_000).map(|number| OsString::from(number.to_string())).collect();
    vec![
        ("plain", text(&["one", "two"]), process::nothing),
        ("odd arguments", odd, process::nothing),
        ("long arguments", long, process::nothing),
        ("many arguments", many, process::nothing),
        ("exit code", text(&[]), process::exit_code),
        ("signal", text(&[]), process::signal),
        ("abort", text(&[]), process::abort),
        ("exec again", text(&["before"]), process::exec_again),
        ("exec in a thread", text(&[]), process::exec_in_thread),
        ("programs", text(&[]), process::programs),
        ("fork storm", text(&[]), process::fork_storm),
        ("races", text(&[]), process::races),
        ("session", text(&[]), process::session),
        ("users", text(&[]), process::users),
        ("groups", text(&[]), process::groups),
        ("ptrace and kill", text(&[]), kernel::ptrace_and_kill),
        ("memory", text(&[]), kernel::memory),
        ("module", text(&[]), kernel::module),
        ("bpf", text(&[]), kernel::bpf),
        ("files", text(&[]), file::files),
        ("file owners", text(&[]), file::owners),
        ("links", text(&[]), file::links),
        ("odd file names", text(&[]), file::odd_names),
        ("deep paths", text(&[]), file::deep),
        ("network", text(&[]), network::network),
        ("dns", text(&[]), network::dns),
        ("container", text(&[]), container::container),
        ("second image", text(&["after"]), process::nothing),
    ]
}

/// Roles that are started by others.
const STARTED_BY_OTHERS: [&str; 1] = ["second image"];

/// Acts by the role in the environment, or drives all of them when there is none.
///
/// # Errors
/// When an act fails that must not.
pub fn run(only: &[String]) -> Result<i32> {
    match std::env::var(ROLE) {
        Ok(role) => act(&role),
        Err(_) => drive(only).map(|()| 0),
    }
}

fn act(role: &str) -> Result<i32> {
    let stage = std::env::var(STAGE).context("a role comes with its stage")?;
    let mut actor = Actor::new(role, serde_json::from_str(&stage).context("the stage")?)?;
    actor.say_started()?;
    let (_, _, act) = roles().into_iter().find(|(name, ..)| *name == role).context("a known role")?;
    let code = act(&mut actor).with_context(|| format!("role `{role}`"))?;
    actor.say_ending(code)?;
    Ok(code)
}

/// Removes what the workload made.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        file::remove_deep(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn drive(only: &[String]) -> Result<()> {
    sys::new_session().context("cannot start a session")?;
    let folder = Folder(std::env::temp_dir().join(format!("kestrel-truth-{}", std::process::id())));
    std::fs::create_dir(&folder.0).with_context(|| format!("cannot make {}", folder.0.display()))?;
    let own = Snapshot::own()?;
    let stage = Stage::of(&own, &folder.0)?;
    let program = std::env::current_exe().context("own path")?;
    for (role, arguments, _) in roles() {
        let asked = only.is_empty() || only.iter().any(|name| name == role);
        if asked && !STARTED_BY_OTHERS.contains(&role) {
            start(&program, role, &arguments, &own, &stage)?;
        }
    }
    Ok(())
}

fn start(program: &Path, role: &str, arguments: &[OsString], own: &Snapshot, stage: &Stage) -> Result<()> {
    let before = sys::now();
    let mut child = Command::new(program)
        .arg0(format!("kestrel-truth: {role}"))
        .args(arguments)
        .env(ROLE, role)
        .env(STAGE, serde_json::to_string(stage)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start role `{role}`"))?;
    let mut fields = forked(own, own, &stage.ancestry, child.id(), before, sys::now());
    stage.leader_fields(&mut fields);
    say(&Expected {
        act: format!("fork for {role}"),
        kind: "fork".to_owned(),
        pid: child.id(),
        key: Vec::new(),
        fields,
    })?;
    let mut told = String::new();
    child.stdout.take().context("its output")?.read_to_string(&mut told)?;
    let status = child.wait()?;
    print!("{told}");
    eprintln!("workload: {role}: {status}");
    Ok(())
}

/// What a fork must tell of the child: the image of its creator, and a number and a start of its own.
fn forked(image: &Snapshot, creator: &Snapshot, ancestry: &[u32], pid: u32, before: i64, after: i64) -> Fields {
    let slack = 30_000_000;
    let child = Snapshot {
        pid,
        namespace_pid: pid,
        parent: creator.pid,
        start: (before - slack, after + slack),
        ..image.clone()
    };
    let mut fields = Fields::new();
    child.own_fields(&mut fields);
    child.image_fields("process.", &mut fields);
    actor::parent_fields(creator, &mut fields);
    let ancestors = std::iter::once(creator.pid).chain(ancestry.iter().copied()).collect();
    fields.insert("process.Ext.ancestry".to_owned(), Want::Entities(ancestors));
    fields.insert("@timestamp".to_owned(), Want::Between(before - slack, after + slack));
    fields
}
