//! What the kernel may drop, beside whole kinds: the keys of all loaded packs, as tables for the kernel.
//!
//! Goes in: the packs' filter keys. Comes out: a [`KernelFilter`], one table for each kind that can be filtered, and
//! [`KernelTables`], which puts it into the kernel, all kinds at one stroke. A kind that some pack wants whole is not
//! filtered. Records that the process table lives from are sent whatever the filter says, and say that no rule wants them.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, MapData};
use kestrel_bpf::filter::{ACTOR_WORDS, Actor, FilterTable, TABLE_SIZE, Test};
use kestrel_bpf::layout::KINDS;
use kestrel_bpf::record::Kind;
use kestrel_ir::pack::{FilterKey, FilterTest, Pack};

use super::attach::Attachments;
use super::{KindSet, LiveError};
use crate::process_table::ProcessTable;

/// A table that lets more strange keys through than this is not worth asking.
const MAX_FILL: f64 = 0.5;

/// Tables by kind; a kind that has none passes as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelFilter {
    tables: BTreeMap<u16, FilterTable>,
}

impl KernelFilter {
    /// The filter under which every event passes that some rule of `packs` can want; `kinds` are those that are collected.
    pub fn of_packs<'p>(packs: impl IntoIterator<Item = &'p Pack>, kinds: KindSet) -> KernelFilter {
        let mut filter = KernelFilter::default();
        let mut whole = KindSet::NONE;
        for pack in packs {
            for kind in Kind::ALL.into_iter().filter(|kind| pack.filters().wants(kind.number())) {
                match pack.filter_keys().iter().find(|keys| keys.kind == kind.number()) {
                    Some(keys) => {
                        let table = filter.tables.entry(keys.kind).or_insert_with(FilterTable::closed);
                        let takes = |key: &FilterKey| fits(key.test, kind) && table.insert(test(key.test), &key.text);
                        if !keys.keys.iter().all(takes) {
                            whole = whole.with(kind);
                        }
                    }
                    None => whole = whole.with(kind),
                }
            }
            // Lineage is told of the ends of all processes, whichever ends the rules ask about.
            if pack.ir().lineage.is_some() {
                whole = whole.with(Kind::Exit);
            }
        }
        // The kernel looks at these to know whose other events are; nobody wants them themselves.
        for kind in Kind::ALL.into_iter().filter(|&kind| kinds.with_helpers().contains(kind) && !kinds.contains(kind)) {
            filter.tables.insert(kind.number(), FilterTable::closed());
        }
        let keeps = |number: u16| Kind::from_number(number).is_none_or(|kind| whole.contains(kind));
        filter.tables.retain(|number, table| !keeps(*number) && table.fill() < MAX_FILL);
        filter
    }

    /// The kinds of which the kernel drops what no rule can want. Those that the process table lives from are not among
    /// them: what no rule can want of them is sent and says so.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let table = [Kind::Exec, Kind::Fork, Kind::Exit, Kind::UidChange, Kind::GidChange, Kind::SessionIdChange];
        self.tables.keys().filter_map(|&number| Kind::from_number(number)).filter(move |kind| !table.contains(kind))
    }
}

/// Whether records of a kind have what a key is compared with.
fn fits(test: FilterTest, kind: Kind) -> bool {
    use FilterTest::*;
    let both = [Kind::ConnectionAttempted, Kind::ConnectionAccepted, Kind::DisconnectReceived];
    match test {
        FileName | FileExtension | PathComponent | PathPrefix | FilePattern => kind.name().starts_with("file_"),
        SourceAddress | SourcePort | DestinationAddress | DestinationPort => {
            let one_end = matches!(test, SourceAddress | SourcePort) && matches!(kind, Kind::Bind | Kind::Listen);
            one_end || both.contains(&kind) || matches!(kind, Kind::LookupRequested | Kind::LookupResult)
        }
        ProcessName | ProcessPattern | ProcessFolder | UserId => true,
    }
}

