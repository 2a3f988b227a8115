//! What `/proc` says about a process: the second opinion on every field of a process.

use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::expect::{Fields, Want};
use crate::sys;

/// `/proc` counts in ticks of 10 ms, and two clocks are read one after the other.
const START_SLACK: i64 = 30_000_000;

/// A process at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
    /// The number in its innermost namespace.
    pub namespace_pid: u32,
    pub executable: String,
    /// The name of its main thread, which stands for a program that `/proc` does not tell.
    pub thread_name: String,
    pub arguments: Vec<String>,
    pub working_directory: String,
    /// Major and minor number of the terminal, 0 without one.
    pub terminal: (u32, u32),
    /// Whether standard input and standard error are that terminal.
    pub interactive: bool,
    /// Its start in nanoseconds since 1970: not before, not after.
    pub start: (i64, i64),
    /// Real, effective and saved.
    pub users: [u32; 3],
    pub groups: [u32; 3],
    /// Effective and permitted.
    pub capabilities: [u64; 2],
    /// Mount, network, PID; 0 where `/proc` does not tell.
    pub namespaces: [u64; 3],
    pub cgroup: Option<u64>,
}

fn number_after(status: &str, name: &str, place: usize) -> Option<u32> {
    line_after(status, name)?.split_whitespace().nth(place)?.parse().ok()
}

fn line_after<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

