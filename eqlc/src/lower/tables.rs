//! A table of entries, each of which is there once.
//!
//! In: entries. Out: their ids, the same for equal entries, and the table in the order of first use.

use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hasher};

use kestrel_ir::model::{Atom, AtomId, Node, NodeId, Predicate, PredicateId, Value, ValueId};

/// What is kept in a table, and the id that names it.
pub(super) trait Entry: Debug + PartialEq {
    type Id: Copy;
    fn id(index: u32) -> Self::Id;
}

macro_rules! entries {
    ($($entry:ty => $id:ident)*) => {$(
        impl Entry for $entry {
            type Id = $id;
            fn id(index: u32) -> $id {
                $id(index)
            }
        }
    )*};
}

entries! { Atom => AtomId Value => ValueId Node => NodeId Predicate => PredicateId }

/// Entries of one kind.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: Vec<T>,
    index: HashMap<u64, Vec<u32>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { entries: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Entry> Table<T> {
    /// The id of an entry, which is added when it is new.
    pub(super) fn intern(&mut self, entry: T) -> T::Id {
        let slots = self.index.entry(digest(&entry)).or_default();
        let known = slots.iter().copied().find(|&index| self.entries.get(index as usize) == Some(&entry));
        let index = known.unwrap_or_else(|| {
            // The verifier's limit of entries is far below 2^32.
            let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            self.entries.push(entry);
            slots.push(index);
            index
        });
        T::id(index)
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)
    }

    pub(super) fn into_entries(self) -> Vec<T> {
        self.entries
    }
}

/// A hash of the debug form: the entries hold decimals, which have no hash of their own, and it tells `0.0` from `-0.0`.
fn digest(entry: &impl Debug) -> u64 {
    let mut hashed = Hashed { hasher: DefaultHasher::new() };
    // Writing into a hasher never fails.
    let _ = write!(hashed, "{entry:?}");
    hashed.hasher.finish()
}

struct Hashed {
    hasher: DefaultHasher,
}

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.hasher.write(text.as_bytes());
        Ok(())
    }
}
