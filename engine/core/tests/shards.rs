//! Shards are independent: in whatever order or by however many threads they work, the matches are the matcher's, to the
//! byte.

mod packs;

use kestrel_core::matcher::{Match, MatcherOptions};
use kestrel_core::ranked::Ranked;
use kestrel_core::router::RoutedBatch;
use kestrel_core::sequence::SequenceCounters;
use kestrel_core::shard::Shard;
use kestrel_ir::event::Event;
use kestrel_ir::interp::{Interpreter, Scratch};
use packs::{Pack, Random};

const WORDS: [&str; 6] = ["a", "b", "c", "m", "n", "u"];
const IDS: [&str; 4] = ["x", "y", "a longer text that does not fit into the entry of its key", ""];

/// Rules of all kinds over few words, so that they meet often.
fn pack(random: &mut Random) -> Pack {
    let mut pack = Pack::new();
    let keys = ["k", "i", "ki", "K", "Ki", ""];
    for _ in 0..8 {
        let keys = keys[random.below(keys.len())];
        let span = Some(1 + random.below(12) as i64);
        let until = random.once_in(3).then_some("u");
        match random.below(10) {
            0 => pack.sequence("a b", keys, None, until),
            1 => pack.sequence("a b c", keys, span, until),
            2 => pack.sequence("a a a b", keys, span, until),
            3 => pack.sequence("a b !m", keys, span, until),
            4 => pack.sequence("!m a b", keys, span, until),
            5 => pack.sequence("!m a !n", keys, span, until),
            6 => pack.sequence("a !m b !n c", keys, span, until),
            7 => pack.sample("a b c", keys),
            8 => pack.event_rule("b"),
            _ => {
                // Terms with different key fields, and one that looks back.
                let mut steps = vec![pack.step("a", "k"), pack.step("b", "K"), pack.step("c", "k")];
                if random.once_in(2) {
                    steps[1].joined = Some(pack.same_id(0));
                }
                let until = until.map(|word| pack.step(word, "k"));
                let sequence = kestrel_ir::model::Sequence { steps, maxspan: None, until };
                pack.rule(kestrel_ir::model::RuleKind::Sequence(sequence))
            }
        };
    }
    pack
}

fn events(random: &mut Random, pack: &Pack) -> Vec<Event> {
    let mut timestamp = 1_000;
    (0..120)
        .map(|ordinal| {
            timestamp += [0, 0, 1, 1, 2, 5, 40, -3][random.below(8)];
            let words: Vec<&str> = (0..1 + random.below(3)).map(|_| WORDS[random.below(WORDS.len())]).collect();
            let keys: Vec<i64> = (0..[0, 1, 1, 1, 2, 3][random.below(6)]).map(|_| random.below(5) as i64).collect();
            let ids: Vec<&str> = (0..[0, 1, 1, 2][random.below(4)]).map(|_| IDS[random.below(IDS.len())]).collect();
            let mut event = Event::new();
            pack.write(&mut event, (timestamp, ordinal), &words, &keys, &ids);
            event
        })
        .collect()
}

fn options(random: &mut Random) -> MatcherOptions {
    let mut options = MatcherOptions { traced_endings: 8, ..MatcherOptions::default() };
    match random.below(4) {
        0 => options.max_keys_per_rule = 16,
        1 => options.max_keys = 16,
        2 => options.max_state_bytes = 16 * 1_500,
        _ => options.max_unused = Some(6),
    }
    options.max_waiting_per_key = 1 + random.below(3);
    options
}

/// How the shards work of a batch is done.
#[derive(Clone, Copy)]
enum Way {
    /// One after the other, in another order each time.
    Shuffled,
    /// By so many threads, each of which owns some.
    Threads(usize),
}

