//! Expressions with `~` or `&` anywhere, as automata.
//!
//! In: a tree. Out: a deterministic [`Automaton`] over groups of characters, or [`TooComplex`]. The states are expressions:
//! the derivative of an expression by a character is what is left to match behind it (Brzozowski 1964; Owens, Reppy and
//! Turon 2009). Complement and intersection are derived like everything else, which no position automaton does. Equal
//! expressions are one node, and the laws in the constructors below keep the number of different ones finite.

use std::collections::{BTreeSet, HashMap};

use regex_syntax::hir::{Class, Hir, HirKind};

use super::MAX_STATES;
use super::alphabet::{Alphabet, Groups, Ranges, Room};
use super::parse::Tree;

/// Steps of work for one expression. One takes about a tenth of a microsecond.
const MAX_STEPS: usize = 500_000;
/// The most cells of the table, states times groups.
const MAX_CELLS: usize = 1 << 20;
/// The deepest nesting of an expression: derivatives are taken by recursion.
const MAX_HEIGHT: u16 = 500;

/// An expression needs more than an automaton may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("with `~` or `&` inside of it, the expression takes more than {MAX_STATES} states, or too much work")]
pub(super) struct TooComplex;

/// A deterministic automaton over characters.
#[derive(Debug)]
pub(super) struct Automaton {
    alphabet: Alphabet,
    /// The next state for each state and group.
    table: Vec<u16>,
    states: Vec<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    accepts: bool,
    /// Whether no character leads out of it.
    is_final: bool,
}

impl Automaton {
    /// Whether the whole of `text` is accepted.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let groups = self.alphabet.groups();
        let mut state = 0;
        for character in text.chars() {
            if self.states[state].is_final {
                break;
            }
            state = usize::from(self.table[state * groups + self.alphabet.group(character)]);
        }
        self.states[state].accepts
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> usize {
        self.alphabet.size() + self.table.len() * size_of::<u16>() + self.states.len() * size_of::<State>()
    }
}

/// Makes the automaton of a tree.
pub(super) fn automaton(tree: &Tree) -> Result<Automaton, TooComplex> {
    let mut room = Room(MAX_STEPS);
    let mut classes = BTreeSet::new();
    collect(tree, &mut classes)?;
    let alphabet = Alphabet::new(&classes, &mut room)?;
    let mut deriver = Deriver::new(&alphabet, room);
    let start = deriver.tree(tree)?;
    let groups = alphabet.groups();
    let mut numbers = HashMap::from([(start, 0_u16)]);
    let mut expressions = vec![start];
    let mut table = Vec::new();
    let mut states = Vec::new();
    while let Some(&expression) = expressions.get(states.len()) {
        if (states.len() + 1) * groups > MAX_CELLS {
            return Err(TooComplex);
        }
        let row = table.len();
        for group in 0..groups {
            let next = deriver.derivative(expression, group)?;
            let number = match numbers.get(&next) {
                Some(&number) => number,
                None => {
                    let number = u16::try_from(expressions.len()).map_err(|_| TooComplex)?;
                    if expressions.len() >= MAX_STATES {
                        return Err(TooComplex);
                    }
                    numbers.insert(next, number);
                    expressions.push(next);
                    number
                }
            };
            table.push(number);
        }
        let is_final = table[row..].iter().all(|&next| usize::from(next) == states.len());
        states.push(State { accepts: deriver.is_nullable(expression), is_final });
    }
    Ok(Automaton { alphabet, table, states })
}

/// The classes of a tree, single characters too.
fn collect(tree: &Tree, classes: &mut BTreeSet<Ranges>) -> Result<(), TooComplex> {
    match tree {
        Tree::Plain(hir) => collect_plain(hir, classes),
        Tree::Complement(tree) | Tree::Repetition { tree, .. } => collect(tree, classes),
        Tree::Intersection(trees) | Tree::Union(trees) | Tree::Concatenation(trees) => {
            trees.iter().try_for_each(|tree| collect(tree, classes))
        }
    }
}

fn collect_plain(hir: &Hir, classes: &mut BTreeSet<Ranges>) -> Result<(), TooComplex> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            classes.extend(characters(&literal.0)?.map(|character| vec![(character, character)]))
        }
        HirKind::Class(class) => {
            classes.insert(ranges(class)?);
        }
        HirKind::Repetition(repetition) => collect_plain(&repetition.sub, classes)?,
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().try_for_each(|part| collect_plain(part, classes))?;
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Capture(_) => {}
    }
    Ok(())
}

fn characters(bytes: &[u8]) -> Result<std::str::Chars<'_>, TooComplex> {
    // Literals are made of characters, so this never fails.
    Ok(std::str::from_utf8(bytes).map_err(|_| TooComplex)?.chars())
}

