//! Random packs over random events: every runtime, in every way of asking, gives what the interpreter gives; what a run
//! finds is made small, kept and run again.

use std::time::Instant;

use anyhow::Result;
use kestrel_conformance::agree::ask::{Contender, every_runtime};
use kestrel_conformance::agree::found::{self, FoundCase, FoundCases};
use kestrel_conformance::agree::run::{Options, Pack, run};
use kestrel_conformance::agree::tally::KINDS;
use kestrel_conformance::agree::{Tally, pairs, shrink::minimise};
use kestrel_conformance::generate::seed;
use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::runtime::{Interpreting, Runtime, RuntimeError};
use kestrel_ir::frame::{Frame, Slot};
use kestrel_ir::model::{Ir, PredicateId};
use kestrel_schema::FieldType;

/// How many packs a run compares, each over [`EVENTS`] events.
const PACKS: u64 = 60;
const EVENTS: usize = 150;

#[test]
fn runtimes_agree_on_random_packs_and_events() {
    let seed = seed(1);
    println!("KESTREL_SEED={seed}");
    let start = Instant::now();
    let mut tally = Tally::default();
    for number in 0..PACKS {
        let finding = pairs::pack(seed, number, EVENTS, &every_runtime, &mut tally)
            .unwrap_or_else(|error| panic!("KESTREL_SEED={seed}, pack {number}: {error:#}"));
        if let Some(finding) = finding {
            let (case, difference) = minimise(finding, &every_runtime);
            let case = FoundCase::new("found", &difference.to_string(), &case).and_then(|case| case.to_toml());
            let case = case.unwrap_or_else(|error| format!("{error:#}"));
            panic!("cargo xtask agree --seed {seed} --pack {number}\n{difference}\n{case}");
        }
    }
    println!("{tally}{:?}", start.elapsed());
    assert!(tally.pairs > 100_000, "{} pairs", tally.pairs);
    let percent = tally.percent_held();
    assert!((5.0..=95.0).contains(&percent), "{percent} % of the pairs are true");
    assert!(tally.dispatched > tally.held && tally.dispatched < tally.pairs, "dispatch picks some and leaves some");
    for kind in KINDS {
        let counted = tally.atoms.get(kind).copied().unwrap_or_default();
        assert!(counted.held > 0 && counted.held < counted.asked, "`{kind}` has both answers: {counted:?}");
        assert!(counted.decisive > 0, "`{kind}` decides something: {counted:?}");
    }
    assert_eq!(tally.functions.len(), 20, "every function is called: {:?}", tally.functions.keys());
    let undecided = tally.functions.iter().filter(|(_, counted)| counted.held == 0 || counted.held == counted.asked);
    let undecided: Vec<_> = undecided.collect();
    assert!(undecided.len() <= 4, "computations that call these have one answer only: {undecided:?}");
}

#[test]
fn found_cases_stay_settled() {
    let cases = FoundCases::load(&found::path()).expect("the found cases");
    println!("{} cases", cases.cases.len());
    for case in &cases.cases {
        let difference = case.difference(&every_runtime).expect("a case");
        assert_eq!(difference.map(|difference| difference.to_string()), None, "{}", case.name);
    }
}

/// A runtime that is wrong about every event with a text of three bytes in a top-level field.
struct Broken {
    right: Interpreting,
}

impl Runtime for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError> {
        let texts = atoms.layout().iter().filter(|(_, field)| field.field_type == FieldType::Keyword);
        let mut slots = texts.flat_map(|(field, _)| frame.values(atoms.layout(), field).iter());
        let mut right = Vec::new();
        self.right.evaluate(frame, atoms, cache, candidates, &mut right)?;
        if slots.any(|slot| matches!(slot, Slot::Text(text) if text.len() == 3)) {
            hits.extend(candidates.iter().filter(|candidate| !right.contains(candidate)));
        } else {
            hits.extend(right);
        }
        Ok(())
    }
}

/// A runtime that panics over an integer below -1000 in a top-level field.
struct Panicking {
    right: Interpreting,
}

impl Runtime for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn evaluate(
        &mut self,
        frame: Frame<'_>,
        atoms: &Atoms,
        cache: &mut AtomCache,
        candidates: &[PredicateId],
        hits: &mut Vec<PredicateId>,
    ) -> Result<(), RuntimeError> {
        for (field, _) in atoms.layout().iter().filter(|(_, field)| field.field_type == FieldType::Long) {
            let small = |slot| matches!(slot, Slot::Integer(value) if value < -1000);
            if frame.values(atoms.layout(), field).iter().any(small) {
                // A panic without the noise of the hook.
                std::panic::resume_unwind(Box::new("the broken runtime of a test"));
            }
        }
        self.right.evaluate(frame, atoms, cache, candidates, hits)
    }
}