fn run_shards(
    shards: &mut [Shard],
    routed: &RoutedBatch,
    interpreter: &Interpreter,
    (way, random): (Way, &mut Random),
    ranked: &mut Vec<Ranked>,
) {
    match way {
        Way::Shuffled => {
            let mut order: Vec<&mut Shard> = shards.iter_mut().collect();
            while !order.is_empty() {
                let shard = order.swap_remove(random.below(order.len()));
                shard.run(routed, interpreter, &Scratch::default(), ranked);
            }
        }
        Way::Threads(threads) => std::thread::scope(|scope| {
            let size = shards.len().div_ceil(threads).max(1);
            let workers: Vec<_> = shards
                .chunks_mut(size)
                .map(|owned| {
                    scope.spawn(move || {
                        let (mut found, scratch) = (Vec::new(), Scratch::default());
                        owned.iter_mut().for_each(|shard| shard.run(routed, interpreter, &scratch, &mut found));
                        found
                    })
                })
                .collect();
            workers.into_iter().rev().for_each(|worker| ranked.extend(worker.join().expect("it runs")));
        }),
    }
}

/// The matches when shards work on their own, in batches of random lengths.
fn apart(
    pack: &Pack,
    events: &[Event],
    options: MatcherOptions,
    way: Way,
    random: &mut Random,
) -> (Vec<Match>, SequenceCounters) {
    let (mut one, two, _) = pack.matcher(options).into_parts();
    let (mut front, mut shards, mut merge) = two.into_parts();
    let (mut routed, mut ranked, mut out) = (RoutedBatch::default(), Vec::new(), Vec::new());
    let mut rest = events;
    while !rest.is_empty() {
        let (now, later) = rest.split_at((1 + random.below(40)).min(rest.len()));
        rest = later;
        now.iter().for_each(|event| {
            one.queue(event);
        });
        one.evaluate();
        front.take(one.batch(), |_| false, None, &mut routed, &mut ranked);
        run_shards(&mut shards, &routed, one.interpreter(), (way, random), &mut ranked);
        merge.tell(&mut ranked, one.interpreter(), &mut out);
        one.clear();
    }
    shards.iter_mut().rev().for_each(|shard| shard.finish(&mut ranked));
    merge.tell(&mut ranked, one.interpreter(), &mut out);
    let mut counters = SequenceCounters::default();
    for rule in 0..pack.ir.rules.len() {
        counters.keys_cut += front.keys_cut(rule);
        shards.iter().for_each(|shard| counters += shard.counters(rule));
    }
    (out, counters)
}

#[test]
fn shards_in_any_order_and_any_number_of_threads_tell_the_same() {
    let (mut told, mut evicted) = (0, SequenceCounters::default());
    for seed in 0..120 {
        let mut random = Random::new(seed);
        let pack = pack(&mut random);
        let events = events(&mut random, &pack);
        let options = options(&mut random);
        let mut matcher = pack.matcher(options);
        let mut expected = Vec::new();
        events.iter().for_each(|event| matcher.process(event, &mut expected));
        matcher.finish(&mut expected);
        let (counters, _) = matcher.sequence_counters();
        let threads = 1 + seed as usize % 16;
        for way in [Way::Shuffled, Way::Threads(threads)] {
            let (found, its_counters) = apart(&pack, &events, options, way, &mut random);
            let lines = |matches: &[Match]| matches.iter().map(packs::describe).collect::<Vec<_>>();
            assert_eq!(lines(&found), lines(&expected), "seed {seed}");
            assert!(found == expected, "seed {seed}: the evidence differs");
            assert_eq!(its_counters, counters, "seed {seed}");
        }
        told += expected.len();
        evicted += counters;
    }
    assert!(told > 5_000, "{told} matches");
    for (name, count) in [
        ("rule keys", evicted.evicted_by_rule_keys),
        ("keys", evicted.evicted_by_keys),
        ("bytes", evicted.evicted_by_bytes),
        ("waiting", evicted.dropped_waiting),
        ("unused", evicted.unused),
        ("until", evicted.ended_by_until),
        ("missing", evicted.discarded_by_missing),
        ("expired", evicted.expired),
        ("overwritten", evicted.overwritten),
    ] {
        assert!(count > 20, "{name}: {count}");
    }
}

#[test]
fn parts_can_be_handed_to_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<Shard>();
    is_send::<RoutedBatch>();
    is_sync::<RoutedBatch>();
    is_send::<Vec<Ranked>>();
    is_sync::<Interpreter>();
}
