//! From conditions to keys that the kernel can look for.
//!
//! In: a verified IR and the kinds that each predicate can want. Out: for each kind the keys of which one is there in every
//! event that some predicate can want (none, when every predicate asks for fields that the kind has not); no entry for a kind
//! of which some predicate has no such keys. What is true when all of some conditions are is told by the one whose keys are
//! rarest, what is true when any is by the keys of all that can be true in events of the kind, a list of values by one key
//! for each:
//!
//! ```text
//! file.path like~ ("/etc/cron.d/*", "/root/.ssh/authorized_keys", "*.service")
//!   ──▶ path begins with etc/cron.d  ∨  file name authorized_keys  ∨  file extension service
//! process.name like~ "*-gnu-ld?"
//!   ──▶ process name like *-gnu-ld*
//! not cidrMatch(destination.ip, "127.0.0.0/8", "::1")
//!   ──▶ destination's address in all but 127.0.0.0/8 ::1/128
//! ```
//!
//! A key is weaker than the value it stands for, never stronger. It is ASCII, in lower case: what a pattern with other
//! characters or with a backslash matches passes in the kernel as it is. Nothing here knows how the kernel compares.

mod ends;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use kestrel_ir::fold::fold;
use kestrel_ir::guards::{self, Clause, Guard, is_decided_by_kind};
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Predicate, PredicateId, StringMatch};
use kestrel_ir::pack::{FilterKey, FilterTest, KindKeys};
use kestrel_ir::pattern::Anchor;
use kestrel_ir::regex;
use kestrel_schema::EventKind;

/// A condition or a kind with more keys than this passes as it is: the kernel's tables would let nearly everything through.
pub(crate) const MAX_KEYS: usize = 4_096;
/// So many keys are put together for conditions that hold when any of some does, in all kinds; what is beyond passes as it is.
const MAX_SUMMED: usize = 4 << 20;
/// The most bytes of the keys of all kinds, as the pack encodes them or a little more. Kinds with many pass as they are then.
const MAX_BYTES: usize = 8 << 20;
/// Of a key the bytes beside its text.
const HEAD: usize = 3;
/// Longer texts, in bytes, are no keys.
const MAX_KEY: usize = 512;

/// The keys of one predicate for one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Of which fields they are.
    pub(crate) fields: Vec<String>,
    pub(crate) keys: Vec<FilterKey>,
    cost: Cost,
}

/// The keys of all kinds, and what was chosen for each predicate and kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    pub(crate) kinds: Vec<KindKeys>,
    chosen: BTreeMap<(u32, u16), Rc<Chosen>>,
}

impl Keys {
    /// Looks at all predicates; `by_predicate` says which kinds each can want.
    pub(crate) fn new(ir: &Ir, kinds: &[EventKind], by_predicate: &[Vec<u16>]) -> Keys {
        let mut keys = Keys::default();
        let texts = Texts::new(ir);
        for kind in kinds {
            let answers = Answers::new(ir, kind, &texts);
            let mut all: Vec<Rc<Chosen>> = Vec::new();
            let (mut whole, mut wanted_by_some) = (true, false);
            for (index, (predicate, wanted)) in ir.predicates.iter().zip(by_predicate).enumerate() {
                if !wanted.contains(&kind.id) {
                    continue;
                }
                wanted_by_some = true;
                let chosen = match answers.predicate(predicate) {
                    Answer::Whatever => {
                        whole = false;
                        continue;
                    }
                    Answer::Never => Rc::default(),
                    Answer::Keys(chosen) => chosen,
                };
                all.push(Rc::clone(&chosen));
                keys.chosen.insert((index as u32, kind.id), chosen);
            }
            if let Some(all) = (whole && wanted_by_some).then(|| union(&all)).flatten() {
                keys.kinds.push(KindKeys { kind: kind.id, keys: all.into_iter().cloned().collect() });
            }
        }
        let bytes = |keys: &KindKeys| keys.keys.iter().map(|key| HEAD + key.text.len()).sum::<usize>();
        let mut room = MAX_BYTES;
        keys.kinds.sort_by_cached_key(|keys| (bytes(keys), keys.kind));
        keys.kinds.retain(|keys| {
            let left = room.checked_sub(bytes(keys));
            room = left.unwrap_or(room);
            left.is_some()
        });
        keys.kinds.sort_by_key(|keys| keys.kind);
        keys
    }

