//! What stage two remembers is bounded, what leaves is counted by reason, and whoever asks is told how far keys came.

mod packs;

use kestrel_core::key::KeyPart;
use kestrel_core::matcher::MatcherOptions;
use kestrel_core::progress::EndReason;
use kestrel_ir::event::Event;
use kestrel_ir::model::RuleIndex;
use packs::Pack;

const SECOND: i64 = 1_000_000_000;

#[test]
fn spraying_keys_stays_within_the_limit_of_bytes() {
    let mut pack = Pack::new();
    pack.sequence("a b", "i", Some(3_600 * SECOND), None).sequence("a c !m", "k", Some(3_600 * SECOND), None);
    let options =
        MatcherOptions { max_state_bytes: 8 << 20, max_keys_per_rule: usize::MAX, ..MatcherOptions::default() };
    let mut matcher = pack.matcher(options);
    let (mut event, mut out, mut largest) = (Event::new(), Vec::new(), 0);
    // The victim began before the spray, and is what the attacker wants to be forgotten.
    matcher.process(&pack.event((0, 0), &["a"], -1), &mut out);
    for number in 0..1_000_000_u64 {
        let id = format!("{number:x}");
        pack.write(&mut event, (number as i64, number + 1), &["a"], &[number as i64], &[&id]);
        if matcher.queue(&event) {
            matcher.flush(&mut out);
            largest = largest.max(matcher.state().bytes);
            assert!(matcher.state().bytes <= options.max_state_bytes, "at {number}: {:?}", matcher.state());
        }
    }
    matcher.flush(&mut out);
    let (counters, live) = matcher.sequence_counters();
    let state = matcher.state();
    assert_eq!(counters.started, 2_000_001);
    assert_eq!(counters.evicted_by_bytes + live as u64, counters.started, "{counters:?}");
    assert_eq!((counters.evicted, counters.evicted_by_rule_keys), (counters.evicted_by_bytes, 0));
    assert!(largest > options.max_state_bytes * 9 / 10, "the limit is used: {largest}");
    let tables = options.max_state_bytes / 8;
    assert!(state.reserved_bytes < options.max_state_bytes + tables, "{state:?}");
    assert!(matcher.explain(RuleIndex(1), Some(&[KeyPart::Integer(-1)]), 1).is_empty(), "the victim had to leave");
}

#[test]
fn long_keys_count_as_bytes() {
    let mut pack = Pack::new();
    pack.sequence("a b", "i", None, None);
    let options = MatcherOptions { max_state_bytes: 16 << 20, ..MatcherOptions::default() };
    let mut matcher = pack.matcher(options);
    let (mut event, mut out) = (Event::new(), Vec::new());
    for number in 0..200_u64 {
        let id = format!("{number}{}", "x".repeat(400_000));
        pack.write(&mut event, (number as i64, number), &["a"], &[], &[&id]);
        matcher.process(&event, &mut out);
        assert!(matcher.state().bytes <= options.max_state_bytes);
    }
    assert!(matcher.sequence_counters().0.evicted_by_bytes > 100);
    assert!(matcher.state().reserved_bytes < options.max_state_bytes + (1 << 20), "{:?}", matcher.state());
}

#[test]
fn the_key_used_least_recently_leaves_and_is_told() {
    let mut pack = Pack::new();
    pack.sequence("a b c", "k", None, None);
    // One key for each shard: of the keys that share a shard the last one stays.
    let options = MatcherOptions { max_keys_per_rule: 16, traced_endings: 100, ..MatcherOptions::default() };
    let events: Vec<(i64, &str, i64)> = (0..200).map(|number| (number, "a", number)).collect();
    let (_, matcher) = pack.matches(options, &events);
    let (counters, live) = matcher.sequence_counters();
    assert_eq!(counters.evicted_by_rule_keys, 200 - live as u64);
    assert_eq!(live, 16);
    let endings = matcher.endings(RuleIndex(0), 1_000);
    assert_eq!(endings.len() as u64, counters.evicted);
    assert!(
        endings
            .iter()
            .all(|ending| ending.reason == EndReason::Evicted && ending.term == 0 && ending.time > ending.first)
    );
    let oldest = &endings[0];
    assert!(matcher.explain(RuleIndex(0), Some(&oldest.key), 10).is_empty());
    assert_eq!(matcher.explain(RuleIndex(0), None, 1_000).len(), 16);
    assert_eq!(matcher.rule_counters(RuleIndex(0)), counters);
}

#[test]
fn candidates_that_wait_are_bounded_for_each_key() {
    let mut pack = Pack::new();
    pack.sequence("a b !m", "k", Some(1_000), None);
    let options = MatcherOptions { max_waiting_per_key: 3, ..MatcherOptions::default() };
    let events: Vec<(i64, &str, i64)> = (0..10).map(|number| (number, ["a", "b"][number as usize % 2], 7)).collect();
    let (told, mut matcher) = pack.matches(options, &events);
    assert!(told.is_empty());
    assert_eq!(matcher.explain(RuleIndex(0), None, 1)[0].waiting, 3);
    assert_eq!(matcher.sequence_counters().0.dropped_waiting, 2);
    let mut out = Vec::new();
    matcher.finish(&mut out);
    let end = u64::MAX;
    let told: Vec<String> = out.iter().map(packs::describe).collect();
    assert_eq!(told, [4, 6, 8].map(|first| format!("0: {first} {} - by 7 at {end}", first + 1)));
    assert_eq!(matcher.state().keys, 0);
}

