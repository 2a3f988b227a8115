//! What must hold for any bytes: the oracles of the fuzz targets, one function each.
//!
//! In: bytes as the fuzzer makes them. Out: nothing; a panic is a finding. The targets are one line each. Text targets
//! leave out what is not UTF-8, because their readers take `&str`.

pub mod binary;
pub mod language;
#[cfg(feature = "engine")]
pub mod program;
pub mod regex;

/// Calls `check` with the text of `data`, if it is one.
pub fn with_text(data: &[u8], check: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
}
