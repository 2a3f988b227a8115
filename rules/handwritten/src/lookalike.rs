//! A program whose name is one slip away from that of a well-known one: `sshd` written as `ssdh`, `shd`, `ssshd` or `sshb`.
//!
//! Built by `cargo xtask predicates` to `lookalike.wasm`, without the standard library and without an allocator.

#![no_std]

#[path = "../../../engine/include/kestrel_predicate.rs"]
mod kestrel;

const KNOWN: [&[u8]; 8] =
    [b"sshd", b"systemd", b"kworker", b"cron", b"dbus-daemon", b"agetty", b"rsyslogd", b"containerd"];
const LONGEST: usize = 32;
const FIELD: &str = "process.name";

/// What lasts from `pred_init` to `pred_capture`.
struct State {
    field: i32,
    /// The known name that the event's name looks like.
    meant: &'static [u8],
}

static mut STATE: State = State { field: -1, meant: b"" };

fn state() -> &'static mut State {
    // SAFETY: a predicate has one thread, and no function here holds the reference while it calls another.
    unsafe { &mut *(&raw mut STATE) }
}

/// Whether one letter left out, put in or changed, or two neighbours exchanged, make one name of the other.
fn one_slip_apart(left: &[u8], right: &[u8]) -> bool {
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let (left, right) = (&left[same..], &right[same..]);
    match (left, right) {
        ([], []) => false,
        ([_, rest @ ..], other) | (other, [_, rest @ ..]) if rest == other => true,
        ([a, b, rest @ ..], [c, d, other @ ..]) if a == d && b == c => rest == other,
        ([_, rest @ ..], [_, other @ ..]) if rest == other => true,
        (left, [_, rest @ ..]) => left == rest,
        _ => false,
    }
}

#[unsafe(no_mangle)]
extern "C" fn pred_abi() -> i32 {
    kestrel::ABI
}

#[unsafe(no_mangle)]
extern "C" fn pred_init() -> i32 {
    // SAFETY: the address and the length are those of a text.
    let field = unsafe { kestrel::schema_resolve(FIELD.as_ptr(), FIELD.len()) };
    state().field = field;
    field.min(0)
}

#[unsafe(no_mangle)]
extern "C" fn pred_eval() -> i32 {
    let mut buffer = [0u8; LONGEST];
    // SAFETY: the address and the capacity are those of the buffer.
    let length = unsafe { kestrel::event_get_text(state().field, 0, buffer.as_mut_ptr(), buffer.len()) };
    let Some(name) = usize::try_from(length).ok().and_then(|length| buffer.get(..length)) else { return 0 };
    if KNOWN.contains(&name) {
        return 0;
    }
    match KNOWN.into_iter().find(|known| one_slip_apart(name, known)) {
        Some(known) => {
            state().meant = known;
            1
        }
        None => 0,
    }
}

#[unsafe(no_mangle)]
extern "C" fn pred_capture() {
    let meant = state().meant;
    // SAFETY: addresses and lengths are those of texts.
    unsafe { kestrel::capture_put_text(b"looks_like".as_ptr(), 10, meant.as_ptr(), meant.len()) };
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
