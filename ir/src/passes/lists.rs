//! Lists: tests of one field, any of which will do, become one test with one list.
//!
//! What: `a == "x" or a == "y" or a in ("z")` becomes `a in ("x", "y", "z")`; integers, blocks of addresses, wildcards
//! and regular expressions too. Dually, `not a == "x" and not a == "y"` becomes `not a in ("x", "y")`. A list without
//! letters joins one that ignores case: its strings match the same either way.
//!
//! Why it is right: an atom is true if any value of its field matches any of its list, so that `or` of two atoms over one
//! field asks exactly what one atom over both lists asks, also of a field with many values.
//!
//! Never: it joins nothing under `and` (one value may be "x" and another "y"), nothing that is matched differently, and
//! copies no long list, since that may be one that many rules share.

use std::collections::{HashMap, HashSet};

use crate::cidr::Cidr;
use crate::layout::FieldId;
use crate::model::{Atom, Node, NodeId, StringMatch};

use super::connect::{connect, negate};
use super::rewrite::Rewrite;
use super::tables::Tables;

/// A list up to this length may be copied into any number of longer ones.
const LONGEST_COPIED: usize = 64;
/// How many entries are copied in all, in bytes of strings.
const MOST_COPIED: usize = 1 << 26;

#[derive(Default)]
pub(super) struct Lists {
    copied: usize,
}

impl Rewrite for Lists {
    fn node(&mut self, node: Node, tables: &mut Tables) -> NodeId {
        match node {
            Node::Or(operands) => match self.merged(&operands, false, tables) {
                Some(merged) => connect(false, merged, tables),
                None => tables.add_node(Node::Or(operands)),
            },
            Node::And(operands) => match self.merged(&operands, true, tables) {
                Some(merged) => connect(true, merged, tables),
                None => tables.add_node(Node::And(operands)),
            },
            _ => tables.add_node(node),
        }
    }
}

/// What two atoms must have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Strings(StringMatch, bool),
    Integers,
    Cidr,
}

/// Lists that become one.
struct Group {
    kind: Kind,
    field: FieldId,
    /// The operands' positions.
    members: Vec<usize>,
}

impl Lists {
    /// The operands, with those that are one list as one, at the place of the first; `None` when there are no two. Under
    /// `and` the operands are the negated ones.
    fn merged(&mut self, operands: &[NodeId], negated: bool, tables: &mut Tables) -> Option<Vec<NodeId>> {
        let groups = groups(operands, negated, tables);
        let mut merged: Vec<Option<NodeId>> = operands.iter().copied().map(Some).collect();
        let mut any = false;
        for group in groups.iter().filter(|group| group.members.len() > 1) {
            let atoms: Vec<&Atom> =
                group.members.iter().filter_map(|&member| tested(*operands.get(member)?, negated, tables)).collect();
            let Some(atom) = self.union(group, &atoms) else { continue };
            let atom = tables.add_atom(atom);
            let node = tables.add_node(Node::Atom(atom));
            let node = if negated { negate(node, tables) } else { node };
            for (index, &member) in group.members.iter().enumerate() {
                if let Some(place) = merged.get_mut(member) {
                    *place = (index == 0).then_some(node);
                }
            }
            any = true;
        }
        any.then(|| merged.into_iter().flatten().collect())
    }

    /// One atom for all; `None` when too much would be copied.
    fn union(&mut self, group: &Group, atoms: &[&Atom]) -> Option<Atom> {
        let field = group.field;
        self.copied = self.copied.saturating_add(atoms.iter().map(|atom| bytes(atom)).sum());
        if self.copied > MOST_COPIED {
            return None;
        }
        Some(match group.kind {
            Kind::Integers => {
                let lists = atoms.iter().filter_map(|atom| match atom {
                    Atom::Integers { values, .. } => Some(values),
                    _ => None,
                });
                Atom::Integers { field, values: sorted(lists.flatten().copied().collect()) }
            }
            Kind::Cidr => {
                let lists = atoms.iter().filter_map(|atom| match atom {
                    Atom::Cidr { blocks, .. } => Some(blocks),
                    _ => None,
                });
                let blocks: Vec<Cidr> = sorted(lists.flatten().copied().collect());
                Atom::Cidr { field, blocks }
            }
            Kind::Strings(matching, fold) => {
                let lists = atoms.iter().filter_map(|atom| match atom {
                    Atom::Strings { strings, .. } => Some(strings),
                    _ => None,
                });
                let strings: Vec<String> = lists.flatten().cloned().collect();
                let strings = if matching == StringMatch::Regex { each_once(strings) } else { sorted(strings) };
                Atom::Strings { field, matching, fold, strings }
            }
        })
    }
}

/// The atom that an operand tests, or that it negates.
fn tested(operand: NodeId, negated: bool, tables: &Tables) -> Option<&Atom> {
    match tables.node(operand) {
        Some(Node::Not(inner)) if negated => tables.atom_of(*inner),
        Some(Node::Atom(atom)) if !negated => tables.atom(*atom),
        _ => None,
    }
}

/// The operands that are lists, by what they have in common, in the order of their first.
fn groups(operands: &[NodeId], negated: bool, tables: &Tables) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<(Kind, FieldId), usize> = HashMap::new();
    // Lists that ignore case, so that those without letters can join them.
    let folded: HashSet<(Kind, FieldId)> = operands
        .iter()
        .filter_map(|&operand| kind(tested(operand, negated, tables)?))
        .filter(|(kind, _)| matches!(kind, Kind::Strings(_, true)))
        .collect();
    for (position, &operand) in operands.iter().enumerate() {
        let Some(atom) = tested(operand, negated, tables) else { continue };
        let Some((kind, field)) = kind(atom) else { continue };
        let ignoring_case = match kind {
            Kind::Strings(matching, false) if has_no_letters(atom) => Some(Kind::Strings(matching, true)),
            _ => None,
        };
        let kind = ignoring_case.filter(|kind| folded.contains(&(*kind, field))).unwrap_or(kind);
        let place = *places.entry((kind, field)).or_insert_with(|| {
            groups.push(Group { kind, field, members: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.members.push(position);
        }
    }
    groups
}

/// What kind of list an atom is, if it is one that may be copied.
fn kind(atom: &Atom) -> Option<(Kind, FieldId)> {
    let (kind, field, length) = match atom {
        Atom::Strings { field, matching, fold, strings } => (Kind::Strings(*matching, *fold), *field, strings.len()),
        Atom::Integers { field, values } => (Kind::Integers, *field, values.len()),
        Atom::Cidr { field, blocks } => (Kind::Cidr, *field, blocks.len()),
        _ => return None,
    };
    (length <= LONGEST_COPIED).then_some((kind, field))
}

/// Whether case cannot matter: no character folds to an ASCII character that is no letter.
fn has_no_letters(atom: &Atom) -> bool {
    match atom {
        Atom::Strings { matching: StringMatch::Exact | StringMatch::Wildcard, strings, .. } => {
            strings.iter().all(|text| text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_alphabetic()))
        }
        _ => false,
    }
}

fn bytes(atom: &Atom) -> usize {
    match atom {
        Atom::Strings { strings, .. } => strings.iter().map(String::len).sum::<usize>() + 16 * strings.len(),
        Atom::Integers { values, .. } => 8 * values.len(),
        Atom::Cidr { blocks, .. } => 17 * blocks.len(),
        _ => 0,
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

/// In order: of regular expressions an early one may be the cheap one.
fn each_once(strings: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    strings.into_iter().filter(|text| seen.insert(text.clone())).collect()
}
