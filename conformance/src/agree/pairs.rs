//! Pairs: all predicates of a random pack on random events, every runtime in every way.

use anyhow::{Context, Result};
use kestrel_ir::event::Event;
use kestrel_ir::model::{Atom, AtomId};
use kestrel_ir::verify::verify;

use super::ask::{Contenders, Material};
use super::case::{Case, Difference, RecordedEvent, compare, guarded};
use super::streams::Finding;
use super::tally::Tally;
use crate::generate::events::{Events, START};
use crate::generate::{Random, derive, packs};

/// One pack in so many comes from queries, through the compiler.
const QUERIES_EVERY: u64 = 5;
/// The tally looks at one event in so many.
const SAMPLE_EVERY: usize = 16;

/// One pack with so many events: what was counted, and the first difference.
///
/// # Errors
/// When the generator or the compilers fail, which is a finding without a case.
pub fn pack(
    seed: u64,
    number: u64,
    events: usize,
    contenders: &Contenders,
    tally: &mut Tally,
) -> Result<Option<Finding>> {
    let mut random = Random::new(derive(seed, number));
    let predicates = 20 + random.below(41);
    let ir = if number % QUERIES_EVERY == QUERIES_EVERY - 1 {
        packs::pack_of_queries(&mut random, predicates).0
    } else {
        packs::pack(&mut random, predicates)
    };
    verify(&ir).context("the generated tables do not verify")?;
    let asked: Vec<AtomId> = ir
        .atoms
        .iter()
        .enumerate()
        .filter(|(_, atom)| matches!(atom, Atom::Lineage { .. }))
        .map(|(number, _)| AtomId(number as u32))
        .collect();
    let mut source = Events::new(&ir);
    // One after the other, so that a pack with fewer events has the first of one with more.
    let (events, lineage): (Vec<Event>, Vec<Vec<AtomId>>) = (0..events)
        .map(|number| {
            let event = source.event(&mut random, START + number as i64, number as u64);
            (event, asked.iter().copied().filter(|_| random.once_in(2)).collect::<Vec<AtomId>>())
        })
        .unzip();
    let material = Material::new(&ir, source.table(), &events, &lineage)?;
    let truth = guarded(|| material.truth());
    let difference = match &truth {
        Ok(truth) => compare(&material, &ir, truth, contenders)?,
        Err(panic) => Some(Difference::new("interpreter", "as the judge", format!("panicked: {panic}"))),
    };
    if let Some(difference) = difference {
        let record = |(event, lineage): (&Event, &Vec<AtomId>)| RecordedEvent::of(event, source.table(), lineage);
        let events = events.iter().zip(&lineage).map(record).collect();
        let mut case = Case { ir, events };
        // A pack's rules have no part in its pairs.
        case.ir.rules.clear();
        return Ok(Some(Finding { difference, case }));
    }
    tally.packs += 1;
    if let Ok(truth) = truth {
        tally.pairs += truth.pairs() as u64;
        tally.held += truth.count() as u64;
    }
    tally.dispatched += material.dispatched() as u64;
    for event in (0..material.events()).step_by(SAMPLE_EVERY) {
        tally.sample(&ir, &material, event);
    }
    Ok(None)
}