fn contender(runtime: impl Runtime + 'static) -> Result<Vec<Contender>> {
    Ok(vec![Contender { name: runtime.name().to_owned(), runtime: Box::new(runtime) }])
}

fn broken(ir: &Ir) -> Result<Vec<Contender>> {
    contender(Broken { right: Interpreting::new(ir)? })
}

fn panicking(ir: &Ir) -> Result<Vec<Contender>> {
    contender(Panicking { right: Interpreting::new(ir)? })
}

/// The options of a run over one pack that keeps its findings in a file of the test's own.
fn one_pack(pack: Pack, file: &str) -> Options {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let save = folder.join(file);
    if save.exists() {
        std::fs::remove_file(&save).expect("an old file of this test");
    }
    let (only, save) = (Some(pack), Some(save));
    Options { pairs: 0, streams: 0, time: None, seed: 7, threads: 1, events: 60, only, save }
}

#[test]
fn a_broken_runtime_is_found_made_small_and_kept() {
    for (pack, file, contenders) in [
        (Pack::Pairs(0), "broken_pairs.toml", &broken as &(dyn Fn(&Ir) -> Result<Vec<Contender>> + Sync)),
        (Pack::Streams(4), "broken_streams.toml", &broken),
        (Pack::Pairs(1), "panicking.toml", &panicking),
    ] {
        let options = one_pack(pack, file);
        let told = std::sync::Mutex::new(Vec::new());
        let tally = run(&options, contenders, &|line| told.lock().expect("one thread").push(line.to_owned()));
        assert_eq!(tally.differences, 1, "{file}");
        let told = told.into_inner().expect("one thread").join("\n");
        assert!(told.contains("cargo xtask agree --seed 7 --"), "{told}");
        let path = options.save.expect("a file");
        let kept = FoundCases::load(&path).expect("a kept case");
        let [case] = kept.cases.as_slice() else { panic!("{file}: {} cases", kept.cases.len()) };
        println!("{}", case.to_toml().expect("text"));
        assert!(told.contains(&case.ir.lines().next().unwrap_or_default().to_owned()), "the report holds the case");

        let small = case.case().expect("it reads back");
        let values: usize = small.events.iter().map(|event| event.values.len()).sum();
        assert!(small.ir.predicates.len() <= 3 && small.ir.atoms.len() <= 3, "{file} is not small: {}", case.ir);
        assert!(small.events.len() <= 2 && values <= 4, "{file} is not small: {:?}", case.events);
        // Kept, it fails with the broken runtime and passes with the others.
        assert!(case.difference(contenders).expect("a case").is_some(), "{file}");
        assert_eq!(case.difference(&every_runtime).expect("a case"), None, "{file}");
        // Saying it again keeps one.
        run(&Options { save: Some(path.clone()), ..one_pack(pack, "other.toml") }, contenders, &|_| {});
        assert_eq!(FoundCases::load(&path).expect("a kept case").cases.len(), 1);
    }
}

#[test]
fn a_found_case_fails_when_the_interpreter_changes_its_mind() {
    let options = one_pack(Pack::Pairs(0), "changed.toml");
    run(&options, &broken, &|_| {});
    let kept = FoundCases::load(&options.save.expect("a file")).expect("a kept case");
    let mut case = kept.cases[0].clone();
    let holds = case.holds.as_mut().expect("pairs");
    if holds[0].is_empty() {
        holds[0].push(0);
    } else {
        holds[0].clear();
    }
    let difference = case.difference(&every_runtime).expect("a case").expect("a difference");
    assert_eq!(difference.runtime, "interpreter");
}

#[test]
fn a_pack_is_the_same_for_any_number_of_threads() {
    let options = |threads| Options {
        pairs: 20_000,
        streams: 0,
        time: None,
        seed: 3,
        threads,
        events: 40,
        only: None,
        save: None,
    };
    let contenders = |ir: &Ir| contender(Interpreting::new(ir)?);
    let one = run(&options(1), &contenders, &|_| {});
    let mut sum = Tally::default();
    for number in 0..one.packs {
        let only = Some(Pack::Pairs(number));
        sum.add(&run(&Options { only, ..options(2) }, &contenders, &|_| {}));
    }
    assert_eq!(one, sum);
}
