//! The time of answers that have none, as a field says it.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

struct Said {
    second: u64,
    text: String,
}

thread_local! {
    static SAID: RefCell<Said> = const { RefCell::new(Said { second: u64::MAX, text: String::new() }) };
}

/// Hands over the present time as an HTTP date (RFC 9110 section 5.6.7), which is put into words once a second.
pub fn date<T>(with: impl FnOnce(&str) -> T) -> T {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SAID.with_borrow_mut(|said| {
        if said.second != since_epoch.as_secs() {
            said.second = since_epoch.as_secs();
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(said.second);
            said.text = httpdate::fmt_http_date(whole);
        }
        with(&said.text)
    })
}
