//! Lineage: which processes had an event that a rule asks about, and who descends from whom.
//!
//! In: events, in order, with the ids of their process, its parent and as many ancestors as the source knows. Out:
//! whether a related process had an event that fulfilled a predicate. A process is remembered while it or a descendant
//! lives; the number of processes is bounded, the least recently seen leaves first and is counted.

use kestrel_ir::frame::{Frame, Slot};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, AtomId, Ir, LineageFields, PredicateId, Relation};

use crate::key::{JoinKey, KeyPart};
use crate::store::Store;

/// How many links up a descent is followed.
const MAX_GENERATIONS: usize = 128;

/// What a pack asks about one predicate.
#[derive(Debug, Clone)]
pub struct Question {
    /// What an event of the related process must fulfil.
    pub predicate: PredicateId,
    /// The atoms that ask, and about which processes.
    pub atoms: Vec<(AtomId, Relation)>,
}

/// The processes that are remembered.
#[derive(Debug)]
pub struct Lineage {
    fields: LineageFields,
    questions: Vec<Question>,
    processes: Store<Process>,
    evicted: u64,
    current: Option<Current>,
}

#[derive(Debug, Default)]
struct Process {
    parent: Option<JoinKey>,
    /// How many remembered processes have this one as their parent.
    children: u32,
    ended: bool,
    /// The questions that an event of this process answered, by number.
    marks: Vec<u32>,
}

/// The process of the event that is being matched.
#[derive(Debug)]
struct Current {
    entity: JoinKey,
    parent: Option<JoinKey>,
    ancestry: Vec<JoinKey>,
    ends: bool,
}

impl Lineage {
    /// What a pack asks; `None` when it asks nothing. Remembers at most `capacity` processes.
    pub fn new(ir: &Ir, capacity: usize) -> Option<Lineage> {
        let fields = ir.lineage?;
        let mut questions: Vec<Question> = Vec::new();
        for (index, atom) in ir.atoms.iter().enumerate() {
            let Atom::Lineage { relation, predicate } = *atom else { continue };
            let asked = (AtomId(index as u32), relation);
            match questions.iter_mut().find(|question| question.predicate == predicate) {
                Some(question) => question.atoms.push(asked),
                None => questions.push(Question { predicate, atoms: vec![asked] }),
            }
        }
        // A predicate that asks about lineage itself comes behind those that it asks about.
        questions.sort_by_key(|question| question.predicate);
        Some(Lineage { fields, questions, processes: Store::new(capacity), evicted: 0, current: None })
    }

    /// What is asked, in the order in which it is to be answered.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// How many processes had to leave because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many processes are remembered.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Takes the next event: learns who its process is and descends from.
    pub fn begin(&mut self, layout: &Layout, frame: Frame<'_>) {
        let texts = |field: FieldId| {
            frame.values(layout, field).iter().filter_map(|slot| match slot {
                Slot::Text(text) => Some(text),
                _ => None,
            })
        };
        let key = |text: &str| -> JoinKey { Box::new([KeyPart::Text(text.into())]) };
        self.current = texts(self.fields.entity).next().map(|entity| Current {
            entity: key(entity),
            parent: texts(self.fields.parent).next().filter(|parent| *parent != entity).map(key),
            ancestry: texts(self.fields.ancestry).map(key).collect(),
            ends: texts(self.fields.event_type).any(|word| word == "end"),
        });
        let Some(Current { entity, parent, ends, .. }) = &self.current else { return };
        let (entity, parent, ends) = (entity.clone(), parent.clone(), *ends);
        let known = self.insert(&entity).map(|process| {
            process.ended |= ends;
            process.parent.is_some()
        });
        if let (Some(false), Some(parent)) = (known, parent) {
            if let Some(process) = self.insert(&parent) {
                process.children += 1;
            }
            // The parent's entry may have pushed out the child's, when room is very short.
            match self.processes.peek(&entity) {
                Some(process) => process.parent = Some(parent),
                None => self.leave(&parent),
            }
        }
    }

    /// The event's process had an event that fulfils the question's predicate.
    pub fn mark(&mut self, question: usize) {
        let Some(Current { entity, .. }) = &self.current else { return };
        if let Some(process) = self.processes.peek(entity)
            && !process.marks.contains(&(question as u32))
        {
            process.marks.push(question as u32);
        }
    }

    /// Whether a process so related to the event's had an event that fulfils the question's predicate.
    pub fn holds(&mut self, question: usize, relation: Relation) -> bool {
        let Some(current) = self.current.take() else { return false };
        let holds = match relation {
            Relation::Event => self.is_marked(&current.entity, question),
            Relation::Child => self.parent(&current).is_some_and(|parent| self.is_marked(&parent, question)),
            Relation::Descendant => {
                current.ancestry.iter().any(|ancestor| self.is_marked(ancestor, question))
                    || self.is_ancestor_marked(self.parent(&current), question)
            }
        };
        self.current = Some(current);
        holds
    }

    fn parent(&self, current: &Current) -> Option<JoinKey> {
        current.parent.clone().or_else(|| self.parent_of(&current.entity))
    }

    /// Whether `next`, or one that it descends from, is marked.
    fn is_ancestor_marked(&self, mut next: Option<JoinKey>, question: usize) -> bool {
        for _ in 0..MAX_GENERATIONS {
            let Some(ancestor) = next else { return false };
            if self.is_marked(&ancestor, question) {
                return true;
            }
            next = self.parent_of(&ancestor);
        }
        false
    }

    /// The event is done: a process that has ended is forgotten when no descendant is left.
    pub fn end(&mut self) {
        if let Some(current) = self.current.take()
            && current.ends
        {
            self.forget(current.entity);
        }
    }

    fn parent_of(&self, key: &JoinKey) -> Option<JoinKey> {
        self.processes.look(key)?.parent.clone()
    }

    fn is_marked(&self, key: &JoinKey, question: usize) -> bool {
        self.processes.look(key).is_some_and(|process| process.marks.contains(&(question as u32)))
    }

    fn insert(&mut self, key: &JoinKey) -> Option<&mut Process> {
        let (_, evicted) = self.processes.get_or_insert(key);
        if let Some(process) = evicted {
            self.evicted += 1;
            if let Some(parent) = process.parent {
                self.leave(&parent);
            }
        }
        self.processes.peek(key)
    }

    /// One child less; the last child of a process that has ended takes it along.
    fn leave(&mut self, parent: &JoinKey) {
        if let Some(process) = self.processes.peek(parent) {
            process.children = process.children.saturating_sub(1);
        }
        self.forget(parent.clone());
    }

    /// Forgets a process that has ended and has no children, then its parent in the same way, and so on.
    fn forget(&mut self, key: JoinKey) {
        let mut next = Some(key);
        while let Some(key) = next {
            let gone = self.processes.peek(&key).is_some_and(|process| process.ended && process.children == 0);
            if !gone {
                return;
            }
            next = self.processes.remove(&key).and_then(|process| process.parent);
            if let Some(parent) = &next
                && let Some(process) = self.processes.peek(parent)
            {
                process.children = process.children.saturating_sub(1);
            }
        }
    }
}
