//! A write goes on, whatever becomes of its client, and what became of the write is told exactly once, also
//! when nobody is left to hear of it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Method;
use tokio::runtime::Handle;

use super::body::AnswerBody;
use crate::decide::outcome::{UnknownCause, WriteOutcome};
use crate::http1::message::Answer;
use crate::identify::resource_id::ResourceId;
use crate::report::metrics::RouteMetrics;

/// For a request's client: the answer, and how the request ended.
pub type Answered = (Answer<AnswerBody>, &'static str);

/// The end of a write that was admitted.
pub struct Carried {
    /// For its client.
    pub answered: Answered,
    /// What became of it; `None` if it was refused under the permit, before it was forwarded.
    pub outcome: Option<WriteOutcome>,
}

/// What is told of a write.
pub trait Told {
    /// What counts it.
    fn metrics(&self) -> &RouteMetrics;
    /// Its route's name.
    fn route(&self) -> &str;
    /// Its method.
    fn method(&self) -> &Method;
    /// What it writes to.
    fn resource(&self) -> &ResourceId;
}

/// Tells what became of a write. Dropped without a word, as by a panic or by the end of the runtime, it
/// tells that the write was abandoned.
pub struct Teller<T: Told> {
    write: T,
    told: bool,
}

impl<T: Told + Send + 'static> Teller<T> {
    /// Of this write.
    pub fn of(write: T) -> Self {
        Teller { write, told: false }
    }

    /// Does the write's work. When the future that is given back is dropped, as it is when a client
    /// leaves, the work goes on in a task of its own.
    ///
    /// What the client hears is `abandoned` if the work ended without a word, by a panic: its permit went down
    /// with it, which holds the write's resources for the settle time.
    pub async fn outlive<W>(self, work: Pin<Box<W>>, abandoned: impl FnOnce(&T) -> Answered) -> Answered
    where
        W: Future<Output = Carried> + Send + 'static,
    {
        let mut heard = Heard { work: Some((work, self)) };
        match poll_fn(|cx| heard.poll(cx)).await {
            Ok(answered) => answered,
            Err(teller) => abandoned(&teller.write),
        }
    }
}

impl<T: Told> Teller<T> {
    fn tell(&mut self, outcome: Option<WriteOutcome>) {
        self.told = true;
        if let Some(outcome) = outcome {
            self.write.metrics().write_settled(outcome);
        }
    }

    /// The access log has 499 for this request, which says nothing of the write.
    fn tell_unheard(&self, status: u16, outcome: Option<WriteOutcome>) {
        tracing::info!(
            target: "ifmatch::write",
            route = self.write.route(),
            method = self.write.method().as_str(),
            resource = self.write.resource().as_str(),
            status,
            outcome = outcome.map_or("refused", WriteOutcome::name),
            cause = outcome.and_then(WriteOutcome::unknown_cause).map(UnknownCause::name),
            "a write ended after its client had left"
        );
    }
}

/// The work of a write while its client is there.
struct Heard<W, T>
where
    W: Future<Output = Carried> + Send + 'static,
    T: Told + Send + 'static,
{
    work: Option<(Pin<Box<W>>, Teller<T>)>,
}

impl<W, T> Heard<W, T>
where
    W: Future<Output = Carried> + Send + 'static,
    T: Told + Send + 'static,
{
    /// Not ready any more once it was. An error is a panic's teller, who has not told anything yet.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answered, Teller<T>>> {
        let Some((work, _)) = &mut self.work else { return Poll::Pending };
        // As in a task of its own: a panic ends this write and nothing else.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let carried = match polled {
            Ok(polled) => Some(ready!(polled)),
            Err(_panic) => None,
        };
        let Some((_over, mut teller)) = self.work.take() else { return Poll::Pending };
        Poll::Ready(match carried {
            Some(Carried { answered, outcome }) => {
                teller.tell(outcome);
                Ok(answered)
            }
            None => Err(teller),
        })
    }
}

