//! Once a stream has settled, stage two allocates nothing but its matches.

mod packs;

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::cell::Cell;

use kestrel_core::matcher::MatcherOptions;
use kestrel_ir::event::Event;
use packs::{Pack, Random};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator that counts is the only witness of allocations")]
// SAFETY: every call goes to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, block: Block) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, block) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_settled_stream_allocates_nothing() {
    let mut pack = Pack::new();
    pack.sequence("a b never", "k", Some(5_000), Some("u"))
        .sequence("a !m b never", "i", Some(3_000), None)
        .sequence("never a", "ki", None, None)
        .sequence("a b b !m", "k", Some(2_000), None)
        .sample("a b never", "k");
    let joined = pack.same_id(0);
    let mut steps = vec![pack.step("a", "k"), pack.step("b", "i"), pack.step("never", "k")];
    steps[1].joined = Some(joined);
    pack.rule(kestrel_ir::model::RuleKind::Sequence(kestrel_ir::model::Sequence {
        steps,
        maxspan: Some(4_000),
        until: None,
    }));
    // Keys of all kinds come and go, by time and by `until`.
    let mut matcher = pack.matcher(MatcherOptions::default());
    let (mut random, mut event, mut out) = (Random::new(7), Event::new(), Vec::new());
    let (mut allocated, mut id) = (0, String::new());
    // The same events again and again, later each time: nothing that the last round needs was not there in the one before.
    const ROUND: u64 = 64 * 300;
    const ROUNDS: u64 = 5;
    for number in 0..ROUND * ROUNDS {
        if number % ROUND == 0 {
            random = Random::new(7);
        }
        let word = ["a", "a", "a", "b", "b", "m", "u", "x"][random.below(8)];
        let key = random.below(400) as i64;
        id.clear();
        for _ in 0..=random.below(40) {
            id.push_str("id");
        }
        pack.write(&mut event, (number as i64 * 2, number), &[word, "m"][..1 + random.below(2)], &[key], &[&id]);
        let before = COUNT.get();
        if matcher.queue(&event) {
            matcher.flush(&mut out);
        }
        if number >= ROUND * (ROUNDS - 1) && out.is_empty() {
            allocated += COUNT.get() - before;
        }
        out.clear();
    }
    let (counters, live) = matcher.sequence_counters();
    assert!(live > 500 && counters.expired > 1_000 && counters.ended_by_until > 100, "{live} keys, {counters:?}");
    assert_eq!((allocated, counters.evicted), (0, 0));
}

#[test]
fn keys_that_make_room_for_others_allocate_nothing() {
    let mut pack = Pack::new();
    pack.sequence("a b", "i", Some(1 << 50), None);
    let options =
        MatcherOptions { max_state_bytes: 4 << 20, max_keys_per_rule: usize::MAX, ..MatcherOptions::default() };
    let mut matcher = pack.matcher(options);
    let (mut event, mut out, mut allocated) = (Event::new(), Vec::new(), 0);
    for number in 0..100_000 {
        // Longer than what an entry holds.
        pack.write(&mut event, (number as i64, number), &["a"], &[], &[&format!("{number:060}")]);
        let before = COUNT.get();
        if matcher.queue(&event) {
            matcher.flush(&mut out);
        }
        allocated += (COUNT.get() - before) * u64::from(number >= 50_000);
    }
    assert!(matcher.sequence_counters().0.evicted_by_bytes > 80_000);
    assert_eq!(allocated, 0);
}
