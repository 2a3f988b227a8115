//! Other packs in the place of those that run, between two events.
//!
//! In: a session over the new packs, made aside. Out: [`Reloaded`], what became of what the old packs remembered. A pack
//! whose content and options are the same goes on as it is, with all that it remembers. What the session counted goes on,
//! and so do events that wait for earlier ones. Nothing here can fail: whatever can was tried when the new session was made.

use kestrel_core::matcher::MatcherCounters;
use kestrel_core::program::ProgramReport;

use super::suppression::Suppressor;
use super::{Alert, RunningPack, Session, SessionCounters, summarise};

/// What became of the old packs' state when new ones took their place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Packs that are what they were, and go on with all that they remember.
    pub unchanged_packs: usize,
    /// Partial matches that were let go: those of the other packs' sequences and samples.
    pub partial_matches_dropped: u64,
    /// Groups of suppressed alerts that ended early, each with its summary.
    pub suppressions_ended: u64,
}

/// What packs counted that do not run any longer.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Those of matchers and sequences alone.
    pub(super) counters: SessionCounters,
    pub(super) runtime_error: Option<String>,
    programs: Vec<ProgramReport>,
}

impl Session {
    /// Has the packs of `new` take the place of this session's, from the next event on. All alerts of the events so far are
    /// given to `sink`, except those of events that wait for earlier ones, which the new packs will see.
    ///
    /// `new` is a session of the same kind over the same table of fields, with the same options, to which no event was
    /// given.
    pub fn replace(&mut self, new: Session, sink: &mut dyn FnMut(&Alert)) -> Reloaded {
        self.flush(sink);
        // For each old pack the place that it has from now on.
        let place = |old: &RunningPack| new.packs.iter().position(|pack| pack.identity == old.identity);
        let places: Vec<Option<usize>> = self.packs.iter().map(place).collect();
        let suppressions_ended = self.replace_suppression(new.suppressor, &places, sink);
        let mut reloaded = Reloaded { suppressions_ended, ..Reloaded::default() };
        let old = std::mem::replace(&mut self.packs, new.packs);
        for (pack, place) in old.into_iter().zip(places) {
            match place.and_then(|place| self.packs.get_mut(place)) {
                Some(same) => {
                    *same = pack;
                    reloaded.unchanged_packs += 1;
                }
                None => {
                    reloaded.partial_matches_dropped += pack.matcher.state().partial_matches as u64;
                    self.past.add(&pack);
                }
            }
        }
        (self.fields, self.runtime, self.code) = (new.fields, new.runtime, new.code);
        self.warnings = new.warnings;
        reloaded
    }

    /// Groups of packs that go on keep their windows; those of the others end, and their summaries are told.
    fn replace_suppression(
        &mut self,
        new: Option<Suppressor>,
        places: &[Option<usize>],
        sink: &mut dyn FnMut(&Alert),
    ) -> u64 {
        let Some(suppressor) = &mut self.suppressor else {
            self.suppressor = new;
            return 0;
        };
        let ended = suppressor.close_all_but(places);
        summarise(&self.packs, &self.losses, suppressor, &mut self.alerts, sink);
        suppressor.replace(new, places);
        ended
    }
}

impl Past {
    fn add(&mut self, pack: &RunningPack) {
        add_matcher(&mut self.counters.matcher, pack);
        self.counters.sequences += pack.matcher.sequence_counters().0;
        if self.runtime_error.is_none() {
            self.runtime_error = pack.runtime_error().map(str::to_owned);
        }
        pack.matcher.program_reports().into_iter().for_each(|report| add_report(&mut self.programs, report));
    }

    /// What running packs' programs did, and those that ran before; of a program that was loaded again, both together.
    pub(super) fn programs(&self, running: impl Iterator<Item = ProgramReport>) -> Vec<ProgramReport> {
        let mut all: Vec<ProgramReport> = running.collect();
        self.programs.iter().for_each(|report| add_report(&mut all, report.clone()));
        all
    }
}

/// Adds a report to that of the same program, if there is one; what is said first of it stays.
fn add_report(reports: &mut Vec<ProgramReport>, report: ProgramReport) {
    let same = |other: &&mut ProgramReport| (&other.rule, &other.program) == (&report.rule, &report.program);
    let Some(sum) = reports.iter_mut().find(same) else { return reports.push(report) };
    sum.calls += report.calls;
    sum.held += report.held;
    sum.failures += report.failures;
    sum.overruns += report.overruns;
    sum.blocks_requested += report.blocks_requested;
    sum.log_lines += report.log_lines;
    sum.first_failure = sum.first_failure.take().or(report.first_failure);
}

/// Adds what a pack's matcher counted.
pub(super) fn add_matcher(sum: &mut MatcherCounters, pack: &RunningPack) {
    let matcher = pack.matcher.counters();
    sum.events += matcher.events;
    sum.dispatched += matcher.dispatched;
    sum.candidates += matcher.candidates;
    sum.hits += matcher.hits;
    sum.matches += matcher.matches;
    sum.late += matcher.late;
    sum.late_beyond_bound += matcher.late_beyond_bound;
    sum.turned_down += matcher.turned_down;
    sum.runtime_failures += matcher.runtime_failures + pack.failures.0;
}
