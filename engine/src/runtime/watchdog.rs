//! The watchdog: one thread of the process that tells runtimes that time passes while their code runs.
//!
//! In: callbacks, and where evaluations begin and end. Out: a callback's call every [`TICK`] while some evaluation of its
//! runtime is inside. It knows no runtime and stops nothing itself: Wasm has it advance an epoch, LuaJIT has it set a hook.
//!
//! ```text
//! register(callback) ─▶ Registration ─watch()─▶ Watch (one per thread) ─enter()─▶ Inside … dropped
//!                                                  │ a count: odd is inside
//! thread: ──tick──▶ looks at all counts ──▶ callbacks of those inside ──▶ nothing moved for long? parks
//! ```
//!
//! Time decides nothing but when a runaway is stopped. The interpreter then answers for its event, and every answer of a
//! pack's code that is slower than the limit equals the interpreter's anyway, so that results do not depend on clocks.
//!
//! An evaluation pays for two stores and a load, none of them shared with another thread's. The thread starts with the
//! first registration and parks when there was no evaluation for [`QUIET_TICKS`]; the next evaluation wakes it.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::Duration;

/// How often the thread looks.
pub const TICK: Duration = Duration::from_millis(10);
/// After so many ticks without any evaluation the thread parks.
const QUIET_TICKS: u32 = 16;

/// A callback that is registered until this is dropped. When the drop returns, the callback is not running any more.
#[derive(Debug)]
pub struct Registration {
    entry: Arc<Entry>,
    watchdog: &'static Watchdog,
}

/// The evaluations of one thread.
#[derive(Debug)]
pub struct Watch {
    count: Arc<AtomicU64>,
    watchdog: &'static Watchdog,
}

/// An evaluation under way, which ends when this is dropped.
#[derive(Debug)]
pub struct Inside<'w> {
    count: &'w AtomicU64,
}

/// Has `callback` called every [`TICK`] while an evaluation of this registration is inside. It runs on the watchdog's
/// thread and holds up all other callbacks: it sets a flag or so and neither blocks nor registers anything.
///
/// # Errors
/// When the thread cannot be started.
pub fn register(callback: impl Fn() + Send + Sync + 'static) -> std::io::Result<Registration> {
    static WATCHDOG: OnceLock<&'static Watchdog> = OnceLock::new();
    if let Some(watchdog) = WATCHDOG.get() {
        return Ok(watchdog.register(callback));
    }
    let started = Watchdog::start()?;
    // Two first registrations at the same time start two threads, and one of them sleeps for ever.
    Ok(WATCHDOG.get_or_init(|| started).register(callback))
}

impl Registration {
    /// A handle for one thread, with which it tells its evaluations.
    pub fn watch(&self) -> Watch {
        let count = Arc::new(AtomicU64::new(0));
        let mut watched = lock(&self.entry.watched);
        watched.retain(|one| one.count.strong_count() > 0);
        watched.push(Watched { count: Arc::downgrade(&count), last: 0 });
        Watch { count, watchdog: self.watchdog }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.watchdog.entries).retain(|entry| !Arc::ptr_eq(entry, &self.entry));
    }
}

impl Watch {
    /// Tells that an evaluation begins. It ends when the answer is dropped.
    #[inline]
    pub fn enter(&mut self) -> Inside<'_> {
        step(&self.count);
        if self.watchdog.parked.load(Ordering::Relaxed) {
            self.watchdog.wake();
        }
        Inside { count: &self.count }
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        step(self.count);
    }
}

