//! See `kestrel_fuzz::binary::klog_index`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kestrel_fuzz::binary::klog_index(data));
