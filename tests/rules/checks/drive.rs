//! Bytes as a source of choices, and a runtime whose time stands still until everybody waits.

/// Bytes, one after the other; zeros when they are used up.
pub(super) struct Bytes<'b>(std::slice::Iter<'b, u8>);

impl<'b> Bytes<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Bytes(bytes.iter())
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }
}

pub(super) fn in_paused_time<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(run)
}
