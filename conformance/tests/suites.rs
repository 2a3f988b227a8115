//! Every suite on every runtime.

use kestrel_conformance::suite::{Suite, suite_files};
use kestrel_conformance::{CaseOutcome, RUNTIMES, run_case};

/// The cases that some runtime cannot run: suite, case and runtime. Empty: every runtime runs every case.
const SKIPPED: [(&str, &str, &str); 0] = [];

#[test]
fn every_case_gives_the_same_on_every_runtime() {
    let (mut cases, mut failures, mut skips) = (0, Vec::new(), Vec::new());
    for path in suite_files().expect("the suites") {
        let suite = Suite::load(&path).expect("a suite");
        for case in &suite.cases {
            cases += 1;
            match run_case(&suite, case).unwrap_or_else(|error| CaseOutcome::Failed(format!("{error:#}"))) {
                CaseOutcome::Passed { skipped } => {
                    for (runtime, reason) in skipped {
                        println!("{}/{} is skipped on {runtime}: {reason}", suite.name, case.name);
                        skips.push((suite.name.clone(), case.name.clone(), runtime));
                    }
                }
                CaseOutcome::Failed(reason) => failures.push(format!("{}/{}: {reason}", suite.name, case.name)),
            }
        }
    }
    println!("{cases} cases on {} runtimes", RUNTIMES.len());
    assert!(cases > 0, "there are no cases");
    assert!(failures.is_empty(), "{} of {cases} cases fail:\n{}", failures.len(), failures.join("\n"));
    let skips: Vec<(&str, &str, &str)> =
        skips.iter().map(|(suite, case, runtime)| (suite.as_str(), case.as_str(), runtime.as_str())).collect();
    assert_eq!(skips, SKIPPED, "the skip table tells all that is skipped");
}
