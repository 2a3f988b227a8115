//! Allow-lists: events that the operator knows to be harmless and does not want rules to be asked about.
//!
//! Goes in: [`AllowLists`], as the configuration has them, and events. Comes out: whether an event is on a list. Lists are
//! compared exactly, byte by byte; what cannot be known is on no list: an event of which something was cut or unreadable, and
//! the name of a process whose executable is not known, because then a process chooses it. An event of two files, a renamed
//! one or a link, is on a list of paths when both are. The process table takes events in before they are looked for here, and
//! ends of processes are given to rules all the same while some ask about lineage. Lineage is not told of other allowed
//! events, so that an allowed exec makes nobody the ancestor that a rule asks about.

use std::collections::HashSet;

use kestrel_ir::cidr::Cidr;
use kestrel_ir::event::{Event, EventFlags, FieldNumber, FieldTable, FieldValue};
use serde::Deserialize;
use thiserror::Error;

/// What is allowed, as it is written down; `[live.allow]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllowLists {
    /// Names of processes that act: `process.name`, where it is that of `process.executable`.
    pub process_names: Vec<String>,
    /// Folders and files whose events are allowed, with all that is below: beginnings of `file.path`, by whole components.
    pub path_prefixes: Vec<String>,
    /// Ends of `file.path`, such as `.log`.
    pub path_suffixes: Vec<String>,
    /// Ports of the destination; of sockets that only bind or listen, their own.
    pub ports: Vec<u16>,
    /// Addresses of the other side, single ones or blocks in CIDR notation.
    pub cidrs: Vec<String>,
    /// Protocols above IP: `network.transport`.
    pub protocols: Vec<String>,
}

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{list}` has `{entry}`, {why}")]
pub struct AllowError {
    /// The list.
    pub list: &'static str,
    /// What stands there.
    pub entry: String,
    /// What it is, and what is expected.
    pub why: &'static str,
}

/// Allow-lists that are ready to be compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    process_names: HashSet<String>,
    path_prefixes: Vec<String>,
    path_suffixes: Vec<String>,
    ports: HashSet<u16>,
    cidrs: Vec<Cidr>,
    protocols: HashSet<String>,
}

/// The names that `network.transport` has.
const PROTOCOLS: [&str; 7] = ["tcp", "udp", "icmp", "dccp", "ipv6-icmp", "sctp", "udp-lite"];

impl Allow {
    /// Takes lists in.
    ///
    /// ```
    /// use kestrel_engine::live::{Allow, AllowLists};
    ///
    /// let lists = AllowLists { path_prefixes: vec!["/var/cache/".to_owned()], ..AllowLists::default() };
    /// assert!(!Allow::new(&lists)?.is_empty());
    /// let wrong = AllowLists { cidrs: vec!["10.0.0.0/33".to_owned()], ..AllowLists::default() };
    /// assert!(Allow::new(&wrong).is_err());
    /// # Ok::<(), kestrel_engine::live::AllowError>(())
    /// ```
    ///
    /// # Errors
    /// An entry that can match nothing, or that would match everything.
    pub fn new(lists: &AllowLists) -> Result<Allow, AllowError> {
        let refuse = |list, entry: &str, why| AllowError { list, entry: entry.to_owned(), why };
        let mut allow = Allow::default();
        for name in &lists.process_names {
            if name.is_empty() || name.contains('/') {
                return Err(refuse("process_names", name, "which is no name of a process: expected one without `/`"));
            }
            allow.process_names.insert(name.clone());
        }
        for path in &lists.path_prefixes {
            let whole = path.trim_end_matches('/');
            let in_order = |part: &str| !matches!(part, "" | "." | "..");
            if !whole.strip_prefix('/').is_some_and(|rest| rest.split('/').all(in_order)) {
                let why = "which is no path below the root: expected one such as `/var/cache`, without `.` and `..`";
                return Err(refuse("path_prefixes", path, why));
            }
            allow.path_prefixes.push(whole.to_owned());
        }
        for end in &lists.path_suffixes {
            if end.is_empty() {
                return Err(refuse("path_suffixes", end, "which every path ends with: expected text such as `.log`"));
            }
            allow.path_suffixes.push(end.clone());
        }
        for port in &lists.ports {
            if *port == 0 {
                return Err(refuse("ports", "0", "which is no port: expected 1 to 65535"));
            }
            allow.ports.insert(*port);
        }
        for text in &lists.cidrs {
            let why = "which is no block of addresses: expected one such as `10.0.0.0/8` or `::1`";
            allow.cidrs.push(Cidr::parse(text).ok_or_else(|| refuse("cidrs", text, why))?);
        }
        for name in &lists.protocols {
            if !PROTOCOLS.contains(&name.as_str()) {
                let why = "which is no protocol: expected tcp, udp, icmp, dccp, ipv6-icmp, sctp or udp-lite";
                return Err(refuse("protocols", name, why));
            }
            allow.protocols.insert(name.clone());
        }
        Ok(allow)
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        *self == Allow::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        let texts = self.process_names.len() + self.path_prefixes.len() + self.path_suffixes.len();
        texts + self.ports.len() + self.cidrs.len() + self.protocols.len()
    }

    fn allows_path(&self, path: &str) -> bool {
        let below = |prefix: &String| {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.path_prefixes.iter().any(below) || self.path_suffixes.iter().any(|end| path.ends_with(end.as_str()))
    }

    fn allows_ends(&self, ends: &Ends<'_>) -> bool {
        let port = ends.destination_port.or(if ends.has_destination { None } else { ends.source_port });
        let other = if ends.ingress { ends.source } else { ends.destination };
        ends.transport.is_some_and(|name| self.protocols.contains(name))
            || port.and_then(|port| u16::try_from(port).ok()).is_some_and(|port| self.ports.contains(&port))
            || other.is_some_and(|address| self.cidrs.iter().any(|block| block.contains(address)))
    }
}

