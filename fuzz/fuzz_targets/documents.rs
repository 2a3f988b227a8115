//! See `kestrel_fuzz::binary::documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::binary::documents(data));