impl<W, T> Drop for Heard<W, T>
where
    W: Future<Output = Carried> + Send + 'static,
    T: Told + Send + 'static,
{
    fn drop(&mut self) {
        let Some((work, mut teller)) = self.work.take() else { return };
        // Without a runtime the process is going down, and the write is abandoned.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let Carried { answered: (unheard, _), outcome } = work.await;
                teller.tell(outcome);
                teller.tell_unheard(unheard.status().as_u16(), outcome);
            });
        }
    }
}

impl<T: Told> Drop for Teller<T> {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Some(WriteOutcome::Unknown(UnknownCause::Abandoned)));
            tracing::error!(
                route = self.write.route(),
                method = self.write.method().as_str(),
                resource = self.write.resource().as_str(),
                "the task that forwarded a write ended without a word"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::report::metrics::Metrics;

    struct Write(RouteMetrics, ResourceId);

    impl Told for Write {
        fn metrics(&self) -> &RouteMetrics {
            &self.0
        }

        fn route(&self) -> &str {
            "item"
        }

        fn method(&self) -> &Method {
            &Method::PUT
        }

        fn resource(&self) -> &ResourceId {
            &self.1
        }
    }

    fn teller(metrics: &Metrics) -> Teller<Write> {
        Teller::of(Write(metrics.route(&"item".into()), ResourceId::from("/items/1".to_owned())))
    }

    fn abandoned(_: &Write) -> Answered {
        (Answer::new(AnswerBody::fixed("")), "unknown")
    }

    fn counted(metrics: &Metrics, series: &str) -> bool {
        let text = String::from_utf8(metrics.exposition().expect("metrics")).expect("text");
        text.lines().any(|line| line == series)
    }

    const ABANDONED: &str = "ifmatch_unknown_outcomes_total{cause=\"abandoned\",route=\"item\"} 1";

    // A panic cannot be provoked over the wire; this is the very way that a write's work is done.
    #[tokio::test]
    async fn a_write_whose_task_panics_counts_as_abandoned_and_its_client_hears_nothing_of_it() {
        let metrics = Metrics::new().expect("metrics");
        let (_, ended) =
            teller(&metrics).outlive(Box::pin(async { panic!("a bug of ours") }), abandoned).await;
        assert_eq!(ended, "unknown");
        assert!(counted(&metrics, ABANDONED));
        assert!(counted(&metrics, "ifmatch_writes_settled_total{outcome=\"unknown\",route=\"item\"} 1"));
    }

    #[tokio::test]
    async fn a_write_whose_task_panics_after_its_client_has_left_counts_as_abandoned_all_the_same() {
        let metrics = Metrics::new().expect("metrics");
        let (go, gone) = oneshot::channel::<()>();
        let (over, is_over) = oneshot::channel::<()>();
        let work = async move {
            let _told_at_the_end = over;
            gone.await.expect("the test says so");
            panic!("a bug of ours")
        };
        let mut waiting = Box::pin(teller(&metrics).outlive(Box::pin(work), abandoned));
        assert!(is_pending(waiting.as_mut()).await);
        drop(waiting);
        go.send(()).expect("the task goes on");
        assert!(is_over.await.is_err(), "dropped by the panic, and the teller in the same poll");
        assert!(counted(&metrics, ABANDONED));
    }

    async fn is_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn a_write_that_was_refused_under_its_permit_is_not_counted_as_settled() {
        let metrics = Metrics::new().expect("metrics");
        let refused =
            async { Carried { answered: (Answer::new(AnswerBody::fixed("")), "refused"), outcome: None } };
        let (_, ended) = teller(&metrics).outlive(Box::pin(refused), abandoned).await;
        assert_eq!(ended, "refused");
        assert!(counted(&metrics, "ifmatch_writes_settled_total{outcome=\"unknown\",route=\"item\"} 0"));
    }
}
