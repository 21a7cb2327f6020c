//! How far a storm is, on stderr: a bar for a person at a terminal, plain lines for everyone else.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Whether the bar of one storm is drawn.
pub(super) enum Progress {
    Bar(ProgressBar),
    Plain,
}

impl Progress {
    /// Begins to show a storm of so many increments.
    pub(super) fn start(name: &'static str, increments: u64) -> io::Result<Self> {
        if !io::stderr().is_terminal() {
            writeln!(io::stderr(), "{name}: {increments} increments ...")?;
            return Ok(Progress::Plain);
        }
        // No bar without the style would be worse than a bar with indicatif's own.
        let style = ProgressStyle::with_template("{prefix:>15} {wide_bar} {pos}/{len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(increments), ProgressDrawTarget::stderr());
        Ok(Progress::Bar(bar.with_style(style).with_prefix(name)))
    }

    /// So many increments are acknowledged.
    pub(super) fn at(&self, acknowledged: u64) {
        match self {
            Progress::Bar(bar) => bar.set_position(acknowledged),
            Progress::Plain => {}
        }
    }
}

impl Drop for Progress {
    /// The bar goes and leaves the terminal as it was, also after an error.
    fn drop(&mut self) {
        match self {
            Progress::Bar(bar) => bar.finish_and_clear(),
            Progress::Plain => {}
        }
    }
}
