//! See `kestrel_fuzz::language::ir_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::with_text(data, kestrel_fuzz::language::ir_text));
