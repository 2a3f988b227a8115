//! From guards to keys that the kernel can look for.
//!
//! In: a verified IR and the kinds that each predicate can want. Out: for each kind the keys of which one is there in every
//! event that some predicate can want; no entry for a kind of which some predicate has no such keys. A predicate is told by
//! the clause of its guard whose keys are rarest, each value of the clause by one key:
//!
//! ```text
//! file.path like~ ("/etc/cron.d/*", "/root/.ssh/authorized_keys", "*.service")
//!   ──▶ path begins with etc/cron.d  ∨  file name authorized_keys  ∨  file extension service
//! ```
//!
//! A key is weaker than the value it stands for, never stronger. It is ASCII, in lower case; a value with other characters
//! has no key, and an event with such characters passes in the kernel. Nothing here knows how the kernel compares.

use std::collections::BTreeMap;

use kestrel_ir::guards::{self, Clause, Guard, is_decided_by_kind};
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, AtomId, Ir, PredicateId, StringMatch};
use kestrel_ir::pack::{FilterKey, FilterTest, KindKeys};
use kestrel_ir::pattern::Anchor;
use kestrel_ir::regex;
use kestrel_schema::EventKind;

/// A kind with more keys than this passes as it is: the kernel's tables would let nearly everything through.
const MAX_KEYS: usize = 4_096;

/// The keys of one predicate for one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Of which fields the clause is.
    pub(crate) fields: Vec<String>,
    pub(crate) keys: Vec<FilterKey>,
    cost: u32,
}

/// The keys of all kinds, and what was chosen for each predicate and kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    pub(crate) kinds: Vec<KindKeys>,
    chosen: BTreeMap<(u32, u16), Chosen>,
}

impl Keys {
    /// Looks at all predicates; `by_predicate` says which kinds each can want.
    pub(crate) fn new(ir: &Ir, kinds: &[EventKind], by_predicate: &[Vec<u16>]) -> Keys {
        let guards = guards::analyze_all(ir);
        let mut keys = Keys::default();
        for kind in kinds {
            let mut all: Vec<FilterKey> = Vec::new();
            let mut whole = true;
            for (index, (guard, wanted)) in guards.iter().zip(by_predicate).enumerate() {
                if guard.is_never() || !wanted.contains(&kind.id) {
                    continue;
                }
                match choose(ir, guard, kind) {
                    Some(chosen) => {
                        all.extend(chosen.keys.iter().cloned());
                        keys.chosen.insert((index as u32, kind.id), chosen);
                    }
                    None => whole = false,
                }
            }
            all.sort_unstable();
            all.dedup();
            if whole && !all.is_empty() && all.len() <= MAX_KEYS {
                keys.kinds.push(KindKeys { kind: kind.id, keys: all });
            }
        }
        keys.kinds.sort_by_key(|keys| keys.kind);
        keys
    }

    /// What the kernel looks for on behalf of a predicate in events of a kind, if anything can be looked for.
    pub(crate) fn chosen(&self, predicate: PredicateId, kind: u16) -> Option<&Chosen> {
        self.chosen.get(&(predicate.0, kind))
    }

    /// Whether the kernel looks at more than the kind of such an event.
    pub(crate) fn filters(&self, kind: u16) -> bool {
        self.kinds.iter().any(|keys| keys.kind == kind)
    }
}

fn choose(ir: &Ir, guard: &Guard, kind: &EventKind) -> Option<Chosen> {
    let of_clause = |clause: &Clause| keys_of_clause(ir, clause, kind);
    guard.clauses.iter().filter_map(of_clause).min_by_key(|chosen| (chosen.cost, chosen.keys.len()))
}

/// The keys of a clause; `None` when one of its atoms has none, or holds for every event of the kind.
fn keys_of_clause(ir: &Ir, clause: &Clause, kind: &EventKind) -> Option<Chosen> {
    let mut chosen = Chosen { fields: Vec::new(), keys: Vec::new(), cost: 0 };
    for &id in &clause.atoms {
        if is_decided_by_kind(ir, id) {
            if can_hold(ir, id, kind) {
                return None;
            }
            continue;
        }
        let (field, keys) = keys_of_atom(ir, id)?;
        let name = ir.layout.name(field).to_owned();
        if !chosen.fields.contains(&name) {
            chosen.fields.push(name);
        }
        for (cost, key) in keys {
            chosen.cost = chosen.cost.max(cost);
            chosen.keys.push(key);
        }
    }
    chosen.keys.sort_unstable();
    chosen.keys.dedup();
    (!chosen.keys.is_empty()).then_some(chosen)
}