    /// What the kernel looks for on behalf of a predicate in events of a kind, if anything can be looked for.
    pub(crate) fn chosen(&self, predicate: PredicateId, kind: u16) -> Option<&Rc<Chosen>> {
        self.chosen.get(&(predicate.0, kind))
    }

    /// Whether the kernel looks at more than the kind of such an event.
    pub(crate) fn filters(&self, kind: u16) -> bool {
        self.kinds.iter().any(|keys| keys.kind == kind)
    }
}

/// What is known of the events of a kind for which a condition is true.
#[derive(Debug, Clone)]
enum Answer {
    /// There are none.
    Never,
    /// Nothing that the kernel could look for.
    Whatever,
    /// Each has one of the keys.
    Keys(Rc<Chosen>),
}

impl Answer {
    /// For a condition that is true when all of some are: the rarest keys of one of them.
    fn all<'a>(answers: impl Iterator<Item = &'a Answer>) -> Answer {
        let mut best = Answer::Whatever;
        for answer in answers {
            match (answer, &best) {
                (Answer::Never, _) => return Answer::Never,
                (Answer::Keys(keys), Answer::Keys(known)) if keys.order() >= known.order() => {}
                (Answer::Keys(_), _) => best = answer.clone(),
                (Answer::Whatever, _) => {}
            }
        }
        best
    }

    /// For a condition that is true when any of some is: the keys of all of them, as long as there is `room`.
    fn any<'a>(answers: impl Iterator<Item = &'a Answer>, room: &Cell<usize>) -> Answer {
        let mut keys: Vec<Rc<Chosen>> = Vec::new();
        for answer in answers {
            match answer {
                Answer::Never => {}
                Answer::Whatever => return Answer::Whatever,
                Answer::Keys(chosen) => keys.push(Rc::clone(chosen)),
            }
        }
        match keys.as_slice() {
            [] => Answer::Never,
            [one] => Answer::Keys(Rc::clone(one)),
            several => Chosen::sum(several, room).map_or(Answer::Whatever, |sum| Answer::Keys(Rc::new(sum))),
        }
    }
}

impl Chosen {
    fn order(&self) -> (Cost, usize) {
        (self.cost, self.keys.len())
    }

    /// All of them together; `None` when that is too much.
    fn sum(several: &[Rc<Chosen>], room: &Cell<usize>) -> Option<Chosen> {
        let keys = union(several)?;
        room.set(room.get().checked_sub(keys.len())?);
        let cost = several.iter().map(|chosen| chosen.cost).max().unwrap_or_default();
        let fields: BTreeSet<&String> = several.iter().flat_map(|chosen| &chosen.fields).collect();
        let fields = fields.into_iter().cloned().collect();
        Some(Chosen { fields, keys: keys.into_iter().cloned().collect(), cost })
    }
}

/// The keys of several, sorted, each once; `None` when they are more than [`MAX_KEYS`].
fn union(several: &[Rc<Chosen>]) -> Option<Vec<&FilterKey>> {
    let mut seen: HashSet<*const Chosen> = HashSet::new();
    let mut keys: Vec<&FilterKey> = Vec::new();
    let in_order = |keys: &mut Vec<&FilterKey>| {
        // The stable sort: much of it is in order already.
        keys.sort();
        keys.dedup();
        keys.len() <= MAX_KEYS
    };
    for chosen in several {
        if seen.insert(Rc::as_ptr(chosen)) {
            keys.extend(&chosen.keys);
            if keys.len() > 2 * MAX_KEYS && !in_order(&mut keys) {
                return None;
            }
        }
    }
    in_order(&mut keys).then_some(keys)
}

/// What all kinds have in common: the keys of tests of texts, and how many keys may still be put together.
struct Texts {
    /// Of each atom; `None` for one of which nothing can be looked for.
    atoms: Vec<Option<Rc<Chosen>>>,
    room: Cell<usize>,
}

impl Texts {
    fn new(ir: &Ir) -> Texts {
        let atoms = (0..ir.atoms.len()).map(|number| keys_of_atom(ir, AtomId(number as u32)).map(Rc::new));
        Texts { atoms: atoms.collect(), room: Cell::new(MAX_SUMMED) }
    }
}

