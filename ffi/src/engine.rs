//! An engine over documents: one pack, one stream of events, alerts through a callback.
//!
//! In: a pack, the name of a runtime, then documents one by one. Out: alerts, in the order of the events. It is the
//! session of `kestrel-engine --replay`, so the alerts are the same byte for byte.

use std::ffi::{c_char, c_void};
use std::slice;
use std::sync::{Mutex, MutexGuard, TryLockError};

use kestrel_engine::input::{Document, InputOptions};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::{Alert, Replay, Session, SessionOptions, Verdict};

use crate::boundary::{ErrorText, Refusal, free, guard, guard_or, handle, store, text};
use crate::{KestrelPack, KestrelStatus, boundary};

/// `kestrel_alert_callback` of the header: one alert as a line of JSON without its line end, with a zero byte behind that
/// the length does not count. The line is gone when the callback returns.
pub type KestrelAlertCallback = unsafe extern "C" fn(user: *mut c_void, line: *const c_char, length: usize);

/// `kestrel_engine` of the header: a pack that runs, or the reason why it does not.
#[derive(Default)]
pub struct KestrelEngine {
    running: Option<Mutex<Running>>,
    error: ErrorText,
}

struct Running {
    session: Session,
    replay: Replay,
    longest_document: usize,
    documents: u64,
    finished: bool,
}

/// `kestrel_counters` of the header: what an engine did so far. New counters are only ever added at the end.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KestrelCounters {
    /// Documents that were events.
    pub events: u64,
    /// Documents that were not.
    pub invalid_documents: u64,
    /// Alerts told.
    pub alerts: u64,
    /// Events that came with a timestamp before an earlier one's.
    pub late_events: u64,
    /// Events whose predicates the interpreter decided because the runtime failed.
    pub runtime_failures: u64,
    /// Partial matches that were given up to stay within the limits of state.
    pub evicted: u64,
    /// Join keys that have state now.
    pub live_keys: u64,
}

// An engine may be made on one thread and used on another.
const _: () = {
    const fn may_move<T: Send + Sync>() {}
    may_move::<KestrelEngine>();
    may_move::<KestrelPack>();
    may_move::<crate::KestrelCompilation>();
};

/// Makes an engine of a pack. `runtime` is `wasm`, `lua` or `interp`; null means `wasm`.
///
/// `*engine` is set whatever the answer, so that its error can be read, unless `engine` itself is null. The caller frees
/// it. The engine keeps nothing of the pack's handle.
///
/// # Safety
/// As the header says: `pack` is null or a pack that was not freed, `runtime` is null or a text with a zero byte behind,
/// `engine` is null or a place for a pointer.
// SAFETY: no other symbol of this name; the library's names all begin with `kestrel_`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_engine_new(
    pack: *const KestrelPack,
    runtime: *const c_char,
    engine: *mut *mut KestrelEngine,
) -> KestrelStatus {
    // SAFETY: the caller's promise, here and below.
    if !unsafe { store(engine, std::ptr::null_mut()) } {
        return KestrelStatus::InvalidArgument;
    }
    let mut made = KestrelEngine::default();
    let started = guard(|| {
        let pack = unsafe { handle(pack) }.ok_or_else(|| Refusal::argument("the pack is null"))?;
        Running::start(pack, unsafe { text(runtime, "the name of the runtime") }?)
    });
    let status = match started {
        Ok(running) => {
            made.running = Some(Mutex::new(running));
            KestrelStatus::Ok
        }
        Err(refusal) => made.error.keep(&refusal),
    };
    unsafe { store(engine, Box::into_raw(Box::new(made))) };
    status
}

