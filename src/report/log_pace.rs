//! How often the log tells of what may happen thousands of times a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// At most one line a second: the first at once, and each one after it says how many had none.
#[derive(Default)]
pub struct LogPace(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    last: Option<Instant>,
    left_out: u64,
}

impl LogPace {
    /// Between two lines.
    const EVERY: Duration = Duration::from_secs(1);

    /// It happened again, now. If the log gets a line of it: how many had none since the line before.
    pub fn next(&self, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock();
        if lines.last.is_some_and(|last| now.saturating_duration_since(last) < Self::EVERY) {
            lines.left_out = lines.left_out.saturating_add(1);
            return None;
        }
        lines.last = Some(now);
        Some(std::mem::take(&mut lines.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_says_how_many_had_none() {
        let (pace, start) = (LogPace::default(), Instant::now());
        let at = |milliseconds| pace.next(start + Duration::from_millis(milliseconds));
        assert_eq!(at(0), Some(0), "the first one at once");
        assert_eq!([0, 1, 999].map(at), [None; 3]);
        assert_eq!(at(1000), Some(3));
        assert_eq!([1001, 1999].map(at), [None; 2], "a second from the last line");
        assert_eq!(at(60_000), Some(2), "however late");
        assert_eq!(at(61_000), Some(0), "and each is told of once");
    }

    #[test]
    fn a_thread_that_looked_at_the_clock_earlier_gets_no_second_line() {
        let (pace, start) = (LogPace::default(), Instant::now());
        assert_eq!(pace.next(start + Duration::from_secs(2)), Some(0));
        assert_eq!(pace.next(start), None);
    }
}