#[test]
fn keys_without_maxspan_end_when_nobody_uses_them_if_the_options_say_so() {
    let mut pack = Pack::new();
    pack.sequence("a b", "k", None, None).sample("a c", "k").sequence("a b", "k", Some(1_000), None);
    let events = [(0, "a", 1), (50, "a", 2), (90, "a", 1), (151, "x", 0), (160, "b", 1), (300, "x", 0)];
    let options = MatcherOptions { max_unused: Some(100), traced_endings: 9, ..MatcherOptions::default() };
    let (told, matcher) = pack.matches(options, &events);
    assert_eq!(told, ["0: 2 4 by 1 at 4", "2: 2 4 by 1 at 4"]);
    let unused: Vec<_> = (0..2).map(|rule| matcher.rule_counters(RuleIndex(rule)).unused).collect();
    assert_eq!(unused, [1, 2]);
    assert_eq!(matcher.endings(RuleIndex(0), 9).last().expect("an ending").reason, EndReason::Unused);
    let (_, matcher) = pack.matches(MatcherOptions::default(), &events);
    assert_eq!(matcher.sequence_counters().0.unused, 0);
}

#[test]
fn what_waited_is_told_by_deadline_before_what_the_event_completes() {
    let mut pack = Pack::new();
    pack.sequence("a !m", "k", Some(20), None).sequence("b !m", "k", Some(10), None).event_rule("x");
    let events = [(0, "a", 1), (9, "b", 2), (10, "b", 1), (11, "a", 3), (40, "x", 0), (41, "x", 0)];
    let (told, _) = pack.matches(MatcherOptions::default(), &events);
    assert_eq!(
        told,
        [
            "1: 1 - by 2 at 4",
            "0: 0 - by 1 at 4",
            "1: 2 - by 1 at 4",
            "0: 3 - by 3 at 4",
            "2: 4 by  at 4",
            "2: 5 by  at 5"
        ]
    );
}

#[test]
fn a_shard_without_work_tells_at_the_first_event_behind_the_deadline() {
    let mut pack = Pack::new();
    pack.sequence("a !m", "k", Some(10), None);
    let mut matcher = pack.matcher(MatcherOptions::default());
    let mut out = Vec::new();
    // All in one batch, and years pass within it.
    for (ordinal, (timestamp, word)) in
        [(0, "a"), (10, "x"), (11, "x"), (1 << 60, "a"), (i64::MAX - 1, "x")].iter().enumerate()
    {
        matcher.queue(&pack.event((*timestamp, ordinal as u64), &[word], 1));
    }
    matcher.flush(&mut out);
    assert_eq!(out.iter().map(packs::describe).collect::<Vec<_>>(), ["0: 0 - by 1 at 2", "0: 3 - by 1 at 4"]);
}

#[test]
fn an_event_beyond_the_bound_asks_event_rules_alone() {
    let mut pack = Pack::new();
    pack.sequence("a b", "k", Some(100), None).event_rule("b");
    let mut matcher = pack.matcher(MatcherOptions::default());
    let mut out = Vec::new();
    matcher.queue(&pack.event((1_000, 0), &["a"], 1));
    matcher.queue_late(&pack.event((5_000, 1), &["b"], 1));
    matcher.queue(&pack.event((1_050, 2), &["b"], 1));
    matcher.flush(&mut out);
    let told: Vec<String> = out.iter().map(packs::describe).collect();
    assert_eq!(told, ["1: 1 by  at 1", "0: 0 2 by 1 at 2", "1: 2 by  at 2"]);
    let counters = matcher.counters();
    assert_eq!((counters.events, counters.late_beyond_bound, counters.late, counters.matches), (3, 1, 0, 3));
}

#[test]
fn progress_and_endings_tell_why_nothing_matched() {
    let mut pack = Pack::new();
    pack.sequence("a !m b c", "k", Some(10), Some("u"));
    let options = MatcherOptions { traced_endings: 16, ..MatcherOptions::default() };
    let events = [
        (0, "a", 1),
        (1, "a", 1),
        (2, "b", 1),
        (3, "a", 2),
        (4, "u", 2),
        (5, "a", 3),
        (6, "m", 3),
        (7, "b", 3),
        (8, "c", 3),
        (9, "a", 1),
        (14, "x", 0),
    ];
    let (told, matcher) = pack.matches(options, &events);
    assert!(told.is_empty());
    let progress = matcher.explain(RuleIndex(0), Some(&[KeyPart::Integer(1)]), 10);
    let partials: Vec<(usize, i64, i64)> =
        progress[0].partials.iter().map(|partial| (partial.term, partial.first, partial.last)).collect();
    assert_eq!((partials, progress[0].deadline), (vec![(0, 9, 9)], Some(19)));
    let endings: Vec<(i64, usize, EndReason)> =
        matcher.endings(RuleIndex(0), 16).iter().map(|ending| (ending.time, ending.term, ending.reason)).collect();
    let expected = [
        (1, 0, EndReason::Overwritten),
        (4, 0, EndReason::Until),
        (8, 3, EndReason::MissingCame),
        (14, 2, EndReason::Expired),
    ];
    assert_eq!(endings, expected);
}
