//! See `kestrel_fuzz::binary::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::binary::control(data));
