//! The time of answers that have none, as a field says it.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

struct Said {
    /// When the next second begins. `None`: nothing was said yet.
    until: Option<Instant>,
    text: String,
}

thread_local! {
    static SAID: RefCell<Said> = const { RefCell::new(Said { until: None, text: String::new() }) };
}

/// Hands over the present time as an HTTP date (RFC 9110 section 5.6.7), which is put into words once a second.
///
/// `now` is that time by the other clock, which whoever asks has looked at anyway. Where the system's clock is set,
/// answers learn of it within a second.
pub fn date<T>(now: Instant, with: impl FnOnce(&str) -> T) -> T {
    SAID.with_borrow_mut(|said| {
        if said.until.is_none_or(|until| until <= now) {
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let second = Duration::from_secs(since_epoch.as_secs());
            said.until = now.checked_add(Duration::from_secs(1) - (since_epoch - second));
            said.text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + second);
        }
        with(&said.text)
    })
}
