//! The kinds of events that live sources produce, and the categories that rules ask for.
//!
//! In: the generated tables. Out: kinds by name and by number. A kind's number is part of the record ABI between kernel and user
//! space and of the event log: it is never given to another kind.

use crate::generated;

/// One kind of event of a live source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// The stable number, from 1; the same in the kernel's header.
    pub id: u16,
    /// The kind's name, `exec`.
    pub name: &'static str,
    /// The values of `event.category`.
    pub category: &'static [&'static str],
    /// The values of `event.type`.
    pub event_type: &'static [&'static str],
    /// The value of `event.action`.
    pub action: &'static str,
    /// Whether a source of this build produces it. The other kinds are reserved, so that their numbers and fields are settled.
    pub live: bool,
    /// The fields that a source fills, sorted by name. Every one is a field of the built-in schema.
    pub fields: &'static [&'static str],
    /// One sentence for people.
    pub doc: &'static str,
}

/// All kinds, in the order of their numbers.
pub fn event_kinds() -> &'static [EventKind] {
    &generated::KINDS
}

/// The kind of that name.
pub fn event_kind(name: &str) -> Option<&'static EventKind> {
    event_kinds().iter().find(|kind| kind.name == name)
}

/// The kind with that number; `None` for 0 and for numbers of a later build.
pub fn event_kind_by_id(id: u16) -> Option<&'static EventKind> {
    let kinds = event_kinds();
    kinds.binary_search_by_key(&id, |kind| kind.id).ok().and_then(|index| kinds.get(index))
}

/// The event categories that ECS and Elastic Defend use, sorted. For lints and completion: any identifier is a valid category.
pub fn known_categories() -> &'static [&'static str] {
    &generated::CATEGORIES
}