fn ranges(class: &Class) -> Result<Ranges, TooComplex> {
    match class {
        Class::Unicode(class) => Ok(class.ranges().iter().map(|range| (range.start(), range.end())).collect()),
        // The class of no character is the only one over bytes that there is.
        Class::Bytes(class) if class.ranges().is_empty() => Ok(Ranges::new()),
        Class::Bytes(_) => Err(TooComplex),
    }
}

/// An expression by its number: equal numbers are equal expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id(u32);

impl Id {
    const NOTHING: Id = Id(0);
    const EMPTY: Id = Id(1);
    const EVERYTHING: Id = Id(2);
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    /// No text.
    Nothing,
    /// The empty text.
    Empty,
    /// Any text.
    Everything,
    /// One character of these groups, of which there is one at least.
    Class(Groups),
    /// INVARIANT: the left one is no concatenation.
    Concatenation(Id, Id),
    /// INVARIANT: two or more, ascending, none of them a union.
    Union(Box<[Id]>),
    /// INVARIANT: two or more, ascending, none of them an intersection.
    Intersection(Box<[Id]>),
    Complement(Id),
    Repetition(Id, u32, Option<u32>),
}

#[derive(Debug, Clone, Copy)]
struct About {
    /// Whether the empty text matches.
    nullable: bool,
    /// How deep the expression nests, 0 for a leaf.
    height: u16,
}

struct Deriver<'a> {
    alphabet: &'a Alphabet,
    room: Room,
    nodes: Vec<Node>,
    about: Vec<About>,
    ids: HashMap<Node, Id>,
    derivatives: HashMap<(Id, usize), Id>,
}

