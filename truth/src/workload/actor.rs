//! A process that acts and says what every event of its acts must hold.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::expect::{Expected, Fields, Want};
use crate::snapshot::Snapshot;
use crate::sys;

/// Two clocks of the kernel are read one after the other, and the engine looks at the wall clock only now and then.
const TIME_SLACK: i64 = 30_000_000;

/// What a driver tells its actors about where they come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stage {
    /// The driver: parent, leader of the group and of the session.
    pub(super) driver: Snapshot,
    /// The driver's ancestors, nearest first.
    pub(super) ancestry: Vec<u32>,
    /// How the driver came onto the host, by the rules that Elastic's session view documents.
    pub(super) entry: Snapshot,
    /// The word for that.
    pub(super) entry_type: String,
    pub(super) folder: PathBuf,
    /// Executable and arguments that an exec replaces, when it is not the driver's.
    pub(super) previous: Option<(String, Vec<String>)>,
}

impl Stage {
    pub(super) fn of(driver: &Snapshot, folder: &Path) -> Result<Stage> {
        let mut ancestors = Vec::new();
        let mut next = driver.parent;
        while next != 0 && ancestors.len() < 64 {
            let ancestor = Snapshot::of(next)?;
            next = ancestor.parent;
            ancestors.push(ancestor);
        }
        let entry = ancestors.iter().enumerate().find_map(|(place, process)| {
            way_in(process, ancestors.get(place + 1)).map(|word| (process.clone(), word.to_owned()))
        });
        let (entry, entry_type) = entry.context("the first process is a way in")?;
        Ok(Stage {
            driver: driver.clone(),
            ancestry: ancestors.iter().map(|ancestor| ancestor.pid).collect(),
            entry,
            entry_type,
            folder: folder.to_owned(),
            previous: None,
        })
    }

    pub(super) fn leader_fields(&self, fields: &mut Fields) {
        self.driver.image_fields("process.session_leader.", fields);
        self.driver.image_fields("process.group_leader.", fields);
        self.entry.image_fields("process.entry_leader.", fields);
        fields.insert("process.entry_leader.entry_meta.type".to_owned(), Want::value(self.entry_type.as_str()));
    }
}

/// How a process came onto the host, if it did not come by its parent: the rules that Elastic's session view documents.
fn way_in(process: &Snapshot, parent: Option<&Snapshot>) -> Option<&'static str> {
    if process.pid == 1 {
        return Some("init");
    }
    if process.namespace_pid == 1 {
        return Some("container");
    }
    let parent = parent.filter(|_| process.session == process.pid)?;
    match parent.name() {
        "sshd" | "sshd-session" => Some("sshd"),
        "login" | "agetty" | "getty" => Some("terminal"),
        "runc" | "crun" | "conmon" => Some("container"),
        name if name.starts_with("containerd-shim") => Some("container"),
        _ => (parent.pid == 1).then_some("init"),
    }
}

pub(super) fn parent_fields(parent: &Snapshot, fields: &mut Fields) {
    parent.image_fields("process.parent.", fields);
    fields.insert("process.parent.user.id".to_owned(), Want::value(parent.users[1].to_string()));
    fields.insert("process.parent.group.id".to_owned(), Want::value(parent.groups[1].to_string()));
}

/// Writes one line of what must be seen.
pub(super) fn say(expected: &Expected) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, expected)?;
    out.write_all(b"\n")?;
    out.flush().context("cannot say what was done")
}

/// A process in a role.
pub struct Actor {
    role: String,
    /// What is known of this process; changed by its acts.
    pub(super) own: Snapshot,
    pub(super) stage: Stage,
    /// Whether it leads its session and its group itself; otherwise the driver does.
    leads: bool,
}

impl Actor {
    pub(super) fn new(role: &str, stage: Stage) -> Result<Actor> {
        Ok(Actor { role: role.to_owned(), own: Snapshot::own()?, stage, leads: false })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.stage.folder
    }

    /// From here on this process leads its session and its group.
    pub(super) fn lead_itself(&mut self) {
        self.leads = true;
    }

    /// What every event of this process must hold.
    pub(super) fn base(&self) -> Fields {
        let mut fields = Fields::new();
        self.own.own_fields(&mut fields);
        self.own.image_fields("process.", &mut fields);
        parent_fields(&self.stage.driver, &mut fields);
        self.stage.leader_fields(&mut fields);
        if self.leads {
            self.own.image_fields("process.session_leader.", &mut fields);
            self.own.image_fields("process.group_leader.", &mut fields);
        }
        let ancestors = std::iter::once(self.stage.driver.pid).chain(self.stage.ancestry.iter().copied()).collect();
        fields.insert("process.Ext.ancestry".to_owned(), Want::Entities(ancestors));
        fields
    }

    /// Does something and says which event of this process it must have caused. The fields by which it is found come first.
    pub(super) fn act<T>(
        &self,
        kind: &str,
        key: &[(&str, Json)],
        more: &[(&str, Want)],
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let before = sys::now();
        let done = act()?;
        self.told(kind, key, more, (before, sys::now()))?;
        Ok(done)
    }

