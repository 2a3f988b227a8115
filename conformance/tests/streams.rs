//! Random rules over random streams: every runtime finds the same matches, and of patterns those of the batch evaluator.

use std::time::Instant;

use kestrel_conformance::agree::ask::every_runtime;
use kestrel_conformance::agree::found::FoundCase;
use kestrel_conformance::agree::shrink::minimise;
use kestrel_conformance::agree::{Tally, streams};
use kestrel_conformance::generate::seed;

/// How many packs a run compares.
const PACKS: u64 = 30;

#[test]
fn runtimes_and_the_batch_evaluator_find_the_same_matches() {
    let seed = seed(2);
    println!("KESTREL_SEED={seed}");
    let start = Instant::now();
    let mut tally = Tally::default();
    for number in 0..PACKS {
        let finding = streams::pack(seed, number, &every_runtime, &mut tally)
            .unwrap_or_else(|error| panic!("KESTREL_SEED={seed}, pack {number}: {error:#}"));
        if let Some(finding) = finding {
            let (case, difference) = minimise(finding, &every_runtime);
            let case = FoundCase::new("found", &difference.to_string(), &case).and_then(|case| case.to_toml());
            let case = case.unwrap_or_else(|error| format!("{error:#}"));
            panic!("cargo xtask agree --seed {seed} --stream-pack {number}\n{difference}\n{case}");
        }
    }
    println!("{tally}{:?}", start.elapsed());
    assert!(tally.streams > 2_000, "{} streams", tally.streams);
    assert!(tally.matches > tally.stream_rules, "the streams have matches, found only {}", tally.matches);
}
