//! Chunks through threads and back in order: one thread that fills them, some that work on them, the caller takes them.
//!
//! ```text
//!              ┌─▶ worker 0 ─┐   chunk 0, 3, 6 …
//! fill ─▶ feed ┼─▶ worker 1 ─┼─▶ take, in the order in which they were filled
//!   ▲          └─▶ worker 2 ─┘   chunk 2, 5, 8 …                                │
//!   └──────────────── empty chunks, to be filled again ◀────────────────────────┘
//! ```
//!
//! In: what fills a chunk, what a worker does with it, what takes it. Out: nothing, or that a thread panicked. Chunks go
//! round the workers in turn, so that their order needs no numbers. Every queue is bounded: whoever is too fast waits. When
//! a thread ends before its time its queues close, the others see that and end as well; nobody waits for ever.

use std::sync::mpsc::{Receiver, RecvError, SyncSender, TrySendError, sync_channel};
use std::thread;

use thiserror::Error;

/// How many chunks wait before a worker, and behind it.
const WAITING: usize = 2;

/// A thread of the pipeline ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a thread of the run failed, see above; what came before is complete")]
pub struct PipelineError;

/// Where filled chunks go.
pub struct Feed<C> {
    workers: Vec<SyncSender<Passing<C>>>,
    next: usize,
    empty: Receiver<Box<C>>,
}

enum Passing<C> {
    Chunk(Box<C>),
    /// No chunk comes any more. It takes the turn of a chunk, so that all before it have been taken.
    End,
}

impl<C: Default> Feed<C> {
    /// A chunk to fill: one that was taken before, as it was left, or a new one.
    pub fn chunk(&mut self) -> Box<C> {
        self.empty.try_recv().unwrap_or_default()
    }

    /// Hands a chunk on; `false` when nobody wants more. Waits while the next worker has enough to do.
    pub fn send(&mut self, chunk: Box<C>) -> bool {
        self.pass(Passing::Chunk(chunk))
    }

    fn pass(&mut self, passing: Passing<C>) -> bool {
        let worker = self.workers.get(self.next);
        self.next = (self.next + 1) % self.workers.len().max(1);
        worker.is_some_and(|worker| worker.send(passing).is_ok())
    }
}

