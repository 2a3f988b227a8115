//! The processes that lineage remembers: by id, bounded in number, each with its parent and its marks.
//!
//! INVARIANT: a process whose `children` is not 0 has so many others whose `parent` it is. A link is a place and the
//! generation of the process that was there: a process that had to leave leaves dangling links, which lead nowhere.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// How many links up a descent is followed.
const MAX_GENERATIONS: usize = 128;
/// A free place keeps memory for a name of so many bytes.
const KEPT_NAME: usize = 64;
/// No place.
const NONE: u32 = u32::MAX;

/// Which questions an event of a process, or of one of several, answered: a bit each.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn for_questions(questions: usize) -> Marks {
        Marks(vec![0; questions.div_ceil(64)])
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn set(&mut self, question: usize) {
        if let Some(word) = self.0.get_mut(question / 64) {
            *word |= 1 << (question % 64);
        }
    }

    pub(super) fn unite(&mut self, other: &Marks) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn is_set(&self, question: usize) -> bool {
        self.0.get(question / 64).is_some_and(|word| word >> (question % 64) & 1 == 1)
    }
}

#[derive(Debug)]
struct Process {
    name: String,
    hash: u64,
    generation: u32,
    parent: Option<(u32, u32)>,
    /// How many remembered processes have this one as their parent.
    children: u32,
    ended: bool,
    marks: Marks,
    /// The neighbours in the order of use.
    newer: u32,
    older: u32,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Processes {
    hasher: RandomState,
    index: HashTable<u32>,
    places: Vec<Process>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    capacity: usize,
    questions: usize,
    evicted: u64,
    no_marks: Marks,
}

impl Processes {
    /// Room for `capacity` processes, at least two: an event's and its parent.
    pub(super) fn new(capacity: usize, questions: usize) -> Processes {
        Processes {
            hasher: RandomState::default(),
            index: HashTable::new(),
            places: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            capacity: capacity.clamp(2, NONE as usize),
            questions,
            evicted: 0,
            no_marks: Marks::for_questions(questions),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Where a process is remembered.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.find_hashed(name, self.hasher.hash_one(name))
    }

    fn find_hashed(&self, name: &str, hash: u64) -> Option<u32> {
        let is_it = |&place: &u32| self.places.get(place as usize).is_some_and(|process| process.name == name);
        self.index.find(hash, is_it).copied()
    }

    /// Remembers a process, which thereby becomes the most recently seen. The least recently seen may have to leave.
    pub(super) fn see(&mut self, name: &str) -> u32 {
        let hash = self.hasher.hash_one(name);
        if let Some(place) = self.find_hashed(name, hash) {
            self.unlink(place);
            self.link(place);
            return place;
        }
        if self.index.len() >= self.capacity {
            let oldest = self.oldest;
            self.evicted += 1;
            let parent = self.remove(oldest);
            self.leave(parent);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Process {
                name: String::new(),
                hash: 0,
                generation: 0,
                parent: None,
                children: 0,
                ended: false,
                marks: Marks::for_questions(self.questions),
                newer: NONE,
                older: NONE,
            });
            self.places.len() as u32 - 1
        });
        if let Some(process) = self.places.get_mut(place as usize) {
            process.name.clear();
            process.name.push_str(name);
            process.hash = hash;
        }
        let places = &self.places;
        self.index.insert_unique(hash, place, |&place| places.get(place as usize).map_or(0, |process| process.hash));
        self.link(place);
        place
    }

    /// The same for the parent of a process, which stays whoever has to leave: even if it has ended and its last child goes.
    pub(super) fn see_beside(&mut self, name: &str, child: u32) -> u32 {
        self.count_children(child, 1);
        let parent = self.see(name);
        self.count_children(child, -1);
        parent
    }

    fn count_children(&mut self, place: u32, more: i32) {
        if let Some(process) = self.places.get_mut(place as usize) {
            process.children = process.children.saturating_add_signed(more);
        }
    }

    pub(super) fn end(&mut self, place: u32) {
        if let Some(process) = self.places.get_mut(place as usize) {
            process.ended = true;
        }
    }

    /// The parent of a process, if both are remembered.
    pub(super) fn parent(&self, place: u32) -> Option<u32> {
        self.alive(self.places.get(place as usize)?.parent?)
    }

    fn alive(&self, (place, generation): (u32, u32)) -> Option<u32> {
        self.places.get(place as usize).filter(|process| process.generation == generation).map(|_| place)
    }

    /// Notes whose child a process is.
    pub(super) fn adopt(&mut self, child: u32, parent: u32) {
        let Some(generation) = self.places.get_mut(parent as usize).map(|process| {
            process.children += 1;
            process.generation
        }) else {
            return;
        };
        if let Some(process) = self.places.get_mut(child as usize) {
            process.parent = Some((parent, generation));
        }
    }