/// What an event says of a connection.
#[derive(Default)]
struct Ends<'e> {
    transport: Option<&'e str>,
    ingress: bool,
    has_destination: bool,
    source: Option<[u8; 16]>,
    destination: Option<[u8; 16]>,
    source_port: Option<i64>,
    destination_port: Option<i64>,
}

/// The numbers of the fields that lists are compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct AllowFields {
    process_name: Option<FieldNumber>,
    executable: Option<FieldNumber>,
    path: Option<FieldNumber>,
    other_paths: [Option<FieldNumber>; 2],
    transport: Option<FieldNumber>,
    direction: Option<FieldNumber>,
    source: Option<FieldNumber>,
    destination: Option<FieldNumber>,
    source_port: Option<FieldNumber>,
    destination_port: Option<FieldNumber>,
}

impl AllowFields {
    pub(super) fn new(table: &FieldTable) -> AllowFields {
        let field = |name| table.lookup(name);
        AllowFields {
            process_name: field("process.name"),
            executable: field("process.executable"),
            path: field("file.path"),
            other_paths: [field("file.Ext.original.path"), field("file.target_path")],
            transport: field("network.transport"),
            direction: field("network.direction"),
            source: field("source.ip"),
            destination: field("destination.ip"),
            source_port: field("source.port"),
            destination_port: field("destination.port"),
        }
    }