/// Whether an atom that is decided by the kind of an event can hold for this kind.
fn can_hold(ir: &Ir, atom: AtomId, kind: &EventKind) -> bool {
    let mut guard = Guard::always();
    guard.clauses.push(Clause { rank: guards::Rank::Worthless, atoms: vec![atom] });
    !guards::kinds(ir, &guard, std::slice::from_ref(kind)).is_empty()
}

/// How common events with such a key are: the larger, the more.
type Cost = u32;

fn keys_of_atom(ir: &Ir, id: AtomId) -> Option<(FieldId, Vec<(Cost, FilterKey)>)> {
    let Atom::Strings { field, matching, strings, .. } = ir.atom(id)? else { return None };
    let definition = ir.layout.get(*field).filter(|definition| definition.parent.is_none())?;
    let keys = strings.iter().map(|text| {
        let pieces = match matching {
            StringMatch::Exact => Pieces { parts: vec![text.clone()] },
            StringMatch::Wildcard => Pieces { parts: text.split(['*', '?']).map(str::to_owned).collect() },
            StringMatch::Regex => Pieces::of_literal(regex::required_literal(text)?),
        };
        let (cost, test, text) = pieces.key(&definition.name)?;
        let text = text.to_ascii_lowercase();
        let comparable = !text.is_empty() && text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control());
        comparable.then_some((cost, FilterKey { test, text }))
    });
    Some((*field, keys.collect::<Option<_>>()?))
}

/// A pattern, cut at its wildcards: the first part begins the text, the last ends it.
struct Pieces {
    parts: Vec<String>,
}

impl Pieces {
    fn of_literal((anchor, literal): (Anchor, String)) -> Pieces {
        let nothing = String::new;
        Pieces {
            parts: match anchor {
                Anchor::Start => vec![literal, nothing()],
                Anchor::Anywhere => vec![nothing(), literal, nothing()],
                Anchor::End => vec![nothing(), literal],
            },
        }
    }

