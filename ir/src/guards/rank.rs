//! How good single atoms are as guards.
//!
//! In: an atom. Out: its [`Rank`]. The lists of fields are knowledge about hosts, not about the language: a wrong entry
//! makes a guard slower, never wrong.

use super::Rank;
use crate::layout::{FieldId, Layout};
use crate::model::{Atom, StringMatch};

/// Fields whose equality an index hashes first.
const KEY_FIELDS: [&str; 17] = [
    "destination.port",
    "dll.name",
    "dns.question.name",
    "event.action",
    "event.code",
    "file.extension",
    "file.hash.sha256",
    "file.name",
    "file.path",
    "process.executable",
    "process.hash.sha256",
    "process.name",
    "process.parent.executable",
    "process.parent.name",
    "process.pe.original_file_name",
    "registry.path",
    "source.port",
];

/// Fields that are nearly the same in all events of a host, or in all of one kind.
const WORTHLESS_FIELDS: [&str; 15] = [
    "agent.type",
    "data_stream.dataset",
    "data_stream.namespace",
    "data_stream.type",
    "ecs.version",
    "event.category",
    "event.dataset",
    "event.kind",
    "event.module",
    "event.outcome",
    "event.provider",
    "event.type",
    "host.os.family",
    "host.os.platform",
    "host.os.type",
];

/// The shortest literal that makes a wildcard pattern worth looking for, in bytes.
const SHORTEST_AFFIX: usize = 3;

/// The rank of a clause of this one atom.
pub(super) fn rank(atom: &Atom, layout: &Layout) -> Rank {
    let (field, rank) = match atom {
        Atom::Present { field } => (*field, Rank::Presence),
        Atom::Boolean { field, .. } => (*field, Rank::Test),
        Atom::Strings { field, matching, strings, .. } => (*field, rank_of_strings(*field, *matching, strings, layout)),
        Atom::Integers { field, .. } => (*field, equality(*field, layout)),
        Atom::Cidr { field, blocks } if blocks.iter().all(|block| block.prefix() == 128) => {
            (*field, equality(*field, layout))
        }
        Atom::Cidr { field, .. }
        | Atom::StringOrder { field, .. }
        | Atom::IntegerOrder { field, .. }
        | Atom::FloatOrder { field, .. }
        | Atom::VersionOrder { field, .. } => (*field, Rank::Test),
        Atom::AnyObject { object, .. } => (*object, Rank::Test),
        Atom::Compute { .. } | Atom::Lineage { .. } => return Rank::Test,
    };
    if is_one_of(field, layout, &WORTHLESS_FIELDS) { Rank::Worthless } else { rank }
}

fn rank_of_strings(field: FieldId, matching: StringMatch, strings: &[String], layout: &Layout) -> Rank {
    match matching {
        StringMatch::Exact => equality(field, layout),
        StringMatch::Regex => Rank::Test,
        StringMatch::Wildcard => strings.iter().map(|pattern| rank_of_pattern(pattern)).max().unwrap_or(Rank::Test),
    }
}

fn rank_of_pattern(pattern: &str) -> Rank {
    let longest = pattern.split(['*', '?']).map(str::len).max().unwrap_or(0);
    match longest {
        _ if pattern.bytes().all(|byte| byte == b'*' || byte == b'?') => Rank::Presence,
        SHORTEST_AFFIX.. => Rank::Affix,
        _ => Rank::Test,
    }
}

fn equality(field: FieldId, layout: &Layout) -> Rank {
    if is_one_of(field, layout, &KEY_FIELDS) { Rank::KeyEquality } else { Rank::Equality }
}

fn is_one_of(field: FieldId, layout: &Layout, names: &[&str]) -> bool {
    names.binary_search(&layout.name(field)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_the_search() {
        assert!(KEY_FIELDS.is_sorted());
        assert!(WORTHLESS_FIELDS.is_sorted());
    }
}
