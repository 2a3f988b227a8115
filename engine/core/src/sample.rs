//! Samples over a stream: one event for each filter, in any order, that share their keys.
//!
//! Slots per key; an event takes the first empty slot of a filter that it matches, so that every filter has an event of
//! its own. When all are filled the sample is told and the key starts anew.

use kestrel_ir::model::RuleIndex;

use crate::evidence::Evidence;
use crate::key::decode;
use crate::matcher::Match;
use crate::plan::{Machine, Role};
use crate::ranked::{Moment, Rank, Ranked};
use crate::shard::partials::Partial;
use crate::shard::{Item, Shard, Taking};

impl Shard {
    /// Takes an event for a key, whose entry is `found` if it has one. Gives the entry that it has then.
    pub(crate) fn take_sample(
        &mut self,
        machine: &Machine,
        item: &Item<'_>,
        mut found: Option<u32>,
        taking: &Taking<'_>,
        out: &mut Vec<Ranked>,
    ) -> Option<u32> {
        let key = self.entry(&mut found, item)?;
        let empty = item.uses.iter().find_map(|used| match used.role {
            Role::Filter(filter) if self.slot(key, filter as usize).is_none() => Some((filter, used.position)),
            _ => None,
        });
        let Some((filter, position)) = empty else { return found };
        let filled = self.keys.get(key).map_or(0, |entry| entry.filled as usize);
        if filled + 1 < machine.slots {
            let mut partial = Partial::new(taking.order, None);
            let evidence = self.evidence(taking);
            self.partials.push(&mut partial, evidence);
            self.fill_slot(key, filter as usize, partial);
            return found;
        }
        let mut events = Vec::with_capacity(machine.slots);
        for slot in 0..machine.slots {
            let kept = self.empty_slot(key, slot);
            events.push(Some(match &kept {
                Some(partial) => self.copy(partial.evidence),
                None => Evidence::of(taking.frame),
            }));
            if let Some(partial) = kept {
                self.partials.release(&partial, &mut self.blocks);
            }
        }
        let (rule, last, told) = (machine.rule, taking.order, taking.event.ordinal);
        out.push(Ranked {
            rank: Rank { event: taking.event.serial, moment: Moment::Completed, rule, last, term: filter, position },
            found: Match { rule: RuleIndex(rule), events, key: decode(item.key), last, told, findings: None },
        });
        found
    }
}