/// Gives the engine one JSON document; `callback` gets the alerts that it completes, before this returns.
///
/// # Safety
/// As the header says: `engine` is null or an engine that was not freed, `document` is null or valid for `length` bytes,
/// and `callback` may be called with `user`.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_engine_feed(
    engine: *const KestrelEngine,
    document: *const c_char,
    length: usize,
    callback: Option<KestrelAlertCallback>,
    user: *mut c_void,
) -> KestrelStatus {
    // SAFETY: the caller's promise, here and below.
    let Some(engine) = (unsafe { handle(engine) }) else { return KestrelStatus::InvalidArgument };
    engine.answer(|| {
        let document = unsafe { boundary::slice(document.cast::<u8>(), length, "the document") }?;
        let mut sink = unsafe { sink(callback, user) }?;
        engine.open()?.feed(document, &mut sink)
    })
}

/// The end of the events; `callback` gets the alerts that waited for more time to pass, before this returns.
///
/// # Safety
/// As [`kestrel_engine_feed`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_engine_finish(
    engine: *const KestrelEngine,
    callback: Option<KestrelAlertCallback>,
    user: *mut c_void,
) -> KestrelStatus {
    // SAFETY: the caller's promise, here and below.
    let Some(engine) = (unsafe { handle(engine) }) else { return KestrelStatus::InvalidArgument };
    engine.answer(|| {
        let mut sink = unsafe { sink(callback, user) }?;
        let mut running = engine.open()?;
        running.finished = true;
        running.session.finish(&mut sink);
        Ok(())
    })
}

/// Writes what the engine did so far to `counters`, which has `size` bytes: as many counters as fit, and zeros behind
/// those that this library knows. That lets programs and libraries of different age meet.
///
/// # Safety
/// As the header says: `engine` is null or an engine that was not freed, `counters` is null or has `size` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_engine_counters(
    engine: *const KestrelEngine,
    counters: *mut KestrelCounters,
    size: usize,
) -> KestrelStatus {
    // SAFETY: the caller's promise, here and below.
    let Some(engine) = (unsafe { handle(engine) }) else { return KestrelStatus::InvalidArgument };
    engine.answer(|| {
        let word = size_of::<u64>();
        if counters.is_null() || !counters.is_aligned() || size == 0 || !size.is_multiple_of(word) || size > 4096 {
            return Err(Refusal::argument("the counters are null, or their size is not that of a `kestrel_counters`"));
        }
        let known = engine.lock()?.counters().in_order();
        for number in 0..size / word {
            let value = known.get(number).copied().unwrap_or(0);
            // SAFETY: within the `size` bytes that the caller promised, and aligned as the first word is.
            unsafe { counters.cast::<u64>().add(number).write(value) };
        }
        Ok(())
    })
}

/// The text of the engine's last failure; empty when nothing failed. It stays until the next failure.
///
/// # Safety
/// As [`kestrel_engine_feed`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_engine_error(engine: *const KestrelEngine) -> *const c_char {
    // SAFETY: the caller's promise.
    guard_or(c"".as_ptr(), || match unsafe { handle(engine) } {
        Some(engine) => engine.error.as_ptr(),
        None => c"the engine is null".as_ptr(),
    })
}

/// Frees an engine; alerts that still wait are gone. Null is allowed. An engine that is in the middle of a call, which
/// only a callback or a second thread can bring about, is not freed at all.
///
/// # Safety
/// The engine was not freed, and nobody uses it any more.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kestrel_engine_free(engine: *mut KestrelEngine) {
    // SAFETY: the caller's promise, here and below.
    let busy = guard_or(false, || {
        let running = unsafe { handle(engine) }.and_then(|engine| engine.running.as_ref());
        running.is_some_and(|running| matches!(running.try_lock(), Err(TryLockError::WouldBlock)))
    });
    if !busy {
        unsafe { free(engine) };
    }
}

impl KestrelEngine {
    /// Runs the body of an entry point and keeps the text of its failure.
    fn answer(&self, body: impl FnOnce() -> Result<(), Refusal>) -> KestrelStatus {
        match guard(body) {
            Ok(()) => KestrelStatus::Ok,
            Err(refusal) => guard_or(KestrelStatus::Internal, || self.error.keep(&refusal)),
        }
    }

