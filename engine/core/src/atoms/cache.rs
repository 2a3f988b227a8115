//! What the evaluation of one event remembers: the atoms' answers and the folded texts of its fields.
//!
//! In: answers and values, as they are asked for. Out: the same again, without work. It knows nothing of what an atom
//! is; [`super::Atoms`] fills it.

use kestrel_ir::fold::fold_into;
use kestrel_ir::frame::{FrameValues, Slot};
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::AtomId;

/// The scratch of one thread: made once, [reset](AtomCache::reset) for every event, passed to every test.
#[derive(Debug, Clone, Default)]
pub struct AtomCache {
    words: Vec<Word>,
    folded: FoldedText,
    lineage: Vec<AtomId>,
}

/// 64 atoms: which are known, and the answers of those.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    known: u64,
    value: u64,
}

/// The folded values of the fields that were asked for, one after another.
#[derive(Debug, Clone, Default)]
struct FoldedText {
    text: String,
    /// Start and end of each value in `text`.
    values: Vec<(u32, u32)>,
    /// Of each field: start and end of its values in `values`; start is `UNKNOWN` until it is asked for.
    fields: Vec<(u32, u32)>,
    touched: Vec<u32>,
}

const UNKNOWN: u32 = u32::MAX;

impl AtomCache {
    /// A cache that has room for so many atoms and fields. An empty one ([`Default`]) grows into its pack.
    pub fn with_capacity(atoms: usize, fields: usize) -> AtomCache {
        AtomCache {
            words: vec![Word::default(); atoms.div_ceil(64)],
            folded: FoldedText { fields: vec![(UNKNOWN, 0); fields], ..FoldedText::default() },
            lineage: Vec::new(),
        }
    }

    /// Forgets all answers, keeps the memory. To be called before each event.
    pub fn reset(&mut self) {
        self.words.fill(Word::default());
        self.folded.reset();
        self.lineage.clear();
    }

    /// The lineage atoms that hold for this event, as its matcher has found.
    pub fn lineage(&self) -> &[AtomId] {
        &self.lineage
    }

    /// Tells that a lineage atom holds for this event. To be called before anything that may ask it is evaluated.
    pub fn add_lineage(&mut self, atom: AtomId) {
        self.lineage.push(atom);
        self.remember(atom, true);
    }

    /// The answer of an atom, if it was evaluated since the last reset.
    #[inline]
    pub fn known(&self, atom: AtomId) -> Option<bool> {
        let word = self.words.get(atom.index() / 64)?;
        let bit = 1u64 << (atom.0 % 64);
        (word.known & bit != 0).then_some(word.value & bit != 0)
    }

    /// Remembers the answer of an atom until the next reset. Dispatch uses it for what its automata have found.
    #[inline]
    pub fn remember(&mut self, atom: AtomId, answer: bool) {
        let index = atom.index() / 64;
        if index >= self.words.len() {
            self.words.resize(index + 1, Word::default());
        }
        let bit = 1u64 << (atom.0 % 64);
        let word = &mut self.words[index];
        word.known |= bit;
        if answer {
            word.value |= bit;
        } else {
            word.value &= !bit;
        }
    }

    /// Whether the folded form of any value of `field` fulfils `test`. Folds a field once between two resets.
    pub fn any_folded(&mut self, field: FieldId, values: FrameValues<'_>, test: impl Fn(&str) -> bool) -> bool {
        self.folded.values_of(field, values).any(test)
    }
}

impl FoldedText {
    fn reset(&mut self) {
        for field in self.touched.drain(..) {
            self.fields[field as usize] = (UNKNOWN, 0);
        }
        self.text.clear();
        self.values.clear();
    }

    fn values_of(&mut self, field: FieldId, values: FrameValues<'_>) -> impl Iterator<Item = &str> {
        if field.index() >= self.fields.len() {
            self.fields.resize(field.index() + 1, (UNKNOWN, 0));
        }
        if self.fields[field.index()].0 == UNKNOWN {
            let first = self.values.len() as u32;
            for slot in values.iter() {
                let Slot::Text(value) = slot else { continue };
                let start = self.text.len() as u32;
                fold_into(value, &mut self.text);
                self.values.push((start, self.text.len() as u32));
            }
            self.fields[field.index()] = (first, self.values.len() as u32);
            self.touched.push(field.0);
        }
        let (first, end) = self.fields[field.index()];
        let spans = self.values.get(first as usize..end as usize).unwrap_or(&[]);
        spans.iter().map(|&(start, end)| self.text.get(start as usize..end as usize).unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_last_until_the_reset() {
        let mut cache = AtomCache::default();
        assert_eq!(cache.known(AtomId(70)), None);
        cache.remember(AtomId(70), true);
        cache.remember(AtomId(3), false);
        assert_eq!((cache.known(AtomId(70)), cache.known(AtomId(3))), (Some(true), Some(false)));
        cache.remember(AtomId(70), false);
        assert_eq!(cache.known(AtomId(70)), Some(false));
        cache.reset();
        assert_eq!((cache.known(AtomId(70)), cache.known(AtomId(3))), (None, None));
    }
}
