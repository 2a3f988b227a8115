//! The index of one kind of events: for each field that is a key, what its values find.

use std::collections::HashMap;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchKind};
use kestrel_ir::event::FieldNumber;
use kestrel_ir::fold::fold_with;
use kestrel_ir::model::PredicateId;
use kestrel_ir::pattern::Anchor;
use rustc_hash::FxBuildHasher;

use super::choice::{MAX_CLAUSES, choose};
use super::memo::{Lists, Look, Memo};
use super::plan::{Key, KeyValue, Plan, Symbol};

/// One of the clauses that a predicate is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) predicate: PredicateId,
    /// One bit.
    pub(super) clause: u8,
}

const _: () = assert!(MAX_CLAUSES <= 8, "a clause is a bit of a byte");

/// Predicates filed under values of fields.
#[derive(Debug)]
pub(super) struct KindIndex {
    /// Candidates for every event of the kind.
    pub(super) always: Vec<PredicateId>,
    /// By predicate: the bits of all clauses that it is filed under.
    pub(super) clauses: Vec<u8>,
    fields: Vec<FieldIndex>,
    /// By field number: one more than the field's place in `fields`, 0 for a field that is no key.
    places: Vec<u16>,
}

/// What the values of one field find.
#[derive(Debug, Default)]
pub(super) struct FieldIndex {
    /// Its own among the indexes of all kinds and fields.
    number: u32,
    /// Bit n: there is a text of n bytes; bit 63 stands for all longer ones.
    lengths: u64,
    /// By text its place in `lists`.
    texts: HashMap<Box<str>, u32, FxBuildHasher>,
    numbers: HashMap<i64, u32, FxBuildHasher>,
    parts: Option<Parts>,
    /// What is found.
    lists: Vec<Vec<Posting>>,
}

/// Parts of texts, all looked for at once.
#[derive(Debug)]
struct Parts {
    automaton: PartsAutomaton,
    /// By the automaton's patterns.
    found: Vec<Part>,
}

/// A part that is looked for.
#[derive(Debug)]
struct Part {
    anchor: Anchor,
    length: usize,
    list: u32,
}

/// About what a key takes beside its text and its predicates, in bytes.
const ENTRY: usize = 80;

/// The automaton of the parts: a table for some of them, which is fastest, and something smaller for many.
#[derive(Debug)]
enum PartsAutomaton {
    Table(DFA),
    Compact(NFA),
}

/// The most bytes of parts that a table is made for: up to 1 KiB of table for each.
const MAX_TABLE_PARTS: usize = 2048;

impl PartsAutomaton {
    fn new<'t>(parts: impl Iterator<Item = &'t str> + Clone) -> Result<PartsAutomaton, BuildError> {
        let bytes: usize = parts.clone().map(str::len).sum();
        Ok(match bytes <= MAX_TABLE_PARTS {
            true => {
                PartsAutomaton::Table(DFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(parts)?)
            }
            false => {
                PartsAutomaton::Compact(NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(parts)?)
            }
        })
    }

    fn size(&self) -> usize {
        match self {
            PartsAutomaton::Table(automaton) => automaton.memory_usage(),
            PartsAutomaton::Compact(automaton) => automaton.memory_usage(),
        }
    }

    /// Tells each part and where it ends, for each place where it stands.
    #[inline]
    fn find(&self, text: &str, tell: impl FnMut(usize, usize)) {
        match self {
            PartsAutomaton::Table(automaton) => find_all(automaton, text.as_bytes(), tell),
            PartsAutomaton::Compact(automaton) => find_all(automaton, text.as_bytes(), tell),
        }
    }
}

/// The library's own search for overlapping matches does the same with more state, because it can be stopped in between.
#[inline]
fn find_all<A: Automaton>(automaton: &A, text: &[u8], mut tell: impl FnMut(usize, usize)) {
    let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
    for (place, &byte) in text.iter().enumerate() {
        state = automaton.next_state(Anchored::No, state, byte);
        if automaton.is_special(state) && automaton.is_match(state) {
            for number in 0..automaton.match_len(state) {
                tell(automaton.match_pattern(state, number).as_usize(), place + 1);
            }
        }
    }
}

/// Keys while they are gathered.
#[derive(Default)]
struct Gathered {
    index: FieldIndex,
    parts: HashMap<(Box<str>, Anchor), u32, FxBuildHasher>,
}

impl KindIndex {
    /// The index of events with these symbols, or of events whatever their kind is. `fields` counts the indexes of fields.
    pub(super) fn new(plan: &Plan, symbols: Option<&[Symbol]>, fields: &mut u32) -> KindIndex {
        let of_kind = plan.predicates.iter().filter(|plan| symbols.is_none_or(|symbols| plan.is_about(symbols)));
        let (mut always, mut clauses) = (Vec::new(), vec![0; plan.count]);
        let mut gathered: Vec<(FieldNumber, Gathered)> = Vec::new();
        for filed in choose(plan, of_kind) {
            let predicate = filed.predicate.id;
            if filed.accesses.is_empty() {
                always.push(predicate);
            }
            for (number, access) in filed.accesses.iter().enumerate() {
                let posting = Posting { predicate, clause: 1 << number };
                if let Some(clauses) = clauses.get_mut(predicate.index()) {
                    *clauses |= posting.clause;
                }
                for Key { field, value } in &access.keys {
                    let place = gathered.iter().position(|(known, _)| known == field).unwrap_or_else(|| {
                        gathered.push((*field, Gathered::default()));
                        gathered.len() - 1
                    });
                    if let Some((_, gathered)) = gathered.get_mut(place) {
                        gathered.add(value, posting);
                    }
                }
            }
        }
        let mut index = KindIndex { always, clauses, fields: Vec::new(), places: Vec::new() };
        for (field, gathered) in gathered {
            // A pack has at most some thousand fields: more than 65,534 keys are not built, and their predicates are
            // candidates for every event.
            match (gathered.finish(), u16::try_from(index.fields.len() + 1)) {
                (Ok(mut built), Ok(place)) => {
                    (built.number, *fields) = (*fields, *fields + 1);
                    index.fields.push(built);
                    let number = field.0 as usize;
                    if index.places.len() <= number {
                        index.places.resize(number + 1, 0);
                    }
                    index.places[number] = place;
                }
                (Ok(built), Err(_)) => index.ask_always(built.predicates()),
                (Err(predicates), _) => index.ask_always(predicates),
            }
        }
        index.always.sort_unstable();
        index.always.dedup();
        index
    }