fn test(test: FilterTest) -> Test {
    match test {
        FilterTest::FileName => Test::FileName,
        FilterTest::FileExtension => Test::FileExtension,
        FilterTest::PathComponent => Test::PathComponent,
        FilterTest::PathPrefix => Test::PathPrefix,
        FilterTest::ProcessName => Test::ProcessName,
        FilterTest::UserId => Test::UserId,
        FilterTest::FilePattern => Test::FilePattern,
        FilterTest::ProcessPattern => Test::ProcessPattern,
        FilterTest::ProcessFolder => Test::ProcessFolder,
        FilterTest::SourceAddress => Test::SourceAddress,
        FilterTest::DestinationAddress => Test::DestinationAddress,
        FilterTest::SourcePort => Test::SourcePort,
        FilterTest::DestinationPort => Test::DestinationPort,
    }
}

/// The kernel's side of the filter.
pub(super) struct KernelTables {
    tables: Array<MapData, [u8; TABLE_SIZE]>,
    actors: HashMap<MapData, u32, [u64; ACTOR_WORDS]>,
    /// Which half is in use, 0 or 1.
    half: u32,
    /// Which kinds have a table in each half.
    set: [KindSet; 2],
}

/// A process that the kernel has noted itself is not noted again (`BPF_NOEXIST`).
const UNLESS_KNOWN: u64 = 1;

impl KernelTables {
    pub(super) fn take(attachments: &mut Attachments) -> Result<KernelTables, LiveError> {
        Ok(KernelTables {
            tables: attachments.take_map(kestrel_bpf::maps::FILTERS)?,
            actors: attachments.take_map(kestrel_bpf::maps::ACTORS)?,
            half: 0,
            set: [KindSet::NONE; 2],
        })
    }

    /// Fills the half that is not in use and gives its number, which is in use once the caller has said so to the kernel.
    pub(super) fn fill(&mut self, filter: &KernelFilter) -> Result<u32, LiveError> {
        let half = 1 - self.half;
        let mut set = KindSet::NONE;
        for kind in Kind::ALL {
            let table = filter.tables.get(&kind.number());
            let old = self.set.get(half as usize).is_some_and(|set| set.contains(kind));
            if table.is_none() && !old {
                continue;
            }
            let bytes = table.map_or([0; TABLE_SIZE], FilterTable::bytes);
            let place = half * u32::from(KINDS) + u32::from(kind.number());
            self.tables.set(place, bytes, 0).map_err(LiveError::map)?;
            if table.is_some() {
                set = set.with(kind);
            }
        }
        self.half = half;
        self.set[half as usize] = set;
        Ok(half)
    }

    /// Tells the kernel the names of processes that were there before its programs. One that has no room passes always.
    pub(super) fn note_processes(&mut self, table: &ProcessTable) {
        for process in table.processes().filter(|process| !process.ended) {
            let (id, image) = (process.facts.id, &process.image);
            // Where the path has more to it than the name, as that of a program in memory, rules may ask for that.
            let is_whole = image.executable.rsplit('/').next() == Some(&*image.name);
            if is_whole && let Some(actor) = Actor::of_executable(&image.executable) {
                // Known already, or the map is full: both are fine.
                let _ = self.actors.insert(id.pid, actor.words(id.start_ticks), UNLESS_KNOWN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_records_of_a_kind_cannot_have_fits_none() {
        use FilterTest::*;
        for (test, kind, fit) in [
            (FileName, Kind::FileLink, true),
            (FilePattern, Kind::LoadModule, false),
            (PathPrefix, Kind::Exec, false),
            (DestinationAddress, Kind::ConnectionAccepted, true),
            (DestinationPort, Kind::Bind, false),
            (SourcePort, Kind::Listen, true),
            (SourceAddress, Kind::FileOpen, false),
            (UserId, Kind::Exit, true),
        ] {
            assert_eq!(fits(test, kind), fit, "{test:?} {}", kind.name());
        }
    }

    #[test]
    fn what_nobody_wants_stays_in_the_kernel_though_others_live_from_it() {
        let filter = KernelFilter::of_packs([], KindSet::NONE.with(Kind::LookupResult));
        assert_eq!(filter.kinds().collect::<Vec<_>>(), [Kind::ConnectionAttempted, Kind::LookupRequested]);
    }
}