/// The answers of all nodes for one kind. Operands come before what they belong to, so that one pass is enough.
struct Answers<'i> {
    ir: &'i Ir,
    kind: &'i EventKind,
    texts: &'i Texts,
    /// Of each node when it is true, and when it is false.
    nodes: Vec<[Answer; 2]>,
}

impl<'i> Answers<'i> {
    fn new(ir: &'i Ir, kind: &'i EventKind, texts: &'i Texts) -> Answers<'i> {
        let mut answers = Answers { ir, kind, texts, nodes: Vec::with_capacity(ir.nodes.len()) };
        for node in &ir.nodes {
            let both = match node {
                Node::Constant(true) => [Answer::Whatever, Answer::Never],
                Node::Constant(false) => [Answer::Never, Answer::Whatever],
                Node::Atom(atom) => [answers.atom(*atom), answers.without(*atom)],
                Node::Not(operand) => {
                    let [yes, no] = answers.node(*operand).clone();
                    [no, yes]
                }
                Node::And(operands) => [answers.all(operands, 0), answers.any(operands, 1)],
                Node::Or(operands) => [answers.any(operands, 0), answers.all(operands, 1)],
            };
            answers.nodes.push(both);
        }
        answers
    }

    fn node(&self, id: NodeId) -> &[Answer; 2] {
        const UNKNOWN: &[Answer; 2] = &[Answer::Whatever, Answer::Whatever];
        self.nodes.get(id.index()).unwrap_or(UNKNOWN)
    }

    fn all(&self, operands: &[NodeId], side: usize) -> Answer {
        Answer::all(operands.iter().filter_map(|&operand| self.node(operand).get(side)))
    }

    fn any(&self, operands: &[NodeId], side: usize) -> Answer {
        Answer::any(operands.iter().filter_map(|&operand| self.node(operand).get(side)), &self.texts.room)
    }

    fn predicate(&self, predicate: &Predicate) -> Answer {
        let category = predicate.category.map_or(Answer::Whatever, |atom| self.atom(atom));
        Answer::all([&category, &self.node(predicate.root)[0]].into_iter())
    }

    fn atom(&self, id: AtomId) -> Answer {
        if is_decided_by_kind(self.ir, id) {
            return if can_hold(self.ir, id, self.kind) { Answer::Whatever } else { Answer::Never };
        }
        if !has_field(self.ir, id, self.kind) {
            return Answer::Never;
        }
        if let Some(answer) = self.of_end(id, true) {
            return answer;
        }
        match self.texts.atoms.get(id.index()) {
            Some(Some(chosen)) if chosen.keys.is_empty() => Answer::Never,
            Some(Some(chosen)) => Answer::Keys(Rc::clone(chosen)),
            Some(None) | None => Answer::Whatever,
        }
    }

    /// For an atom that is false.
    fn without(&self, id: AtomId) -> Answer {
        self.of_end(id, false).unwrap_or(Answer::Whatever)
    }
}

/// Whether events of a kind can have the field of an atom. A kind that lists no fields may have any.
fn has_field(ir: &Ir, atom: AtomId, kind: &EventKind) -> bool {
    let field = match ir.atom(atom) {
        Some(
            Atom::Present { field }
            | Atom::Boolean { field, .. }
            | Atom::Strings { field, .. }
            | Atom::StringOrder { field, .. }
            | Atom::Integers { field, .. }
            | Atom::IntegerOrder { field, .. }
            | Atom::FloatOrder { field, .. }
            | Atom::Cidr { field, .. }
            | Atom::VersionOrder { field, .. },
        ) => *field,
        _ => return true,
    };
    let top_level = ir.layout.get(field).is_some_and(|definition| definition.parent.is_none());
    let name = ir.layout.name(field);
    kind.fields.is_empty() || !top_level || kind.fields.contains(&name) || is_filled_in_part(kind, name)
}

/// Objects of which a source may fill in more than the schema lists for the kind, such as what is known of a file already.
const PARTS: [&str; 10] =
    ["file", "process", "source", "destination", "network", "dns", "user", "group", "driver", "container"];

fn is_filled_in_part(kind: &EventKind, field: &str) -> bool {
    let object = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    PARTS.contains(&object(field).as_str()) && kind.fields.iter().any(|listed| object(listed) == object(field))
}

/// Whether an atom that is decided by the kind of an event can hold for this kind.
fn can_hold(ir: &Ir, atom: AtomId, kind: &EventKind) -> bool {
    let mut guard = Guard::always();
    guard.clauses.push(Clause { rank: guards::Rank::Worthless, atoms: vec![atom] });
    !guards::kinds(ir, &guard, std::slice::from_ref(kind)).is_empty()
}

/// How common events with such a key are: the larger, the more.
type Cost = u32;

/// The keys of a test of texts; `None` when it has none or too many.
fn keys_of_atom(ir: &Ir, id: AtomId) -> Option<Chosen> {
    let Atom::Strings { field, matching, strings, .. } = ir.atom(id)? else { return None };
    let definition = ir.layout.get(*field).filter(|definition| definition.parent.is_none())?;
    let key_of = |text: &String| {
        let pieces = match matching {
            StringMatch::Exact => Pieces { parts: vec![text.clone()] },
            StringMatch::Wildcard => Pieces { parts: text.split(['*', '?']).map(str::to_owned).collect() },
            StringMatch::Regex => Pieces::of_literal(regex::required_literal(text)?),
        };
        if let Some(test) = pieces.never_comparable(&definition.name) {
            return Some((0, FilterKey { test, text: INCOMPARABLE.to_owned() }));
        }
        let (cost, test, text) = pieces.key(&definition.name)?;
        let text = text.to_ascii_lowercase();
        let comparable = !text.is_empty() && text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control());
        (comparable && text.len() <= MAX_KEY).then_some((cost, FilterKey { test, text }))
    };
    let mut keys: BTreeSet<FilterKey> = BTreeSet::new();
    let mut cost = Cost::default();
    for text in strings {
        let (of_key, key) = key_of(text)?;
        cost = cost.max(of_key);
        keys.insert(key);
        if keys.len() > MAX_KEYS {
            return None;
        }
    }
    Some(Chosen { fields: vec![definition.name.clone()], keys: keys.into_iter().collect(), cost })
}

