//! Which library this is.

use std::ffi::{CStr, c_char};

/// The version of the C API that header and library speak.
pub const KESTREL_API_VERSION: u32 = 0;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"unknown",
};

/// The library's version, such as `0.1.0`. The text lives as long as the library.
///
/// ```
/// let version = kestrel::kestrel_version();
/// assert!(!version.is_null());
/// ```
// SAFETY: no other symbol of this name; the library's names all begin with `kestrel_`.
#[unsafe(no_mangle)]
pub extern "C" fn kestrel_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the C API of the library that was loaded, to be compared with [`KESTREL_API_VERSION`] of the header.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn kestrel_api_version() -> u32 {
    KESTREL_API_VERSION
}
