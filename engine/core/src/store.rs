//! What is remembered of processes, by their id: bounded in number, the least recently used one leaves first.
//!
//! Deterministic: what is kept and what leaves depends on the order of the calls alone.

use std::collections::{BTreeMap, HashMap};

use crate::key::JoinKey;

/// States by key.
#[derive(Debug)]
pub struct Store<S> {
    index: HashMap<JoinKey, usize>,
    entries: Vec<Option<Entry<S>>>,
    free: Vec<usize>,
    by_use: BTreeMap<u64, usize>,
    clock: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<S> {
    key: JoinKey,
    used: u64,
    state: S,
}

impl<S: Default> Store<S> {
    /// An empty store for at most `capacity` keys (at least one).
    pub fn new(capacity: usize) -> Store<S> {
        Store {
            index: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            capacity: capacity.max(1),
        }
    }

    /// How many keys have a state.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no key has a state.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The state of a key, which thereby becomes the most recently used.
    pub fn get(&mut self, key: &JoinKey) -> Option<&mut S> {
        let slot = *self.index.get(key)?;
        self.touch(slot)
    }

    /// The state of a key, made when it is new. The second part is the state that had to leave for it.
    pub fn get_or_insert(&mut self, key: &JoinKey) -> (Option<&mut S>, Option<S>) {
        if let Some(&slot) = self.index.get(key) {
            return (self.touch(slot), None);
        }
        let mut evicted = None;
        if self.index.len() >= self.capacity
            && let Some((_, slot)) = self.by_use.pop_first()
            && let Some(entry) = self.entries.get_mut(slot).and_then(Option::take)
        {
            self.index.remove(&entry.key);
            self.free.push(slot);
            evicted = Some(entry.state);
        }
        self.clock += 1;
        let entry = Some(Entry { key: key.clone(), used: self.clock, state: S::default() });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        self.index.insert(key.clone(), slot);
        self.by_use.insert(self.clock, slot);
        (self.entries[slot].as_mut().map(|entry| &mut entry.state), evicted)
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &JoinKey) -> Option<S> {
        let slot = self.index.remove(key)?;
        let entry = self.entries.get_mut(slot).and_then(Option::take)?;
        self.by_use.remove(&entry.used);
        self.free.push(slot);
        Some(entry.state)
    }

    /// Reads a key's state without counting it as a use.
    pub fn look(&self, key: &JoinKey) -> Option<&S> {
        let slot = *self.index.get(key)?;
        self.entries.get(slot)?.as_ref().map(|entry| &entry.state)
    }

    /// The same, to change it.
    pub fn peek(&mut self, key: &JoinKey) -> Option<&mut S> {
        let slot = *self.index.get(key)?;
        self.entries.get_mut(slot)?.as_mut().map(|entry| &mut entry.state)
    }

    fn touch(&mut self, slot: usize) -> Option<&mut S> {
        let entry = self.entries.get_mut(slot)?.as_mut()?;
        self.clock += 1;
        self.by_use.remove(&entry.used);
        entry.used = self.clock;
        self.by_use.insert(self.clock, slot);
        Some(&mut entry.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPart;

    #[test]
    fn the_least_recently_used_key_leaves_first() {
        let key = |number: i64| -> JoinKey { Box::new([KeyPart::Integer(number)]) };
        let mut store: Store<i64> = Store::new(2);
        for number in [1, 2] {
            *store.get_or_insert(&key(number)).0.expect("a state") = number;
        }
        store.get(&key(1));
        let (state, evicted) = store.get_or_insert(&key(3));
        assert_eq!((state.copied(), evicted), (Some(0), Some(2)));
        assert_eq!(store.len(), 2);
        assert_eq!(store.remove(&key(1)), Some(1));
        assert!(store.get(&key(1)).is_none());
        assert_eq!(store.get_or_insert(&key(4)).1, None);
    }
}