/// One thread alone writes a count, so a load and a store do where others would need one locked instruction.
#[inline]
fn step(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[derive(Debug)]
struct Watchdog {
    entries: Mutex<Vec<Arc<Entry>>>,
    /// Set when the thread is about to park, or has.
    parked: AtomicBool,
    thread: OnceLock<Thread>,
}

struct Entry {
    callback: Box<dyn Fn() + Send + Sync>,
    watched: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
struct Watched {
    count: Weak<AtomicU64>,
    /// The count at the last tick.
    last: u64,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Entry").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// A watchdog with a thread of its own, which lasts as long as the process.
    fn start() -> std::io::Result<&'static Watchdog> {
        let watchdog: &'static Watchdog = Box::leak(Box::new(Watchdog {
            entries: Mutex::default(),
            parked: AtomicBool::new(false),
            thread: OnceLock::new(),
        }));
        let thread = std::thread::Builder::new().name("kestrel-watchdog".to_owned()).spawn(|| watchdog.run())?;
        watchdog.thread.get_or_init(|| thread.thread().clone());
        Ok(watchdog)
    }

    fn register(&'static self, callback: impl Fn() + Send + Sync + 'static) -> Registration {
        let entry = Arc::new(Entry { callback: Box::new(callback), watched: Mutex::default() });
        lock(&self.entries).push(Arc::clone(&entry));
        Registration { entry, watchdog: self }
    }

    #[cold]
    fn wake(&self) {
        if self.parked.swap(false, Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    fn run(&self) {
        let mut quiet = 0;
        loop {
            std::thread::sleep(TICK);
            quiet = if self.tick() { 0 } else { quiet + 1 };
            if quiet < QUIET_TICKS {
                continue;
            }
            self.parked.store(true, Ordering::Relaxed);
            // Whoever entered and did not see that yet has been at it for a tick when we look once more: stores are
            // seen within nanoseconds. Whoever sees it unparks this thread, which then does not park.
            std::thread::sleep(TICK);
            if !self.tick() {
                std::thread::park();
            }
            self.parked.store(false, Ordering::Relaxed);
            quiet = 0;
        }
    }

    /// Calls the callbacks of those inside. Tells whether anything was evaluated since the last tick.
    fn tick(&self) -> bool {
        let mut active = false;
        for entry in lock(&self.entries).iter() {
            let mut inside = false;
            for watched in lock(&entry.watched).iter_mut() {
                let count = watched.count.upgrade().map_or(0, |count| count.load(Ordering::Relaxed));
                inside |= count % 2 == 1;
                active |= count % 2 == 1 || count != watched.last;
                watched.last = count;
            }
            if inside {
                // A callback that panics must not take the others' watchdog with it; the panic hook has told it.
                let _ = std::panic::catch_unwind(AssertUnwindSafe(|| (entry.callback)()));
            }
        }
        active
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn watchdog() -> &'static Watchdog {
        Watchdog::start().expect("a thread")
    }

    #[test]
    fn ticks_come_while_an_evaluation_is_inside_until_the_registration_is_dropped() {
        let (sender, ticks) = mpsc::channel();
        let registration = watchdog().register(move || sender.send(()).expect("the test listens"));
        let mut watch = registration.watch();
        let inside = watch.enter();
        for _ in 0..3 {
            ticks.recv().expect("a tick");
        }
        drop(inside);
        drop(registration);
        while ticks.try_recv().is_ok() {}
        assert_eq!(ticks.try_recv(), Err(mpsc::TryRecvError::Disconnected), "the callback is gone with its sender");
    }

    #[test]
    fn an_evaluation_wakes_the_thread_that_has_parked() {
        let watchdog = watchdog();
        let (sender, ticks) = mpsc::channel();
        let registration = watchdog.register(move || sender.send(()).expect("the test listens"));
        let mut watch = registration.watch();
        for _ in 0..3 {
            while !watchdog.parked.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let inside = watch.enter();
            ticks.recv().expect("a tick");
            drop(inside);
            while ticks.try_recv().is_ok() {}
        }
    }

    #[test]
    fn a_callback_that_panics_harms_no_other() {
        let watchdog = watchdog();
        let bad = watchdog.register(|| std::panic::panic_any("told by a test"));
        let (sender, ticks) = mpsc::channel();
        let good = watchdog.register(move || sender.send(()).expect("the test listens"));
        let (mut one, mut other) = (bad.watch(), good.watch());
        let _inside = (one.enter(), other.enter());
        for _ in 0..2 {
            ticks.recv().expect("a tick");
        }
    }

    #[test]
    fn an_evaluation_that_is_over_is_not_told() {
        let watchdog: &'static Watchdog = Box::leak(Box::new(Watchdog {
            entries: Mutex::default(),
            parked: AtomicBool::new(false),
            thread: OnceLock::new(),
        }));
        let told = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&told);
        let registration = watchdog.register(move || step(&sum));
        let mut watch = registration.watch();
        drop(watch.enter());
        assert!(watchdog.tick(), "something was evaluated");
        assert!(!watchdog.tick(), "nothing was evaluated");
        assert_eq!(told.load(Ordering::Relaxed), 0);
        let inside = watch.enter();
        assert!(watchdog.tick() && watchdog.tick());
        drop(inside);
        assert_eq!(told.load(Ordering::Relaxed), 2);
    }
}
