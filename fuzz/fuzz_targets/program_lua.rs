//! See `kestrel_fuzz::program::source`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::program::source(data));