    /// The engine for one call, without waiting.
    fn lock(&self) -> Result<MutexGuard<'_, Running>, Refusal> {
        let running = self.running.as_ref().ok_or_else(|| {
            Refusal::new(KestrelStatus::EngineRefused, "the engine was never made: `kestrel_engine_new` failed")
        })?;
        running.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                Refusal::new(KestrelStatus::Busy, "the engine is in the middle of another call")
            }
            TryLockError::Poisoned(_) => {
                Refusal::new(KestrelStatus::Internal, "the engine broke in an earlier call and can only be freed")
            }
        })
    }

    /// The engine for a call that takes it further.
    fn open(&self) -> Result<MutexGuard<'_, Running>, Refusal> {
        let running = self.lock()?;
        if running.finished {
            return Err(Refusal::new(KestrelStatus::Finished, "the engine has been finished"));
        }
        Ok(running)
    }
}

impl Running {
    fn start(pack: &KestrelPack, runtime: Option<&str>) -> Result<Running, Refusal> {
        let refused = |reason: String| Refusal::new(KestrelStatus::EngineRefused, reason);
        let pack = pack
            .named()
            .ok_or_else(|| Refusal::new(KestrelStatus::PackRefused, "the pack was refused, so it cannot run"))?;
        let mut options = SessionOptions::default();
        if let Some(word) = runtime {
            options.runtime = word.parse::<RuntimeKind>().map_err(|error| refused(error.to_string()))?;
        }
        let session =
            Session::over_documents(slice::from_ref(pack), options).map_err(|error| refused(error.to_string()))?;
        let replay = Replay::new(&session);
        let longest_document = InputOptions::default().max_document;
        Ok(Running { session, replay, longest_document, documents: 0, finished: false })
    }

    fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&Alert)) -> Result<(), Refusal> {
        self.documents += 1;
        let number = self.documents;
        let invalid = |reason: String| {
            Err(Refusal::new(KestrelStatus::InvalidDocument, format!("document {number} is no event: {reason}")))
        };
        if bytes.len() > self.longest_document {
            self.replay.count_invalid();
            return invalid(format!("it has {} bytes, at most {} are allowed", bytes.len(), self.longest_document));
        }
        let document = Document { line: number, bytes, record: None };
        match self.replay.document(&mut self.session, &document, sink) {
            Verdict::Event(_) => Ok(()),
            Verdict::Invalid(error) => invalid(error.to_string()),
        }
    }

    fn counters(&self) -> KestrelCounters {
        let (session, replay) = (self.session.counters(), self.replay.counters());
        KestrelCounters {
            events: replay.events,
            invalid_documents: replay.invalid,
            alerts: session.alerts,
            late_events: session.matcher.late,
            runtime_failures: session.matcher.runtime_failures,
            evicted: session.sequences.evicted,
            live_keys: session.live_keys,
        }
    }
}

impl KestrelCounters {
    fn in_order(self) -> [u64; 7] {
        let KestrelCounters { events, invalid_documents, alerts, late_events, runtime_failures, evicted, live_keys } =
            self;
        [events, invalid_documents, alerts, late_events, runtime_failures, evicted, live_keys]
    }
}

/// Where alerts go: to the callback, each with a zero byte behind.
///
/// # Safety
/// The callback may be called with `user`, and does not unwind.
unsafe fn sink(callback: Option<KestrelAlertCallback>, user: *mut c_void) -> Result<impl FnMut(&Alert), Refusal> {
    let callback = callback.ok_or_else(|| Refusal::argument("the alert callback is null"))?;
    let mut line = Vec::new();
    Ok(move |alert: &Alert| {
        line.clear();
        line.extend_from_slice(alert.line.as_bytes());
        line.push(0);
        // SAFETY: the caller's promise; the line lives until the next alert.
        unsafe { callback(user, line.as_ptr().cast(), alert.line.len()) };
    })
}