/// Runs until `fill` has ended and all its chunks are taken, or until `take` says no. `fill` ends when [`Feed::send`] says
/// that nobody wants more. With no worker at all nothing is taken.
///
/// # Errors
/// When a thread panicked. Chunks that were filled before the one that is missing have been taken.
pub fn run<C, F, W, T>(fill: F, workers: Vec<W>, mut take: T) -> Result<(), PipelineError>
where
    C: Default + Send,
    F: FnOnce(&mut Feed<C>) + Send,
    W: FnMut(&mut C) + Send,
    T: FnMut(&mut C) -> bool,
{
    thread::scope(|scope| {
        // As many as there can be at a time, so that giving one back never waits.
        let (give_back, empty) = sync_channel(workers.len() * (2 * WAITING + 1) + 1);
        let (mut ways, mut done, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for worker in workers {
            let (way, work) = sync_channel(WAITING);
            let (finished, results) = sync_channel(WAITING);
            ways.push(way);
            done.push(results);
            threads.push(scope.spawn(move || drive(worker, &work, &finished)));
        }
        let mut feed = Feed { workers: ways, next: 0, empty };
        threads.push(scope.spawn(move || {
            fill(&mut feed);
            feed.pass(Passing::End);
        }));
        let complete = take_in_order(&done, &give_back, &mut take);
        // What still works finds its queue closed.
        drop((done, give_back));
        let panicked = threads.into_iter().map(|thread| thread.join()).filter(Result::is_err).count();
        if complete && panicked == 0 { Ok(()) } else { Err(PipelineError) }
    })
}

fn drive<C>(mut worker: impl FnMut(&mut C), work: &Receiver<Passing<C>>, done: &SyncSender<Passing<C>>) {
    while let Ok(mut passing) = work.recv() {
        if let Passing::Chunk(chunk) = &mut passing {
            worker(chunk);
        }
        if done.send(passing).is_err() {
            break;
        }
    }
}

/// Tells whether the end came, of the chunks or of the wish for them.
fn take_in_order<C>(
    workers: &[Receiver<Passing<C>>],
    give_back: &SyncSender<Box<C>>,
    take: &mut impl FnMut(&mut C) -> bool,
) -> bool {
    for worker in workers.iter().cycle() {
        match worker.recv() {
            Ok(Passing::Chunk(mut chunk)) => {
                if !take(&mut chunk) {
                    return true;
                }
                // Nobody fills it any more when the feed has ended.
                let (Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = give_back.try_send(chunk);
            }
            Ok(Passing::End) => return true,
            Err(RecvError) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Numbered {
        number: u64,
        square: u64,
    }

    fn count_to(end: u64) -> impl FnOnce(&mut Feed<Numbered>) + Send {
        move |feed| {
            for number in 0..end {
                let mut chunk = feed.chunk();
                chunk.number = number;
                if !feed.send(chunk) {
                    return;
                }
            }
        }
    }

    fn squares(workers: usize) -> Vec<impl FnMut(&mut Numbered) + Send> {
        (0..workers).map(|_| |chunk: &mut Numbered| chunk.square = chunk.number * chunk.number).collect()
    }

    #[test]
    fn chunks_are_taken_in_order_however_many_workers_there_are() {
        for workers in [1, 2, 3, 16] {
            for end in [0, 1, 2, 1000] {
                let mut taken = Vec::new();
                let take = |chunk: &mut Numbered| {
                    taken.push(chunk.square);
                    true
                };
                assert_eq!(run(count_to(end), squares(workers), take), Ok(()));
                assert!(taken.iter().copied().eq((0..end).map(|number| number * number)), "{workers} {end}");
            }
        }
    }

    #[test]
    fn who_wants_no_more_ends_the_run() {
        let mut taken = 0;
        let take = |_: &mut Numbered| {
            taken += 1;
            taken < 5
        };
        assert_eq!(run(count_to(u64::MAX), squares(3), take), Ok(()));
        assert_eq!(taken, 5);
    }

    #[test]
    fn a_worker_that_panics_ends_the_run_behind_what_came_before() {
        let worker = || {
            |chunk: &mut Numbered| {
                assert!(chunk.number != 50, "this worker fails on purpose");
            }
        };
        let mut taken = 0;
        let take = |chunk: &mut Numbered| {
            assert_eq!(chunk.number, taken);
            taken += 1;
            true
        };
        assert_eq!(run(count_to(u64::MAX), vec![worker(), worker()], take), Err(PipelineError));
        assert!(taken <= 50, "{taken}");
    }

    #[test]
    fn a_feed_that_panics_is_no_end() {
        let fill = |feed: &mut Feed<Numbered>| {
            count_to(7)(feed);
            panic!("this feed fails on purpose");
        };
        let mut taken = 0;
        let take = |_: &mut Numbered| {
            taken += 1;
            true
        };
        assert_eq!(run(fill, squares(2), take), Err(PipelineError));
        assert_eq!(taken, 7);
    }

    #[test]
    fn there_are_never_more_chunks_than_the_queues_hold() {
        static THERE: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        struct Counted;
        impl Default for Counted {
            fn default() -> Counted {
                MOST.fetch_max(THERE.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                Counted
            }
        }
        impl Drop for Counted {
            fn drop(&mut self) {
                THERE.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let fill = |feed: &mut Feed<Counted>| {
            for _ in 0..1000 {
                let chunk = feed.chunk();
                feed.send(chunk);
            }
        };
        let workers = vec![|_: &mut Counted| {}, |_: &mut Counted| {}];
        assert_eq!(run(fill, workers, |_| true), Ok(()));
        // In queues and with workers, one with each end, and as many that are empty.
        let (most, left) = (MOST.load(Ordering::Relaxed), THERE.load(Ordering::Relaxed));
        assert!(most <= 2 * (2 * (2 * WAITING + 1) + 2), "{most}");
        assert_eq!(left, 0);
    }
}