    /// The whole text, when there is no wildcard.
    fn exact(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    fn key(&self, field: &str) -> Option<(Cost, FilterTest, &str)> {
        match field {
            "file.name" => self.file_name(),
            "file.extension" => {
                let extension = self.exact().filter(|text| is_component(text) && !text.contains('.'))?;
                Some((EXTENSION, FilterTest::FileExtension, extension))
            }
            "file.path" => self.path(),
            "file.directory" => {
                let path = self.exact().and_then(|text| text.strip_prefix('/'))?;
                prefix(path.trim_end_matches('/'))
            }
            "process.name" => {
                let name = self.exact().filter(|text| is_component(text))?;
                Some((PROCESS, FilterTest::ProcessName, name))
            }
            // The name is the end of the path, whatever is before it.
            "process.executable" => {
                let name = self.parts.last().and_then(|last| last.rsplit_once('/')).map(|(_, name)| name)?;
                is_component(name).then_some((PROCESS, FilterTest::ProcessName, name))
            }
            "process.user.id" | "user.id" => {
                let id = self.exact().filter(|text| text.parse::<u32>().is_ok_and(|id| id.to_string() == **text))?;
                Some((USER, FilterTest::UserId, id))
            }
            _ => None,
        }
    }

    fn file_name(&self) -> Option<(Cost, FilterTest, &str)> {
        match self.exact() {
            Some(name) => is_component(name).then_some((NAME, FilterTest::FileName, name)),
            None => self.extension(),
        }
    }

    /// What follows the last dot of the end, if the pattern says it.
    fn extension(&self) -> Option<(Cost, FilterTest, &str)> {
        let (_, extension) = self.parts.last()?.rsplit_once('.')?;
        is_component(extension).then_some((EXTENSION, FilterTest::FileExtension, extension))
    }

    fn path(&self) -> Option<(Cost, FilterTest, &str)> {
        let last = self.parts.last()?;
        let name = last.rsplit_once('/').map(|(_, name)| name).filter(|name| is_component(name));
        let name = name.map(|name| (NAME, FilterTest::FileName, name));
        // What is whole of the beginning: up to the last slash.
        let beginning = self.parts.first().and_then(|first| first.strip_prefix('/'));
        let beginning = beginning.and_then(|first| first.rsplit_once('/')).and_then(|(whole, _)| prefix(whole));
        // Of the beginning all folders are in it already.
        let folders = self.parts.iter().skip(1).filter_map(|part| folder_of(part));
        let folder = folders.max_by_key(|folder| folder.len());
        let folder = folder.map(|folder| (FOLDER, FilterTest::PathComponent, folder));
        let all = [name, beginning, folder, self.extension()];
        all.into_iter().flatten().min_by_key(|(cost, _, _)| *cost)
    }
}

const NAME: Cost = 1;
const DEEP_PREFIX: Cost = 2;
const FOLDER: Cost = 3;
const EXTENSION: Cost = 4;
const PROCESS: Cost = 5;
const PREFIX: Cost = 6;
const USER: Cost = 7;

/// The components of a path's beginning. One of them says less than two.
fn prefix(path: &str) -> Option<(Cost, FilterTest, &str)> {
    let components = path.split('/');
    if !components.clone().all(is_component) {
        return None;
    }
    let cost = if components.count() > 1 { DEEP_PREFIX } else { PREFIX };
    Some((cost, FilterTest::PathPrefix, path))
}

/// The longest name between two slashes.
fn folder_of(part: &str) -> Option<&str> {
    let (_, rest) = part.split_once('/')?;
    let (inner, _) = rest.rsplit_once('/')?;
    inner.split('/').filter(|name| is_component(name)).max_by_key(|name| name.len())
}

/// Whether a path can have such a component, after it was put in order.
fn is_component(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, pattern: &str, expected: Option<(FilterTest, &str)>) {
        let pieces = Pieces { parts: pattern.split(['*', '?']).map(str::to_owned).collect() };
        assert_eq!(pieces.key(field).map(|(_, test, text)| (test, text)), expected, "{field} {pattern}");
    }

    #[test]
    fn a_key_is_the_rarest_part_that_the_kernel_can_compare() {
        use FilterTest::*;
        for (field, pattern, expected) in [
            ("file.name", "passwd", Some((FileName, "passwd"))),
            ("file.name", "*.service", Some((FileExtension, "service"))),
            ("file.name", "id_*", None),
            ("file.name", "*_rsa", None),
            ("file.name", "a/b", None),
            ("file.extension", "sh", Some((FileExtension, "sh"))),
            ("file.extension", "tar.gz", None),
            ("file.path", "/etc/passwd", Some((FileName, "passwd"))),
            ("file.path", "/etc/cron.d/*", Some((PathPrefix, "etc/cron.d"))),
            ("file.path", "/etc/cron*", Some((PathPrefix, "etc"))),
            ("file.path", "/tmp*", None),
            ("file.path", "*/.ssh/*", Some((PathComponent, ".ssh"))),
            ("file.path", "/home/*/.ssh/authorized_keys", Some((FileName, "authorized_keys"))),
            ("file.path", "/home/*/.config/autostart/*.desktop", Some((PathComponent, "autostart"))),
            ("file.path", "*.so", Some((FileExtension, "so"))),
            ("file.path", "/dev/shm/?", Some((PathPrefix, "dev/shm"))),
            ("file.path", "/a/../b/*", None),
            ("file.path", "/", None),
            ("file.directory", "/etc/init.d", Some((PathPrefix, "etc/init.d"))),
            ("file.directory", "/", None),
            ("process.name", "bash", Some((ProcessName, "bash"))),
            ("process.name", "python*", None),
            ("process.executable", "/usr/bin/curl", Some((ProcessName, "curl"))),
            ("process.executable", "*/wget", Some((ProcessName, "wget"))),
            ("process.executable", "/tmp/*", None),
            ("user.id", "0", Some((UserId, "0"))),
            ("user.id", "007", None),
            ("process.args", "-x", None),
        ] {
            check(field, pattern, expected);
        }
    }
}
