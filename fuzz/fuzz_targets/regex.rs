//! See `kestrel_fuzz::regex::matching`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::regex::matching(data));
