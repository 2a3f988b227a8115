//! What the evaluation of one event remembers: the atoms' answers and the folded texts of its fields.
//!
//! In: answers and values, as they are asked for. Out: the same again, without work. It knows nothing of what an atom
//! is; [`super::Atoms`] fills it.

use kestrel_ir::fold::fold_into;
use kestrel_ir::frame::{FrameValues, Slot};
use kestrel_ir::interp::{Context, Scratch};
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::AtomId;

/// The scratch of one thread: made once, [reset](AtomCache::reset) for every event, passed to every test.
///
/// An answer is one byte, so that compiled code can look it up by itself ([`AtomCache::answers`]): it equals the
/// generation for false, the generation + 1 for true, and anything else when the atom was not asked since the reset. A
/// reset takes the next even generation and leaves the answers as they are.
#[derive(Debug, Clone)]
pub struct AtomCache {
    answers: Vec<u8>,
    generation: u8,
    folded: FoldedText,
    lineage: Vec<AtomId>,
    scratch: Scratch,
}

/// The generation behind a forgotten past: no answer is 0.
const FIRST_GENERATION: u8 = 2;

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

impl Default for AtomCache {
    fn default() -> AtomCache {
        AtomCache::with_capacity(0, 0)
    }
}

impl AtomCache {
    /// A cache that has room for so many atoms and fields. An empty one ([`Default`]) grows into its pack.
    pub fn with_capacity(atoms: usize, fields: usize) -> AtomCache {
        AtomCache {
            answers: vec![0; atoms],
            generation: FIRST_GENERATION,
            folded: FoldedText { fields: vec![(UNKNOWN, 0); fields], ..FoldedText::default() },
            lineage: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Forgets all answers, keeps the memory. To be called before each event.
    pub fn reset(&mut self) {
        self.generation = self.generation.wrapping_add(2);
        if self.generation == 0 {
            self.answers.fill(0);
            self.generation = FIRST_GENERATION;
        }
        self.folded.reset();
        self.lineage.clear();
    }

    /// The lineage atoms that hold for this event, as its matcher has found.
    pub fn lineage(&self) -> &[AtomId] {
        &self.lineage
    }

    /// What the interpreter is told beside the event, and the memory that it works in.
    pub fn context(&self) -> Context<'_> {
        Context { lineage: &self.lineage, scratch: Some(&self.scratch), ..Context::default() }
    }

    /// Tells that a lineage atom holds for this event. To be called before anything that may ask it is evaluated.
    pub fn add_lineage(&mut self, atom: AtomId) {
        self.lineage.push(atom);
        self.remember(atom, true);
    }

    /// The answer of an atom, if it was evaluated since the last reset.
    #[inline]
    pub fn known(&self, atom: AtomId) -> Option<bool> {
        let answer = self.answers.get(atom.index())? ^ self.generation;
        (answer <= 1).then_some(answer == 1)
    }

    /// Remembers the answer of an atom until the next reset. Dispatch uses it for what its automata have found.
    #[inline]
    pub fn remember(&mut self, atom: AtomId, answer: bool) {
        if atom.index() >= self.answers.len() {
            self.answers.resize(atom.index() + 1, 0);
        }
        self.answers[atom.index()] = self.generation | u8::from(answer);
    }

    /// The answers, one byte for each atom, and the generation, which is even: a byte that equals it means false, one
    /// more means true, any other that the atom is to be asked. For compiled code that looks before it asks.
    pub fn answers(&self) -> (&[u8], u8) {
        (&self.answers, self.generation)
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

    #[test]
    fn no_answer_outlives_the_generations() {
        let mut cache = AtomCache::with_capacity(2, 0);
        for number in 0..1000 {
            assert_eq!((cache.known(AtomId(0)), cache.known(AtomId(1))), (None, None), "after {number} resets");
            cache.remember(AtomId(number % 2), number % 3 == 0);
            let (answers, generation) = cache.answers();
            assert_eq!(answers[number as usize % 2], generation + u8::from(number % 3 == 0));
            cache.reset();
        }
    }
}
