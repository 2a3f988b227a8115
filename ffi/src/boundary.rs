//! Where C meets Rust: pointers become references and slices, panics become texts, errors become texts that C can read.
//!
//! In: what a caller passed. Out: Rust values, or a [`Refusal`] that says which argument is wrong. What cannot be checked
//! from here, that a pointer that is not null is valid, is the caller's promise.

use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::KestrelStatus;

/// Why a call failed: a status for the program and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: KestrelStatus,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: KestrelStatus, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    /// An argument that is wrong.
    pub(crate) fn argument(message: impl Into<String>) -> Refusal {
        Refusal::new(KestrelStatus::InvalidArgument, message)
    }
}

/// The text of the last failure of a handle.
#[derive(Debug, Default)]
pub(crate) struct ErrorText(Mutex<CString>);

impl ErrorText {
    /// Keeps the text of a failure, in place of the one before, and gives its status.
    pub(crate) fn keep(&self, refusal: &Refusal) -> KestrelStatus {
        *self.lock() = c_text(&refusal.message);
        refusal.status
    }

    /// The text for C: empty when nothing failed; it stays where it is until the next failure.
    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.lock().as_ptr()
    }

    fn lock(&self) -> MutexGuard<'_, CString> {
        // A text is replaced as a whole, so that it is sound after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text for C. Zero bytes, which would end it early, become replacement characters.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Runs the body of an entry point. A panic becomes a refusal.
pub(crate) fn guard<T>(body: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    // What the body changes is either behind a lock that a panic poisons, or dropped by it.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            // The payload is whatever was thrown; dropping it could throw again.
            std::mem::forget(payload);
            let text = text.unwrap_or_else(|| "no reason given".to_owned());
            Err(Refusal::new(KestrelStatus::Internal, format!("a mistake of the library: {text}")))
        }
    }
}

/// Runs the body of an entry point that has no way to say that it failed.
pub(crate) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    guard(|| Ok(body())).unwrap_or(otherwise)
}

/// The bytes at a pointer. Null is allowed when there are none.
///
/// # Safety
/// When not null, `bytes` points to `length` bytes that stay unchanged as long as the slice is used.
#[expect(unsafe_code, reason = "makes a slice of what the caller passed")]
pub(crate) unsafe fn slice<'c, T>(items: *const T, length: usize, what: &str) -> Result<&'c [T], Refusal> {
    if length == 0 {
        return Ok(&[]);
    }
    if items.is_null() {
        return Err(Refusal::argument(format!("{what} is null, but its length is {length}")));
    }
    if !items.is_aligned() {
        return Err(Refusal::argument(format!("{what} is not aligned")));
    }
    if length > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(Refusal::argument(format!("{what} has a length of {length}, more than memory can hold")));
    }
    // SAFETY: not null, aligned, of a possible length; that it is valid is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(items, length) })
}

/// A text that ends with a zero byte, or `None` for null.
///
/// # Safety
/// When not null, `text` points to a text that ends with a zero byte and stays unchanged as long as the result is used.
#[expect(unsafe_code, reason = "reads a text that the caller passed")]
pub(crate) unsafe fn text<'c>(text: *const c_char, what: &str) -> Result<Option<&'c str>, Refusal> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; that it ends with a zero byte is the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    utf8(text.to_bytes(), what).map(Some)
}

/// Bytes as text.
pub(crate) fn utf8<'c>(bytes: &'c [u8], what: &str) -> Result<&'c str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|error| Refusal::argument(format!("{what} is not UTF-8: byte {} is wrong", error.valid_up_to())))
}

/// Checks a place for a result, and sets it to `empty`, so that the caller never reads what was there before.
///
/// # Safety
/// When not null, `place` points to memory for a `T`.
#[expect(unsafe_code, reason = "writes where the caller asked for it")]
pub(crate) unsafe fn store<T>(place: *mut T, value: T) -> bool {
    if place.is_null() || !place.is_aligned() {
        return false;
    }
    // SAFETY: not null and aligned; that it is memory for a `T` is the caller's promise. Nothing is read or dropped.
    unsafe { place.write(value) };
    true
}

/// The handle behind a pointer, or `None` for null.
///
/// # Safety
/// When not null, `handle` came from this library as a handle of this type and was not freed.
#[expect(unsafe_code, reason = "borrows a handle that the caller owns")]
pub(crate) unsafe fn handle<'c, T>(handle: *const T) -> Option<&'c T> {
    // SAFETY: a handle is a `Box` that was leaked, and only ever borrowed shared; that it was not freed is the caller's
    // promise.
    unsafe { handle.as_ref() }
}

/// Takes a handle back and drops it. Null is nothing to do.
///
/// # Safety
/// As [`handle`], and nobody uses the handle any more.
#[expect(unsafe_code, reason = "takes back what `Box::into_raw` gave away")]
pub(crate) unsafe fn free<T>(handle: *mut T) {
    if handle.is_null() {
        return;
    }
    // SAFETY: it came from `Box::into_raw`, by the caller's promise, and is used no more.
    guard_or((), || drop(unsafe { Box::from_raw(handle) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_refusal() {
        let refused = guard::<()>(|| panic!("out of {}", "luck"));
        let expected = Refusal::new(KestrelStatus::Internal, "a mistake of the library: out of luck");
        assert_eq!(refused, Err(expected));
        assert_eq!(guard_or(7, || panic!("plain")), 7);
    }

    #[test]
    fn a_zero_byte_does_not_cut_an_error_text() {
        assert_eq!(c_text("a\0b").to_bytes(), "a\u{fffd}b".as_bytes());
    }

    #[test]
    #[expect(unsafe_code, reason = "calls the checks with pointers that they must refuse")]
    fn impossible_slices_are_refused() {
        // SAFETY: each of them is refused, or empty, before anything is read.
        unsafe {
            assert_eq!(slice::<u8>(std::ptr::null(), 0, "x"), Ok(&[][..]));
            assert!(slice::<u8>(std::ptr::null(), 1, "x").is_err());
            assert!(slice(b"x".as_ptr(), usize::MAX, "x").is_err());
            assert!(slice(std::ptr::without_provenance::<u64>(9), 1, "x").is_err());
            assert!(!store::<u64>(std::ptr::null_mut(), 1));
        }
    }
}
