#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ifmatch_fuzz::target_path(data));
