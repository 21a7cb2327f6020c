#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ifmatch_fuzz::messages(data));