    /// Whether an event is on a list.
    pub(super) fn allow(&self, allow: &Allow, event: &Event) -> bool {
        if event.flags.contains(EventFlags::TRUNCATED) || event.flags.contains(EventFlags::UNREADABLE) {
            return false;
        }
        let mut ends = Ends::default();
        let (mut process_name, mut executable) = (None, None);
        // Whether there is a path, and whether all that there are, are allowed.
        let (mut has_path, mut paths) = (false, true);
        for (field, _, value) in event.values() {
            let field = Some(field);
            match value {
                FieldValue::Text(name) if field == self.process_name => process_name = Some(name),
                FieldValue::Text(path) if field == self.executable => executable = Some(path),
                FieldValue::Text(path) if field == self.path || self.other_paths.contains(&field) => {
                    has_path |= field == self.path;
                    paths &= allow.allows_path(path);
                }
                FieldValue::Text(name) if field == self.transport => ends.transport = Some(name),
                FieldValue::Text(direction) if field == self.direction => ends.ingress = direction == "ingress",
                FieldValue::Ip(address) if field == self.source => ends.source = Some(address),
                FieldValue::Ip(address) if field == self.destination => {
                    ends.destination = Some(address);
                    ends.has_destination = true;
                }
                FieldValue::Integer(port) if field == self.source_port => ends.source_port = Some(port),
                FieldValue::Integer(port) if field == self.destination_port => ends.destination_port = Some(port),
                _ => {}
            }
        }
        // Without its executable, a process is known by the name that it gave itself (prctl(2), PR_SET_NAME).
        let of_executable = executable.and_then(|path| path.rsplit_once('/')).map(|(_, name)| name);
        let name = process_name.filter(|&name| of_executable == Some(name));
        name.is_some_and(|name| allow.process_names.contains(name)) || has_path && paths || allow.allows_ends(&ends)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Fields;
    use super::*;

    fn lists(set: impl FnOnce(&mut AllowLists)) -> AllowLists {
        let mut lists = AllowLists::default();
        set(&mut lists);
        lists
    }

    fn texts(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    /// An event of these values, written `field=value`; numbers and addresses are told by their fields.
    fn event(table: &FieldTable, values: &[&str]) -> Event {
        let mut event = Event::new();
        for value in values {
            let (name, value) = value.split_once('=').expect("field=value");
            let field = table.lookup(name).expect("a field");
            if name.ends_with(".port") {
                event.push_integer(field, value.parse().expect("a port"));
            } else if name.ends_with(".ip") {
                event.push_ip(field, value.parse().expect("an address"));
            } else {
                event.push_text(field, value);
            }
        }
        event
    }

    #[test]
    fn lists_are_compared_exactly() {
        let fields = Fields::new();
        let compare = AllowFields::new(&fields.table);
        let allow = Allow::new(&AllowLists {
            process_names: texts(&["backupd"]),
            path_prefixes: texts(&["/var/cache/", "/srv/data"]),
            path_suffixes: texts(&[".log"]),
            ports: vec![514],
            cidrs: texts(&["10.0.0.0/8", "::1"]),
            protocols: texts(&["sctp"]),
        })
        .expect("lists");
        assert_eq!(allow.len(), 8);
        for (values, expected) in [
            (&["process.name=backupd", "process.executable=/bin/backupd", "file.path=/etc/shadow"][..], true),
            (&["process.name=backupd", "process.executable=/backupd"], true),
            (&["process.name=Backupd", "process.executable=/bin/Backupd"], false),
            (&["process.name=backupd"], false),
            (&["process.name=backupd", "process.executable=backupd"], false),
            (&["process.name=backupd", "process.executable=/bin/sh"], false),
            (&["process.name=sh", "process.executable=/bin/backupd"], false),
            (&["process.name=x", "file.path=/var/cache/a"], true),
            (&["file.path=/var/cache"], true),
            (&["file.path=/var/cached/a"], false),
            (&["file.path=/srv/data2"], false),
            (&["file.path=/var/x.log"], true),
            (&["file.path=/var/x.log.sh"], false),
            (&["file.path=/var/cache/a", "file.Ext.original.path=/etc/shadow"], false),
            (&["file.path=/var/cache/a", "file.Ext.original.path=/srv/data/b"], true),
            (&["file.path=/var/cache/a", "file.target_path=/etc/shadow"], false),
            (&["destination.ip=192.0.2.1", "destination.port=514", "source.port=9"], true),
            (&["destination.ip=192.0.2.1", "destination.port=9", "source.port=514"], false),
            (&["destination.ip=192.0.2.1", "source.port=514"], false),
            (&["source.ip=192.0.2.1", "source.port=514"], true),
            (&["source.ip=192.0.2.1", "destination.ip=10.9.9.9", "network.direction=egress"], true),
            (&["source.ip=10.9.9.9", "destination.ip=192.0.2.1", "network.direction=egress"], false),
            (&["source.ip=10.9.9.9", "destination.ip=192.0.2.1", "network.direction=ingress"], true),
            (&["source.ip=192.0.2.1", "destination.ip=10.9.9.9", "network.direction=ingress"], false),
            (&["destination.ip=::1"], true),
            (&["network.transport=sctp"], true),
            (&["network.transport=tcp"], false),
            (&[], false),
        ] {
            let event = event(&fields.table, values);
            assert_eq!(compare.allow(&allow, &event), expected, "{values:?}");
            assert!(!compare.allow(&Allow::default(), &event), "{values:?}");
        }
        let known = ["process.name=backupd", "process.executable=/bin/backupd"];
        for values in [&["file.path=/var/x.log"][..], &known, &["destination.ip=::1"]] {
            for flag in [EventFlags::TRUNCATED, EventFlags::UNREADABLE] {
                let mut cut = event(&fields.table, values);
                assert!(compare.allow(&allow, &cut), "{values:?}");
                cut.flags.insert(flag);
                assert!(!compare.allow(&allow, &cut), "{values:?}");
            }
        }
    }

    #[test]
    fn an_entry_that_says_nothing_or_everything_is_refused() {
        for (lists, said) in [
            (lists(|lists| lists.process_names = texts(&["/bin/sh"])), "`process_names` has `/bin/sh`"),
            (lists(|lists| lists.path_prefixes = texts(&["/"])), "`path_prefixes` has `/`"),
            (lists(|lists| lists.path_prefixes = texts(&["tmp"])), "`path_prefixes` has `tmp`"),
            (lists(|lists| lists.path_prefixes = texts(&["/a/../b"])), "`path_prefixes` has `/a/../b`"),
            (lists(|lists| lists.path_suffixes = texts(&[""])), "`path_suffixes` has ``"),
            (lists(|lists| lists.ports = vec![0]), "`ports` has `0`"),
            (lists(|lists| lists.cidrs = texts(&["10.0.0.0/40"])), "`cidrs` has `10.0.0.0/40`"),
            (lists(|lists| lists.protocols = texts(&["TCP"])), "`protocols` has `TCP`"),
        ] {
            let error = Allow::new(&lists).expect_err(said).to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