impl Snapshot {
    /// Looks at a process.
    pub fn of(pid: u32) -> Result<Snapshot> {
        let folder = format!("/proc/{pid}");
        let read =
            |name: &str| fs::read(format!("{folder}/{name}")).with_context(|| format!("cannot read {folder}/{name}"));
        let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
        // The name may hold blanks and brackets; what follows its last bracket does not.
        let rest: Vec<&str> = stat.rsplit_once(')').context("stat names its process")?.1.split_whitespace().collect();
        let field = |number: usize| -> Result<i64> {
            rest.get(number - 3).context("stat is short")?.parse().context("stat holds numbers")
        };
        let status = String::from_utf8_lossy(&read("status")?).into_owned();
        let status =
            |name: &str, place: usize| number_after(&status, name, place).with_context(|| format!("no {name}"));
        let mut arguments: Vec<String> = read("cmdline")?
            .split(|byte| *byte == 0)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect();
        arguments.pop();
        let link = |name: &str| fs::read_link(format!("{folder}/{name}"));
        let path =
            |name| link(name).map_or_else(|_| String::new(), |path| path.as_os_str().to_string_lossy().into_owned());
        let namespace = |name: &str| {
            let inode = link(&format!("ns/{name}")).ok();
            let inode = inode.and_then(|path| path.to_string_lossy().split(['[', ']']).nth(1)?.parse().ok());
            // Of some processes not even root may ask.
            inode.unwrap_or(0)
        };
        let boot = sys::now() - sys::since_boot();
        let start = boot + field(22)? * 10_000_000;
        // The kernel's way to write a device number.
        let device = field(7)? as u32;
        let raw_status = String::from_utf8_lossy(&read("status")?).into_owned();
        let capability = |name: &str| {
            let text = line_after(&raw_status, name).map(str::trim);
            text.and_then(|text| u64::from_str_radix(text, 16).ok()).with_context(|| format!("no {name}"))
        };
        let cgroup = String::from_utf8_lossy(&read("cgroup")?).into_owned();
        let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned));
        let in_namespaces =
            line_after(&raw_status, "NSpid").and_then(|line| line.split_whitespace().last()?.parse().ok());
        let terminal = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
        let is_terminal = |descriptor: &str| {
            let file = std::fs::metadata(format!("/proc/{pid}/fd/{descriptor}"));
            let number = file.map_or(0, |file| std::os::unix::fs::MetadataExt::rdev(&file));
            let number = (libc::major(number), libc::minor(number));
            terminal.0 != 0 && [terminal, (5, 0), (5, 1)].contains(&number)
        };
        Ok(Snapshot {
            pid,
            parent: field(4)? as u32,
            group: field(5)? as u32,
            session: field(6)? as u32,
            namespace_pid: in_namespaces.unwrap_or(pid),
            // The kernel appends this to the path of what has lost its name; the engine tells the path.
            executable: path("exe").trim_end_matches(" (deleted)").to_owned(),
            thread_name: String::from_utf8_lossy(&read("comm")?).trim_end().to_owned(),
            arguments,
            working_directory: path("cwd"),
            terminal,
            interactive: is_terminal("0") && is_terminal("2"),
            start: (start - START_SLACK, start + START_SLACK),
            users: [status("Uid", 0)?, status("Uid", 1)?, status("Uid", 2)?],
            groups: [status("Gid", 0)?, status("Gid", 1)?, status("Gid", 2)?],
            capabilities: [capability("CapEff")?, capability("CapPrm")?],
            namespaces: [namespace("mnt"), namespace("net"), namespace("pid")],
            cgroup: cgroup.and_then(|path| fs::metadata(format!("/sys/fs/cgroup{path}")).ok()).map(|found| found.ino()),
        })
    }

    /// This process.
    pub fn own() -> Result<Snapshot> {
        Snapshot::of(std::process::id())
    }

    /// The last part of the executable's path.
    pub fn name(&self) -> &str {
        match self.executable.rsplit('/').next() {
            Some("") | None => &self.thread_name,
            Some(name) => name.trim_end_matches(" (deleted)"),
        }
    }

    /// What every process of an event has, below `prefix`, which ends with a dot.
    pub fn image_fields(&self, prefix: &str, fields: &mut Fields) {
        let mut put = |name: &str, want: Want| fields.insert(format!("{prefix}{name}"), want);
        put("pid", Want::value(self.pid));
        put("entity_id", Want::Entities(vec![self.pid]));
        put("start", Want::Between(self.start.0, self.start.1));
        put("interactive", Want::value(self.interactive));
        put("name", Want::value(self.name()));
        let path =
            |path: &str| Want::Cut(Some(path).filter(|path| !path.is_empty()).map(Json::from).into_iter().collect());
        put("executable", path(&self.executable));
        put("working_directory", path(&self.working_directory));
        let arguments: Vec<Json> = self.arguments.iter().map(|argument| argument.as_str().into()).collect();
        put("args_count", Want::value(arguments.len()));
        put("args", Want::Cut(arguments));
        put("command_line", Want::Cut(vec![self.arguments.join(" ").into()]));
    }

    /// What only the process itself has.
    pub fn own_fields(&self, fields: &mut Fields) {
        let mut put = |name: &str, want: Want| fields.insert(name.to_owned(), want);
        put("process.vpid", Want::value(self.namespace_pid));
        let (major, minor) = self.terminal;
        let terminal = |number: u32| if major == 0 { Want::absent() } else { Want::value(number) };
        put("process.tty.char_device.major", terminal(major));
        put("process.tty.char_device.minor", terminal(minor));
        for (name, inode) in ["mount", "network", "pid"].into_iter().zip(self.namespaces) {
            if inode != 0 {
                put(&format!("process.Ext.namespace.{name}"), Want::value(inode));
            }
        }
        if let Some(cgroup) = self.cgroup {
            put("process.Ext.cgroup.id", Want::value(cgroup));
        }
        let id = |number: u32| Want::value(number.to_string());
        for (name, number) in [
            ("process.real_user.id", self.users[0]),
            ("user.Ext.real.id", self.users[0]),
            ("process.user.id", self.users[1]),
            ("user.id", self.users[1]),
            ("process.saved_user.id", self.users[2]),
            ("process.real_group.id", self.groups[0]),
            ("group.Ext.real.id", self.groups[0]),
            ("process.group.id", self.groups[1]),
            ("group.id", self.groups[1]),
            ("process.saved_group.id", self.groups[2]),
        ] {
            put(name, id(number));
        }
        let user = name_of("/etc/passwd", self.users[1]);
        let group = name_of("/etc/group", self.groups[1]);
        for (field, name) in
            [("process.user.name", &user), ("user.name", &user), ("process.group.name", &group), ("group.name", &group)]
        {
            put(field, Want::texts(name));
        }
    }

    /// The capabilities of an exec event.
    pub fn capability_fields(&self, fields: &mut Fields) {
        for (field, set) in [("effective", self.capabilities[0]), ("permitted", self.capabilities[1])] {
            let names = CAPABILITIES.iter().enumerate().filter(|(number, _)| set >> number & 1 == 1);
            let names = names.map(|(_, name)| Json::from(format!("CAP_{name}"))).collect();
            fields.insert(format!("process.thread.capabilities.{field}"), Want::Set(names));
        }
    }
}

/// The name of a number in a file of the form `name:x:number:…`.
fn name_of(path: &str, number: u32) -> Option<String> {
    let text = fs::read(path).map(|bytes| std::ffi::OsString::from_vec(bytes).as_bytes().to_vec()).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&number.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

/// By number; include/uapi/linux/capability.h of Linux 6.1.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