    /// Says which event something caused that was done in this time.
    pub(super) fn told(
        &self,
        kind: &str,
        key: &[(&str, Json)],
        more: &[(&str, Want)],
        (before, after): (i64, i64),
    ) -> Result<()> {
        let mut fields = self.base();
        fields.insert("@timestamp".to_owned(), Want::Between(before - TIME_SLACK, after + TIME_SLACK));
        for (name, value) in key {
            fields.insert((*name).to_owned(), Want::value(value.clone()));
        }
        fields.extend(more.iter().map(|(name, want)| ((*name).to_owned(), want.clone())));
        self.say(kind, key.iter().map(|(name, _)| (*name).to_owned()).collect(), fields)
    }

    fn say(&self, kind: &str, key: Vec<String>, fields: Fields) -> Result<()> {
        say(&Expected { act: self.role.clone(), kind: kind.to_owned(), pid: self.own.pid, key, fields })
    }

    /// Says what must be seen of this program's start.
    pub(super) fn say_started(&self) -> Result<()> {
        let mut fields = self.base();
        self.own.capability_fields(&mut fields);
        let (executable, arguments) = match &self.stage.previous {
            Some((executable, arguments)) => (executable, arguments),
            None => (&self.stage.driver.executable, &self.stage.driver.arguments),
        };
        fields.insert("process.previous.executable".to_owned(), Want::texts([executable]));
        fields.insert("process.previous.args".to_owned(), Want::texts(arguments));
        fields.insert("@timestamp".to_owned(), Want::Between(self.own.start.0, sys::now() + TIME_SLACK));
        self.say("exec", Vec::new(), fields)
    }

    /// Says what must be seen of this process's end, which comes right after.
    pub(super) fn say_ending(&self, code: i32) -> Result<()> {
        let now = sys::now();
        let end = Want::Between(now - TIME_SLACK, now + 5_000_000_000);
        let mut fields = self.base();
        fields.insert("@timestamp".to_owned(), end.clone());
        fields.insert("process.end".to_owned(), end);
        fields.insert("process.exit_code".to_owned(), Want::value(code));
        self.say("exit", Vec::new(), fields)
    }

    /// A copy of this process as its child, for what a fork of it tells and for the child to act itself.
    pub(super) fn child(&self, pid: u32, start: (i64, i64)) -> Actor {
        let own = Snapshot { pid, namespace_pid: pid, parent: self.own.pid, start, ..self.own.clone() };
        let mut stage = self.stage.clone();
        // The leaders stay; parent and ancestors move down by one, which `told_by` puts right.
        stage.previous = None;
        Actor { role: self.role.clone(), own, stage, leads: self.leads }
    }

    /// What a child of this process must tell, in place of what this process would.
    pub(super) fn below(&self, fields: &mut Fields) {
        parent_fields(&self.own, fields);
        let ancestors = [self.own.pid, self.stage.driver.pid];
        let ancestors = ancestors.into_iter().chain(self.stage.ancestry.iter().copied()).collect();
        fields.insert("process.Ext.ancestry".to_owned(), Want::Entities(ancestors));
    }

    /// Forks; says what the fork and the child's end must tell. `child` runs in the child and gives its exit code; with `execs`,
    /// what the program that it becomes tells is said here too.
    pub(super) fn fork(&self, execs: Option<&ExecutedChild>, child: impl FnOnce() -> i32) -> Result<u32> {
        let before = sys::now();
        let pid = sys::fork(child).context("cannot fork")?;
        let start = (before - TIME_SLACK, sys::now() + TIME_SLACK);
        let mut told = self.child(pid, start);
        let mut fields = told.base();
        self.below(&mut fields);
        fields.insert("@timestamp".to_owned(), Want::Between(start.0, start.1));
        told.say("fork", Vec::new(), fields)?;
        if let Some(executed) = execs {
            told.own.executable = executed.executable.clone();
            told.own.arguments = executed.arguments.clone();
            told.own.users = executed.users.unwrap_or(told.own.users);
            told.own.capabilities = executed.capabilities.unwrap_or(told.own.capabilities);
            let mut fields = told.base();
            self.below(&mut fields);
            told.own.capability_fields(&mut fields);
            fields.insert("process.previous.executable".to_owned(), Want::texts([&self.own.executable]));
            fields.insert(
                "process.previous.args".to_owned(),
                Want::Cut(self.own.arguments.iter().map(|a| a.as_str().into()).collect()),
            );
            fields.insert("@timestamp".to_owned(), Want::Between(start.0, start.1 + 5_000_000_000));
            told.say("exec", Vec::new(), fields)?;
        }
        let status = match execs.map(|executed| executed.code) {
            Some(code) => code,
            None => return Ok(pid),
        };
        self.say_child_ending(&told, status)?;
        Ok(pid)
    }

    /// Says what the end of a child must tell.
    pub(super) fn say_child_ending(&self, child: &Actor, code: i32) -> Result<()> {
        let mut fields = child.base();
        self.below(&mut fields);
        let end = Want::Between(child.own.start.0, sys::now() + 5_000_000_000);
        fields.insert("@timestamp".to_owned(), end.clone());
        fields.insert("process.end".to_owned(), end);
        fields.insert("process.exit_code".to_owned(), Want::value(code));
        child.say("exit", Vec::new(), fields)
    }
}

/// A program that a child becomes.
pub(super) struct ExecutedChild {
    pub(super) executable: String,
    pub(super) arguments: Vec<String>,
    pub(super) users: Option<[u32; 3]>,
    pub(super) capabilities: Option<[u64; 2]>,
    pub(super) code: i32,
}
