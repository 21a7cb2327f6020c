//! The program: everything is in the library, so that tests can reach it.

use std::process::ExitCode;

/// By measurement: see benches/README.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ifmatch::cli::main()
}