/// Fields that are parts of the path that the kernel compares.
const FILE_FIELDS: [&str; 4] = ["file.name", "file.extension", "file.path", "file.directory"];
/// The same of the executable of the process that acts.
const PROCESS_FIELDS: [&str; 2] = ["process.name", "process.executable"];
/// Paths with a backslash are not compared and pass, so that patterns of other systems need no key but this.
const INCOMPARABLE: &str = "\\";

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

    /// A test of the field when whatever matches has something in it that the kernel does not compare: a backslash, or other
    /// characters than those of ASCII, which no ASCII character is equal to in whatever case; and of processes a colon, which
    /// files in memory have, or a path that does not begin at the root.
    fn never_comparable(&self, field: &str) -> Option<FilterTest> {
        let odd = self.parts.iter().any(|part| part.contains('\\') || !fold(part).is_ascii());
        if FILE_FIELDS.contains(&field) {
            return odd.then_some(FilterTest::PathComponent);
        }
        let relative = || self.parts.first().is_some_and(|first| !first.is_empty() && !first.starts_with('/'));
        let odd = odd || self.parts.iter().any(|part| part.contains(':'));
        let odd = odd || field == "process.executable" && relative();
        (odd && PROCESS_FIELDS.contains(&field)).then_some(FilterTest::ProcessName)
    }

    /// The whole text, when there is no wildcard.
    fn exact(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    fn key(&self, field: &str) -> Option<(Cost, FilterTest, Cow<'_, str>)> {
        match field {
            "file.name" => return self.file_name(),
            "process.name" if self.exact().is_none() => return self.pattern(FilterTest::ProcessPattern),
            "process.executable" => return self.executable(),
            "file.path" => return self.path(),
            _ => {}
        }
        let (cost, test, text) = self.exact_key(field)?;
        Some((cost, test, text.into()))
    }

    fn exact_key(&self, field: &str) -> Option<(Cost, FilterTest, &str)> {
        match field {
            "file.extension" => {
                let extension = self.exact().filter(|text| is_component(text) && !text.contains('.'))?;
                Some((EXTENSION, FilterTest::FileExtension, extension))
            }
            "file.directory" => {
                let path = self.exact().and_then(|text| text.strip_prefix('/'))?;
                prefix(path.trim_end_matches('/'))
            }
            "process.name" => {
                let name = self.exact().filter(|text| is_component(text))?;
                Some((PROCESS, FilterTest::ProcessName, name))
            }
            "process.user.id" | "user.id" => {
                let id = self.exact().filter(|text| text.parse::<u32>().is_ok_and(|id| id.to_string() == **text))?;
                Some((USER, FilterTest::UserId, id))
            }
            _ => None,
        }
    }

    fn file_name(&self) -> Option<(Cost, FilterTest, Cow<'_, str>)> {
        match self.exact() {
            Some(name) => is_component(name).then_some((NAME, FilterTest::FileName, name.into())),
            None => self.extension().or_else(|| self.pattern(FilterTest::FilePattern)),
        }
    }

    /// What follows the last dot, if the pattern asks for that alone.
    fn extension(&self) -> Option<(Cost, FilterTest, Cow<'_, str>)> {
        let (last, before) = self.parts.split_last()?;
        let extension = last.strip_prefix('.').filter(|text| is_component(text) && !text.contains('.'))?;
        let alone = before.iter().all(String::is_empty);
        alone.then_some((EXTENSION, FilterTest::FileExtension, extension.into()))
    }

    /// The whole pattern of a name. What stands for one character may as well stand for any number of them.
    fn pattern(&self, test: FilterTest) -> Option<(Cost, FilterTest, Cow<'_, str>)> {
        let last = self.parts.len().checked_sub(1)?;
        let asks = |(place, part): (usize, &String)| part.len() > usize::from(place != 0 && place != last);
        if !self.parts.iter().enumerate().any(asks) || self.parts.iter().any(|part| part.contains('/')) {
            return None;
        }
        let letters: usize = self.parts.iter().map(String::len).sum();
        let cost = match test {
            FilterTest::ProcessPattern => PROCESS,
            _ if letters >= TELLING => EXTENSION,
            _ => PREFIX,
        };
        Some((cost, test, self.parts.join("*").into()))
    }

    fn path(&self) -> Option<(Cost, FilterTest, Cow<'_, str>)> {
        let last = self.parts.last()?;
        let name = last.rsplit_once('/').map(|(_, name)| name).filter(|name| is_component(name));
        let name = name.map(|name| (NAME, FilterTest::FileName, name.into()));
        let beginning = self.folders().and_then(prefix).map(|(cost, test, text)| (cost, test, text.into()));
        // Of the beginning all folders are in it already.
        let folders = self.parts.iter().skip(1).filter_map(|part| folder_of(part));
        let folder = folders.max_by_key(|folder| folder.len());
        let folder = folder.map(|folder| (FOLDER, FilterTest::PathComponent, folder.into()));
        let end = self.end_of_name().and_then(|end| {
            let (cost, test, text) = end.file_name()?;
            Some((cost, test, text.into_owned().into()))
        });
        let all = [name, beginning, folder, end];
        all.into_iter().flatten().min_by_key(|(cost, _, _)| *cost)
    }

    /// A process is known by the name of its executable, else by the folders from the root on.
    fn executable(&self) -> Option<(Cost, FilterTest, Cow<'_, str>)> {
        let last = self.parts.last()?;
        if let Some((_, name)) = last.rsplit_once('/').filter(|(_, name)| !name.is_empty()) {
            return is_component(name).then_some((PROCESS, FilterTest::ProcessName, name.into()));
        }
        let folders = self.folders().filter(|folders| folders.split('/').all(is_component));
        let folders = folders.map(|folders| {
            let cost = if USUAL_FOLDERS.contains(&folders) { EVERYWHERE } else { PROCESS };
            (cost, FilterTest::ProcessFolder, folders.into())
        });
        let end = self.end_of_name().and_then(|end| {
            let (cost, test, text) = end.pattern(FilterTest::ProcessPattern)?;
            Some((cost, test, text.into_owned().into()))
        });
        [folders, end].into_iter().flatten().min_by_key(|(cost, _, _)| *cost)
    }

    /// What is whole of a path's beginning: up to the last slash before a wildcard.
    fn folders(&self) -> Option<&str> {
        let (first, others) = self.parts.split_first()?;
        let (whole, _) = first.strip_prefix('/')?.rsplit_once('/')?;
        (!others.is_empty() || !first.ends_with('/')).then_some(whole)
    }

    /// The pattern of the last component that the pattern of a path ends with: the wildcard before may stand for a slash.
    fn end_of_name(&self) -> Option<Pieces> {
        let last = self.parts.last().filter(|last| self.parts.len() > 1 && !last.is_empty() && !last.contains('/'))?;
        Some(Pieces { parts: vec![String::new(), last.clone()] })
    }
}

