//! Histograms of durations, for the registry of the crate `prometheus`.
//!
//! Its own histogram finds its bucket in one list, counts in another, and keeps two of everything, so that a scrape sees
//! all of an observation or nothing of it: four atomic steps in half a dozen cache lines, for each of which a request
//! waits that finds them cold. This one takes two steps in a line or two. A scrape may see an observation in a bucket
//! that the sum does not have yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::{Describer, Metric, MetricVec, MetricVecBuilder};
use prometheus::{HistogramOpts, proto};

/// A family of histograms that differ in their labels.
pub type DurationsVec = MetricVec<NewDurations>;

/// A histogram of durations, in seconds as Prometheus counts them.
#[derive(Clone)]
pub struct Durations(Arc<Counted>);

/// In this order in memory: what is observed most often is in the first buckets, beside the sum.
#[repr(C, align(64))]
struct Counted {
    /// Seconds, as the bits of an `f64`.
    sum: AtomicU64,
    buckets: [Bucket; MOST_BOUNDS + 1],
    labels: Vec<proto::LabelPair>,
}

struct Bucket {
    /// Up to so many nanoseconds; the first one with [`u64::MAX`] takes all that is longer.
    up_to: u64,
    count: AtomicU64,
}

const MOST_BOUNDS: usize = 15;

/// A family of histograms with these bounds, each of which is the longest duration of its bucket in seconds: at most 15,
/// in rising order.
///
/// # Errors
/// If the name or a label's is not valid: a bug in it.
pub fn durations(
    name: &str,
    help: &str,
    bounds: &[f64],
    labels: &[&str],
) -> prometheus::Result<DurationsVec> {
    let mut opts = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    opts.common_opts.variable_labels = labels.iter().map(|label| (*label).to_owned()).collect();
    MetricVec::create(proto::MetricType::HISTOGRAM, NewDurations, opts)
}

impl Durations {
    fn new(bounds: &[f64], labels: Vec<proto::LabelPair>) -> Self {
        let mut bounds = bounds.iter().copied().map(Duration::from_secs_f64).map(nanoseconds);
        let next = |_| Bucket { up_to: bounds.next().unwrap_or(u64::MAX), count: AtomicU64::new(0) };
        Durations(Arc::new(Counted { sum: AtomicU64::new(0), buckets: std::array::from_fn(next), labels }))
    }

    /// It took so long.
    pub fn observe(&self, took: Duration) {
        let Counted { sum, buckets, .. } = &*self.0;
        let took_ns = nanoseconds(took);
        if let Some(bucket) = buckets.iter().find(|bucket| took_ns <= bucket.up_to) {
            bucket.count.fetch_add(1, Ordering::Relaxed);
        }
        let more = |so_far| Some((f64::from_bits(so_far) + took.as_secs_f64()).to_bits());
        // It fails where the closure says so, which it does not.
        let _added = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// 584 years at most.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Metric for Durations {
    fn metric(&self) -> proto::Metric {
        let mut so_far = 0;
        let mut told = Vec::new();
        for Bucket { up_to, count } in &self.0.buckets {
            so_far += count.load(Ordering::Relaxed);
            if *up_to == u64::MAX {
                break;
            }
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(Duration::from_nanos(*up_to).as_secs_f64());
            bucket.set_cumulative_count(so_far);
            told.push(bucket);
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(so_far);
        histogram.set_sample_sum(f64::from_bits(self.0.sum.load(Ordering::Relaxed)));
        histogram.set_bucket(told);
        let mut metric = proto::Metric::from_label(self.0.labels.clone());
        metric.set_histogram(histogram);
        metric
    }
}

/// Makes the histograms of a family.
#[derive(Clone)]
pub struct NewDurations;

impl MetricVecBuilder for NewDurations {
    type M = Durations;
    type P = HistogramOpts;

    fn build<V: AsRef<str>>(&self, opts: &HistogramOpts, values: &[V]) -> prometheus::Result<Durations> {
        let labels = opts.describe()?.variable_labels.into_iter().zip(values).map(|(name, value)| {
            let mut label = proto::LabelPair::default();
            label.set_name(name);
            label.set_value(value.as_ref().to_owned());
            label
        });
        Ok(Durations::new(&opts.buckets, labels.collect()))
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{Encoder, HistogramVec, TextEncoder};

    use super::*;

    const BOUNDS: [f64; 4] = [0.000_001, 0.000_002_5, 0.01, 30.0];

    fn text(family: &impl Collector) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&family.collect(), &mut text).expect("a family");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn it_tells_the_same_as_the_histogram_of_the_crate() {
        let ours = durations("took_seconds", "Some.", &BOUNDS, &["route"]).expect("a family");
        let theirs = HistogramVec::new(
            HistogramOpts::new("took_seconds", "Some.").buckets(BOUNDS.to_vec()),
            &["route"],
        )
        .expect("a family");
        for nanoseconds in [0, 1, 999, 1000, 1001, 2499, 2500, 2501, 10_000_000, 30_000_000_000, u64::MAX] {
            let took = Duration::from_nanos(nanoseconds);
            for route in ["one", "another"] {
                ours.with_label_values(&[route]).observe(took);
                theirs.with_label_values(&[route]).observe(took.as_secs_f64());
                assert_eq!(text(&ours), text(&theirs), "after {took:?}");
            }
        }
    }

    #[test]
    fn a_family_without_labels_has_one_histogram_with_room_for_all_its_bounds() {
        let bounds: Vec<f64> = (1..=15_u32).map(f64::from).collect();
        let one = durations("took_seconds", "Some.", &bounds, &[]).expect("a family");
        one.with_label_values::<&str>(&[]).observe(Duration::from_secs(16));
        let told = text(&one);
        assert!(told.contains("took_seconds_bucket{le=\"15\"} 0\n"), "{told}");
        assert!(told.contains("took_seconds_bucket{le=\"+Inf\"} 1\ntook_seconds_sum 16\n"), "{told}");
    }
}
