//! Lineage: which processes had an event that a rule asks about, and who descends from whom.
//!
//! In: events, in order, with the ids of their process, its parent and as many ancestors as the source knows. Out:
//! whether a related process had an event that fulfilled a predicate. A process is remembered while it or a descendant
//! lives; the number of processes is bounded, the least recently seen leaves first and is counted.
//!
//! All questions are answered together: an event looks its ancestors up once and unites their marks, a bit a question.

mod processes;

use std::sync::Arc;

use kestrel_ir::event::{Event, FieldNumber, FieldTable, FieldValue};
use kestrel_ir::model::{Atom, AtomId, Ir, PredicateId, Relation};

use processes::{Marks, Processes};

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
    fields: Fields,
    questions: Arc<[Question]>,
    processes: Processes,
    current: Option<Current>,
    /// The marks of the current event's parent, and of all whom it descends from.
    parent: Marks,
    ancestors: Marks,
}

/// Where events say who they are about; `None` for a field that they do not have.
#[derive(Debug, Clone, Copy)]
struct Fields {
    entity: Option<FieldNumber>,
    parent: Option<FieldNumber>,
    ancestry: Option<FieldNumber>,
    event_type: Option<FieldNumber>,
}

/// The process of the event that is being matched.
#[derive(Debug, Clone, Copy)]
struct Current {
    process: u32,
    ends: bool,
    /// Whether the process is among its own ancestors, as a source may claim.
    is_own_ancestor: bool,
    /// The same of its parent.
    is_own_parent: bool,
}

impl Lineage {
    /// What a pack asks of events whose fields `table` numbers; `None` when it asks nothing. Remembers at most `capacity`
    /// processes.
    pub fn new(ir: &Ir, table: &FieldTable, capacity: usize) -> Option<Lineage> {
        let fields = ir.lineage?;
        let number = |field| table.lookup(ir.layout.name(field));
        let fields = Fields {
            entity: number(fields.entity),
            parent: number(fields.parent),
            ancestry: number(fields.ancestry),
            event_type: number(fields.event_type),
        };
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
        let marks = Marks::for_questions(questions.len());
        Some(Lineage {
            fields,
            processes: Processes::new(capacity, questions.len()),
            questions: questions.into(),
            current: None,
            parent: marks.clone(),
            ancestors: marks,
        })
    }

    /// What is asked, in the order in which it is to be answered.
    pub fn questions(&self) -> &Arc<[Question]> {
        &self.questions
    }

    /// How many processes had to leave because there were too many.
    pub fn evicted(&self) -> u64 {
        self.processes.evicted()
    }

    /// How many processes are remembered.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.processes.len() == 0
    }

    /// Takes the next event: learns who its process is and descends from.
    pub fn begin(&mut self, event: &Event) {
        let texts = |field: Option<FieldNumber>| {
            event.entries().filter(move |entry| Some(entry.field()) == field).filter_map(|entry| match entry.value() {
                FieldValue::Text(text) => Some(text),
                _ => None,
            })
        };
        self.current = None;
        self.parent.clear();
        self.ancestors.clear();
        let Some(entity) = texts(self.fields.entity).next() else { return };
        let ends = texts(self.fields.event_type).any(|word| word == "end");
        let named_parent = texts(self.fields.parent).next().filter(|parent| *parent != entity);
        let processes = &mut self.processes;
        let process = processes.see(entity);
        if ends {
            processes.end(process);
        }
        if let Some(name) = named_parent
            && processes.parent(process).is_none()
        {
            // There is room for two, so that the parent does not push out the child.
            let parent = processes.see(name);
            processes.adopt(process, parent);
        }
        let parent = match named_parent {
            Some(name) => processes.find(name),
            None => processes.parent(process),
        };
        let mut current = Current { process, ends, is_own_ancestor: false, is_own_parent: parent == Some(process) };
        if let Some(parent) = parent {
            self.parent.unite(processes.marks(parent));
        }
        for ancestor in texts(self.fields.ancestry).filter_map(|name| processes.find(name)) {
            self.ancestors.unite(processes.marks(ancestor));
            current.is_own_ancestor |= ancestor == process;
        }
        for ancestor in processes.line(parent) {
            self.ancestors.unite(processes.marks(ancestor));
            current.is_own_ancestor |= ancestor == process;
        }
        self.current = Some(current);
    }

    /// The event's process had an event that fulfils the question's predicate.
    pub fn mark(&mut self, question: usize) {
        let Some(current) = self.current else { return };
        self.processes.mark(current.process, question);
        if current.is_own_parent {
            self.parent.set(question);
        }
        if current.is_own_ancestor {
            self.ancestors.set(question);
        }
    }

    /// Whether a process so related to the event's had an event that fulfils the question's predicate.
    pub fn holds(&self, question: usize, relation: Relation) -> bool {
        let Some(current) = self.current else { return false };
        match relation {
            Relation::Event => self.processes.marks(current.process).is_set(question),
            Relation::Child => self.parent.is_set(question),
            Relation::Descendant => self.ancestors.is_set(question),
        }
    }

    /// The event is done: a process that has ended is forgotten when no descendant is left.
    pub fn end(&mut self) {
        if let Some(current) = self.current.take()
            && current.ends
        {
            self.processes.forget(current.process);
        }
    }
}
