//! Views that answers leave behind which are on their last bytes.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::{ViewKey, Views};
use crate::request::version_tag::Version;

/// A view that its client has as soon as the answer that shows it was written out (rules I1 and I3). Dropped
/// before that, it leaves nothing.
pub struct Expected {
    views: Arc<Views>,
    key: ViewKey,
    version: Version,
}

impl Expected {
    /// To be called when all that is left of the answer is to write it out.
    pub fn new(views: Arc<Views>, key: ViewKey, version: Version) -> Self {
        *views.expected.lock().entry(key).or_default() += 1;
        Expected { views, key, version }
    }

    /// The answer was written out whole.
    pub fn written_out(self) {
        self.views.keep(self.key, self.version);
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if let Entry::Occupied(mut expected) = self.views.expected.lock().entry(self.key) {
            *expected.get_mut() -= 1;
            if *expected.get() == 0 {
                expected.remove();
            }
        }
        self.views.ended.notify_waiters();
    }
}

impl Views {
    /// The version that the client last read, if that is known. Never a newer one.
    ///
    /// A client that has its answer may be back over another connection before whoever wrote it out has said so:
    /// that is waited for, for a second at most. A client that does not take its answer's end waits in vain, and is
    /// judged by what it had before.
    pub async fn last_read(&self, key: ViewKey) -> Option<Version> {
        const AT_MOST: Duration = Duration::from_secs(1);
        let is_expected = || self.expected.lock().contains_key(&key);
        if is_expected() {
            let ended = async {
                loop {
                    let mut ended = std::pin::pin!(self.ended.notified());
                    ended.as_mut().enable();
                    if !is_expected() {
                        return;
                    }
                    ended.await;
                }
            };
            // Either way what is kept now is the answer.
            let _in_time = tokio::time::timeout(AT_MOST, ended).await;
        }
        self.version(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ViewKey = ViewKey(7);

    fn views() -> Arc<Views> {
        Arc::new(Views::new(10, Duration::from_secs(60)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_is_there_when_its_answer_was_written_out_and_not_before() {
        let views = views();
        Expected::new(views.clone(), KEY, Version(1)).written_out();
        let expected = Expected::new(views.clone(), KEY, Version(2));
        assert_eq!(views.version(KEY), Some(Version(1)));
        let asked = tokio::spawn({
            let views = views.clone();
            async move { views.last_read(KEY).await }
        });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished(), "it waits");
        expected.written_out();
        assert_eq!(asked.await.expect("no panic"), Some(Version(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_lost_leaves_nothing_and_nobody_waits_for_it() {
        let views = views();
        drop(Expected::new(views.clone(), KEY, Version(2)));
        assert_eq!(views.last_read(KEY).await, None);
        assert!(views.expected.lock().is_empty());
    }

    /// The clock is the test's: it moves on when everybody waits.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_its_answer_is_judged_by_what_it_had_before() {
        let views = views();
        Expected::new(views.clone(), KEY, Version(1)).written_out();
        let _stuck = Expected::new(views.clone(), KEY, Version(2));
        assert_eq!(views.last_read(KEY).await, Some(Version(1)));
        assert_eq!(views.last_read(ViewKey(8)).await, None);
    }
}