/// Letters by which a pattern of names tells more than a folder does.
const TELLING: usize = 3;
/// Where most of what runs is.
const USUAL_FOLDERS: [&str; 9] =
    ["usr", "usr/bin", "usr/sbin", "usr/lib", "usr/libexec", "usr/local/bin", "bin", "opt", "home"];

const NAME: Cost = 1;
const DEEP_PREFIX: Cost = 2;
const FOLDER: Cost = 3;
const EXTENSION: Cost = 4;
const PROCESS: Cost = 5;
const PREFIX: Cost = 6;
const USER: Cost = 7;
/// Of a connection's ends.
const ONE_PORT: Cost = 3;
const NETWORK: Cost = 4;
const ALL_BUT_NETWORKS: Cost = 6;
const EVERYWHERE: Cost = 8;

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
        let key = match pieces.never_comparable(field) {
            Some(test) => Some((test, INCOMPARABLE.into())),
            None => pieces.key(field).map(|(_, test, text)| (test, text)),
        };
        assert_eq!(key, expected.map(|(test, text)| (test, text.into())), "{field} {pattern}");
    }

    #[test]
    fn a_key_is_the_rarest_part_that_the_kernel_can_compare() {
        use FilterTest::*;
        for (field, pattern, expected) in [
            ("file.name", "passwd", Some((FileName, "passwd"))),
            ("file.name", "*.service", Some((FileExtension, "service"))),
            ("file.name", "id_*", Some((FilePattern, "id_*"))),
            ("file.name", "*_rsa", Some((FilePattern, "*_rsa"))),
            ("file.name", ".*", Some((FilePattern, ".*"))),
            ("file.name", "pam_?.so", Some((FilePattern, "pam_*.so"))),
            ("file.name", "*.so.1", Some((FilePattern, "*.so.1"))),
            ("file.name", "*x*", None),
            ("file.name", "**", None),
            ("file.name", "a/b", None),
            ("file.name", "a/*", None),
            ("file.name", "caf\u{e9}*", Some((PathComponent, INCOMPARABLE))),
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
            ("file.path", "*_history", Some((FilePattern, "*_history"))),
            ("file.path", "/home/*_history", Some((FilePattern, "*_history"))),
            ("file.path", "/home/*x", Some((PathPrefix, "home"))),
            ("file.path", "/srv/*.so", Some((FileExtension, "so"))),
            ("file.path", "/srv/a/*.so", Some((PathPrefix, "srv/a"))),
            ("file.path", "/dev/shm/?", Some((PathPrefix, "dev/shm"))),
            ("file.path", "/a/../b/*", None),
            ("file.path", "/", None),
            ("file.directory", "/etc/init.d", Some((PathPrefix, "etc/init.d"))),
            ("file.directory", "/", None),
            ("process.name", "bash", Some((ProcessName, "bash"))),
            ("process.name", "python*", Some((ProcessPattern, "python*"))),
            ("process.name", "*-linux-gnu-ld*", Some((ProcessPattern, "*-linux-gnu-ld*"))),
            ("process.name", "*", None),
            ("process.name", "*x*", None),
            ("process.name", "C:\\*", Some((ProcessName, INCOMPARABLE))),
            ("process.executable", "/usr/bin/curl", Some((ProcessName, "curl"))),
            ("process.executable", "*/wget", Some((ProcessName, "wget"))),
            ("process.executable", "/tmp/*", Some((ProcessFolder, "tmp"))),
            ("process.executable", "/usr/lib/jvm/*", Some((ProcessFolder, "usr/lib/jvm"))),
            ("process.executable", "/etc/rc*.d/*", Some((ProcessFolder, "etc"))),
            ("process.executable", "/etc/cron*", Some((ProcessFolder, "etc"))),
            ("process.executable", "/home/*-x", Some((ProcessPattern, "*-x"))),
            ("process.executable", "/cron*", None),
            ("process.executable", "/tmp/", None),
            ("process.executable", "./*", Some((ProcessName, INCOMPARABLE))),
            ("process.executable", "?memfd:*", Some((ProcessName, INCOMPARABLE))),
            ("user.id", "0", Some((UserId, "0"))),
            ("user.id", "007", None),
            ("process.args", "-x", None),
        ] {
            check(field, pattern, expected);
        }
    }
}