impl Deriver<'_> {
    fn new(alphabet: &Alphabet, room: Room) -> Deriver<'_> {
        let nodes = vec![Node::Nothing, Node::Empty, Node::Everything];
        let about = [false, true, true].map(|nullable| About { nullable, height: 0 }).to_vec();
        let ids = nodes.iter().cloned().zip([Id::NOTHING, Id::EMPTY, Id::EVERYTHING]).collect();
        Deriver { alphabet, room, nodes, about, ids, derivatives: HashMap::new() }
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn is_nullable(&self, id: Id) -> bool {
        self.about[id.0 as usize].nullable
    }

    fn height(&self, id: Id) -> u16 {
        self.about[id.0 as usize].height
    }

    fn intern(&mut self, node: Node) -> Result<Id, TooComplex> {
        if let Some(&id) = self.ids.get(&node) {
            return Ok(id);
        }
        let about = match &node {
            Node::Nothing | Node::Class(_) => About { nullable: false, height: 0 },
            Node::Empty | Node::Everything => About { nullable: true, height: 0 },
            Node::Concatenation(left, right) => About {
                nullable: self.is_nullable(*left) && self.is_nullable(*right),
                // The right one is walked, not descended into.
                height: (self.height(*left) + 1).max(self.height(*right)),
            },
            Node::Union(parts) => About {
                nullable: parts.iter().any(|&part| self.is_nullable(part)),
                height: 1 + parts.iter().map(|&part| self.height(part)).max().unwrap_or(0),
            },
            Node::Intersection(parts) => About {
                nullable: parts.iter().all(|&part| self.is_nullable(part)),
                height: 1 + parts.iter().map(|&part| self.height(part)).max().unwrap_or(0),
            },
            Node::Complement(inner) => About { nullable: !self.is_nullable(*inner), height: 1 + self.height(*inner) },
            Node::Repetition(inner, min, _) => {
                About { nullable: *min == 0 || self.is_nullable(*inner), height: 1 + self.height(*inner) }
            }
        };
        if about.height > MAX_HEIGHT {
            return Err(TooComplex);
        }
        let id = Id(u32::try_from(self.nodes.len()).map_err(|_| TooComplex)?);
        self.nodes.push(node.clone());
        self.about.push(about);
        self.ids.insert(node, id);
        Ok(id)
    }

    fn tree(&mut self, tree: &Tree) -> Result<Id, TooComplex> {
        match tree {
            Tree::Plain(hir) => self.plain(hir),
            Tree::Complement(inner) => {
                let inner = self.tree(inner)?;
                self.complement(inner)
            }
            Tree::Intersection(parts) => {
                let parts = parts.iter().map(|part| self.tree(part)).collect::<Result<_, _>>()?;
                self.intersection(parts)
            }
            Tree::Union(parts) => {
                let parts = parts.iter().map(|part| self.tree(part)).collect::<Result<_, _>>()?;
                self.union(parts)
            }
            Tree::Concatenation(parts) => parts.iter().rev().try_fold(Id::EMPTY, |right, part| {
                let left = self.tree(part)?;
                self.concatenation(left, right)
            }),
            Tree::Repetition { tree, min, max } => {
                let inner = self.tree(tree)?;
                self.repetition(inner, *min, *max)
            }
        }
    }

    fn plain(&mut self, hir: &Hir) -> Result<Id, TooComplex> {
        self.room.take(1)?;
        match hir.kind() {
            HirKind::Empty => Ok(Id::EMPTY),
            HirKind::Literal(literal) => characters(&literal.0)?.rev().try_fold(Id::EMPTY, |right, character| {
                let left = self.class(&[(character, character)])?;
                self.concatenation(left, right)
            }),
            HirKind::Class(class) => self.class(&ranges(class)?),
            HirKind::Repetition(repetition) => {
                let inner = self.plain(&repetition.sub)?;
                self.repetition(inner, repetition.min, repetition.max)
            }
            HirKind::Concat(parts) => parts.iter().rev().try_fold(Id::EMPTY, |right, part| {
                let left = self.plain(part)?;
                self.concatenation(left, right)
            }),
            HirKind::Alternation(parts) => {
                let parts = parts.iter().map(|part| self.plain(part)).collect::<Result<_, _>>()?;
                self.union(parts)
            }
            // The parser makes neither.
            HirKind::Look(_) | HirKind::Capture(_) => Err(TooComplex),
        }
    }

    fn class(&mut self, class: &[(char, char)]) -> Result<Id, TooComplex> {
        let groups = self.alphabet.class(class, &mut self.room)?;
        self.groups(groups)
    }

    fn groups(&mut self, groups: Groups) -> Result<Id, TooComplex> {
        if groups.iter().all(|&word| word == 0) { Ok(Id::NOTHING) } else { self.intern(Node::Class(groups)) }
    }

    /// Whether a node is one character of any kind.
    fn is_any_character(&self, id: Id) -> bool {
        let Node::Class(groups) = self.node(id) else { return false };
        groups.iter().map(|word| word.count_ones() as usize).sum::<usize>() == self.alphabet.groups()
    }

    fn concatenation(&mut self, left: Id, right: Id) -> Result<Id, TooComplex> {
        let mut left = left;
        let mut parts = Vec::new();
        while let Node::Concatenation(first, rest) = *self.node(left) {
            parts.push(first);
            left = rest;
        }
        parts.push(left);
        self.room.take(parts.len())?;
        parts.into_iter().rev().try_fold(right, |right, left| {
            if left == Id::NOTHING || right == Id::NOTHING {
                return Ok(Id::NOTHING);
            }
            if left == Id::EMPTY {
                return Ok(right);
            }
            if right == Id::EMPTY {
                return Ok(left);
            }
            let begins = |id: Id| match *self.node(id) {
                Node::Concatenation(first, _) => first == Id::EVERYTHING,
                _ => id == Id::EVERYTHING,
            };
            if left == Id::EVERYTHING && (begins(right) || self.is_nullable(right)) {
                return Ok(if begins(right) { right } else { left });
            }
            if right == Id::EVERYTHING && self.is_nullable(left) {
                return Ok(right);
            }
            self.intern(Node::Concatenation(left, right))
        })
    }

    fn union(&mut self, parts: Vec<Id>) -> Result<Id, TooComplex> {
        let mut classes: Option<Groups> = None;
        let mut flat = Vec::new();
        for part in parts {
            let node = self.node(part).clone();
            match node {
                Node::Union(inner) => flat.extend(inner),
                _ => flat.push(part),
            }
        }
        self.room.take(flat.len())?;
        flat.retain(|&part| match self.node(part) {
            Node::Nothing => false,
            Node::Class(groups) => {
                match &mut classes {
                    Some(all) => all.iter_mut().zip(groups).for_each(|(all, word)| *all |= word),
                    None => classes = Some(groups.clone()),
                }
                false
            }
            _ => true,
        });
        if let Some(groups) = classes {
            flat.push(self.groups(groups)?);
        }
        flat.sort_unstable();
        flat.dedup();
        let excluded = |&part: &Id| match self.node(part) {
            Node::Complement(inner) => flat.binary_search(inner).is_ok(),
            _ => part == Id::EVERYTHING,
        };
        if flat.iter().any(excluded) {
            return Ok(Id::EVERYTHING);
        }
        if flat.iter().any(|&part| part != Id::EMPTY && self.is_nullable(part)) {
            flat.retain(|&part| part != Id::EMPTY);
        }
        match *flat {
            [] => Ok(Id::NOTHING),
            [only] => Ok(only),
            _ => self.intern(Node::Union(flat.into_boxed_slice())),
        }
    }

    fn intersection(&mut self, parts: Vec<Id>) -> Result<Id, TooComplex> {
        let mut classes: Option<Groups> = None;
        let mut flat = Vec::new();
        for part in parts {
            let node = self.node(part).clone();
            match node {
                Node::Intersection(inner) => flat.extend(inner),
                _ => flat.push(part),
            }
        }
        self.room.take(flat.len())?;
        flat.retain(|&part| match self.node(part) {
            Node::Everything => false,
            Node::Class(groups) => {
                match &mut classes {
                    Some(all) => all.iter_mut().zip(groups).for_each(|(all, word)| *all &= word),
                    None => classes = Some(groups.clone()),
                }
                false
            }
            _ => true,
        });
        if let Some(groups) = classes {
            flat.push(self.groups(groups)?);
        }
        flat.sort_unstable();
        flat.dedup();
        let excluded = |&part: &Id| match self.node(part) {
            Node::Complement(inner) => flat.binary_search(inner).is_ok(),
            _ => part == Id::NOTHING,
        };
        if flat.iter().any(excluded) {
            return Ok(Id::NOTHING);
        }
        if flat.contains(&Id::EMPTY) {
            let all = flat.iter().all(|&part| self.is_nullable(part));
            return Ok(if all { Id::EMPTY } else { Id::NOTHING });
        }
        match *flat {
            [] => Ok(Id::EVERYTHING),
            [only] => Ok(only),
            _ => self.intern(Node::Intersection(flat.into_boxed_slice())),
        }
    }

    fn complement(&mut self, inner: Id) -> Result<Id, TooComplex> {
        match *self.node(inner) {
            Node::Nothing => Ok(Id::EVERYTHING),
            Node::Everything => Ok(Id::NOTHING),
            Node::Complement(inner) => Ok(inner),
            _ => self.intern(Node::Complement(inner)),
        }
    }

    fn repetition(&mut self, inner: Id, min: u32, max: Option<u32>) -> Result<Id, TooComplex> {
        let min = if self.is_nullable(inner) { 0 } else { min };
        match (inner, min, max) {
            (_, _, Some(0)) | (Id::EMPTY, _, _) | (Id::NOTHING, 0, _) => Ok(Id::EMPTY),
            (Id::NOTHING, _, _) => Ok(Id::NOTHING),
            (Id::EVERYTHING, _, _) => Ok(Id::EVERYTHING),
            (_, 1, Some(1)) => Ok(inner),
            // Zero times is the same as once, where the empty text matches.
            (_, 0, Some(1)) if self.is_nullable(inner) => Ok(inner),
            (_, 0, None) if self.is_any_character(inner) => Ok(Id::EVERYTHING),
            (_, 0, None) if matches!(self.node(inner), Node::Repetition(_, 0, None)) => Ok(inner),
            _ => self.intern(Node::Repetition(inner, min, max)),
        }
    }

    /// What is left to match behind a character of this group.
    fn derivative(&mut self, id: Id, group: usize) -> Result<Id, TooComplex> {
        if let Some(&known) = self.derivatives.get(&(id, group)) {
            return Ok(known);
        }
        self.room.take(1)?;
        let node = self.node(id).clone();
        let found = match node {
            Node::Nothing | Node::Empty => Id::NOTHING,
            Node::Everything => Id::EVERYTHING,
            Node::Class(groups) if groups[group / 64] & (1 << (group % 64)) != 0 => Id::EMPTY,
            Node::Class(_) => Id::NOTHING,
            Node::Concatenation(..) => self.derivative_of_concatenation(id, group)?,
            Node::Union(parts) => {
                let parts = parts.iter().map(|&part| self.derivative(part, group)).collect::<Result<_, _>>()?;
                self.union(parts)?
            }
            Node::Intersection(parts) => {
                let parts = parts.iter().map(|&part| self.derivative(part, group)).collect::<Result<_, _>>()?;
                self.intersection(parts)?
            }
            Node::Complement(inner) => {
                let inner = self.derivative(inner, group)?;
                self.complement(inner)?
            }
            // Where the empty text matches, fewer turns are among the texts of more turns, so one turn is always taken.
            Node::Repetition(inner, min, max) => {
                let first = self.derivative(inner, group)?;
                let rest = self.repetition(inner, min.saturating_sub(1), max.map(|max| max - 1))?;
                self.concatenation(first, rest)?
            }
        };
        self.derivatives.insert((id, group), found);
        Ok(found)
    }

    /// The character is of the first part, or of the next one if that can be empty, and so on.
    fn derivative_of_concatenation(&mut self, id: Id, group: usize) -> Result<Id, TooComplex> {
        let mut rest = id;
        let mut branches = Vec::new();
        while let Node::Concatenation(first, behind) = *self.node(rest) {
            self.room.take(1)?;
            let head = self.derivative(first, group)?;
            branches.push(self.concatenation(head, behind)?);
            if !self.is_nullable(first) {
                return self.union(branches);
            }
            rest = behind;
        }
        branches.push(self.derivative(rest, group)?);
        self.union(branches)
    }
}