    /// A process and those that it descends from, as far as they are remembered.
    pub(super) fn line(&self, from: Option<u32>) -> impl Iterator<Item = u32> {
        std::iter::successors(from, |&place| self.parent(place)).take(MAX_GENERATIONS)
    }

    pub(super) fn marks(&self, place: u32) -> &Marks {
        self.places.get(place as usize).map_or(&self.no_marks, |process| &process.marks)
    }

    pub(super) fn mark(&mut self, place: u32, question: usize) {
        if let Some(process) = self.places.get_mut(place as usize) {
            process.marks.set(question);
        }
    }

    /// Forgets a process that has ended and has no children, then its parent in the same way, and so on.
    pub(super) fn forget(&mut self, place: u32) {
        let mut next = Some(place);
        while let Some(place) = next {
            let gone = self.places.get(place as usize).is_some_and(|process| process.ended && process.children == 0);
            if !gone {
                return;
            }
            next = self.remove(place).and_then(|parent| self.alive(parent));
            if let Some(parent) = next.and_then(|parent| self.places.get_mut(parent as usize)) {
                parent.children = parent.children.saturating_sub(1);
            }
        }
    }

    /// One child less; the last child of a process that has ended takes it along.
    fn leave(&mut self, parent: Option<(u32, u32)>) {
        let Some(parent) = parent.and_then(|parent| self.alive(parent)) else { return };
        if let Some(process) = self.places.get_mut(parent as usize) {
            process.children = process.children.saturating_sub(1);
        }
        self.forget(parent);
    }

    /// Frees a place; gives the link to the parent of who was there.
    fn remove(&mut self, place: u32) -> Option<(u32, u32)> {
        self.unlink(place);
        let process = self.places.get_mut(place as usize)?;
        if let Ok(entry) = self.index.find_entry(process.hash, |&other| other == place) {
            entry.remove();
        }
        process.generation = process.generation.wrapping_add(1);
        process.marks.clear();
        process.name.clear();
        process.name.shrink_to(KEPT_NAME);
        (process.children, process.ended) = (0, false);
        self.free.push(place);
        process.parent.take()
    }

    /// Puts a process before all others in the order of use.
    fn link(&mut self, place: u32) {
        let newest = std::mem::replace(&mut self.newest, place);
        if let Some(process) = self.places.get_mut(place as usize) {
            (process.newer, process.older) = (NONE, newest);
        }
        match self.places.get_mut(newest as usize) {
            Some(process) => process.newer = place,
            None => self.oldest = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(&Process { newer, older, .. }) = self.places.get(place as usize) else { return };
        match self.places.get_mut(newer as usize) {
            Some(process) => process.older = older,
            None => self.newest = older,
        }
        match self.places.get_mut(older as usize) {
            Some(process) => process.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(processes: &mut Processes, name: &str, parent: &str) -> u32 {
        let (child, parent) = (processes.see(name), processes.see(parent));
        processes.adopt(child, parent);
        child
    }

    #[test]
    fn a_line_leads_to_all_ancestors_and_the_last_child_takes_the_dead_along() {
        let mut processes = Processes::new(100, 70);
        let b = child(&mut processes, "b", "a");
        let c = child(&mut processes, "c", "b");
        processes.mark(b, 69);
        let line: Vec<u32> = processes.line(Some(c)).collect();
        assert_eq!(line, [c, b, processes.find("a").expect("it is remembered")]);
        assert!(processes.marks(b).is_set(69) && !processes.marks(b).is_set(5));
        processes.end(b);
        processes.forget(b);
        assert_eq!(processes.len(), 3, "a child lives");
        processes.end(c);
        processes.forget(c);
        assert_eq!(processes.len(), 1, "the dead are gone, the living stays");
        let again = processes.see("b");
        assert!(!processes.marks(again).is_set(69), "marks die with their process");
    }

    #[test]
    fn the_least_recently_seen_leaves_and_its_children_lose_their_link() {
        let mut processes = Processes::new(3, 1);
        let b = child(&mut processes, "b", "a");
        processes.see("b");
        processes.see("c");
        processes.see("d");
        assert_eq!((processes.find("a"), processes.evicted(), processes.len()), (None, 1, 3));
        assert_eq!(processes.parent(b), None);
        for number in 0..1000 {
            processes.see(&number.to_string());
        }
        assert_eq!((processes.len(), processes.evicted()), (3, 1001));
    }

    #[test]
    fn a_circle_ends() {
        let mut processes = Processes::new(100, 1);
        let a = child(&mut processes, "a", "b");
        let b = processes.find("b").expect("it is remembered");
        processes.adopt(b, a);
        assert_eq!(processes.line(Some(a)).count(), MAX_GENERATIONS);
        processes.end(a);
        processes.forget(a);
        assert_eq!(processes.len(), 2);
    }
}