    /// Predicates whose keys could not be filed.
    fn ask_always(&mut self, predicates: Vec<PredicateId>) {
        for predicate in predicates {
            // No clause found then makes it a candidate a second time.
            if let Some(clauses) = self.clauses.get_mut(predicate.index()) {
                *clauses = 0;
            }
            self.always.push(predicate);
        }
    }

    /// About how many bytes the index takes.
    pub(super) fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(FieldIndex::size).sum();
        fields + self.clauses.len() + self.places.len() * 2 + self.always.len() * size_of::<PredicateId>()
    }

    /// What the values of a field find, if it is a key.
    #[inline]
    pub(super) fn field(&self, number: FieldNumber) -> Option<&FieldIndex> {
        let place = usize::from(*self.places.get(number.0 as usize)?);
        self.fields.get(place.checked_sub(1)?)
    }
}

impl Gathered {
    fn add(&mut self, value: &KeyValue, posting: Posting) {
        let FieldIndex { lengths, texts, numbers, lists, .. } = &mut self.index;
        let next = lists.len() as u32;
        let list = *match value {
            KeyValue::Text(text) => {
                *lengths |= length_bit(text);
                texts.entry(text.clone()).or_insert(next)
            }
            KeyValue::Number(number) => numbers.entry(*number).or_insert(next),
            KeyValue::Part(part, anchor) => self.parts.entry((part.clone(), *anchor)).or_insert(next),
        };
        if list == next {
            lists.push(Vec::new());
        }
        if let Some(postings) = lists.get_mut(list as usize)
            && postings.last() != Some(&posting)
        {
            postings.push(posting);
        }
    }

    /// The finished index; all predicates when their parts are more than an automaton takes.
    fn finish(mut self) -> Result<FieldIndex, Vec<PredicateId>> {
        if self.parts.is_empty() {
            return Ok(self.index);
        }
        let mut parts: Vec<_> = self.parts.into_iter().collect();
        parts.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        match PartsAutomaton::new(parts.iter().map(|((text, _), _)| &**text)) {
            Ok(automaton) => {
                let found =
                    parts.into_iter().map(|((text, anchor), list)| Part { anchor, length: text.len(), list }).collect();
                self.index.parts = Some(Parts { automaton, found });
                Ok(self.index)
            }
            Err(_) => Err(self.index.predicates()),
        }
    }
}

impl FieldIndex {
    fn predicates(&self) -> Vec<PredicateId> {
        self.lists.iter().flatten().map(|posting| posting.predicate).collect()
    }

    fn size(&self) -> usize {
        let texts: usize = self.texts.keys().map(|text| text.len()).sum();
        let parts = self.parts.as_ref().map_or(0, |parts| parts.automaton.size());
        let postings: usize = self.lists.iter().map(|list| ENTRY + list.len() * size_of::<Posting>()).sum();
        texts + parts + postings
    }

    /// Tells what a text finds. `folded` is memory to fold it in.
    pub(super) fn find_text(&self, text: &str, memo: &mut Memo, folded: &mut String, tell: impl FnMut(&[Posting])) {
        if self.parts.is_none() {
            return self.search(fold_with(text, folded), tell);
        }
        match memo.look(self.number, text) {
            Look::Found(lists) => lists.iter().map(|list| self.list(list)).for_each(tell),
            Look::Unknown(place) => {
                let lists = self.search_and_tell(fold_with(text, folded), tell);
                memo.remember(place, self.number, text, lists);
            }
            Look::Aside => self.search(fold_with(text, folded), tell),
        }
    }

    fn search_and_tell(&self, text: &str, mut tell: impl FnMut(&[Posting])) -> Lists {
        let mut lists = Lists::default();
        self.lists_of(text, |list| {
            lists.push(list);
            tell(self.list(list));
        });
        lists
    }

    fn search(&self, text: &str, mut tell: impl FnMut(&[Posting])) {
        self.lists_of(text, |list| tell(self.list(list)));
    }

    /// Tells the numbers of the lists that a text finds; it is folded.
    #[inline]
    fn lists_of(&self, text: &str, mut tell: impl FnMut(u32)) {
        if self.lengths & length_bit(text) != 0
            && let Some(&list) = self.texts.get(text)
        {
            tell(list);
        }
        let Some(parts) = &self.parts else { return };
        parts.automaton.find(text, |number, end| {
            let Some(&Part { anchor, length, list }) = parts.found.get(number) else { return };
            let stands = match anchor {
                Anchor::Start => end == length,
                Anchor::Anywhere => true,
                Anchor::End => end == text.len(),
            };
            if stands {
                tell(list);
            }
        });
    }

    fn list(&self, number: u32) -> &[Posting] {
        self.lists.get(number as usize).map_or(&[], Vec::as_slice)
    }

    /// What a number finds.
    pub(super) fn find_number(&self, number: i64) -> &[Posting] {
        self.numbers.get(&number).map_or(&[], |&list| self.list(list))
    }
}

fn length_bit(text: &str) -> u64 {
    1 << text.len().min(63)
}
