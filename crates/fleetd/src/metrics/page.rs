//! One page of metrics.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Counter, CounterVec, Encoder, Gauge, GaugeVec, Opts, Registry, TextEncoder};

/// The page's `Content-Type`.
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Families as they are added; printed in order of name.
pub(crate) struct Page(Registry);

impl Page {
    /// A page with what the operating system knows of this process.
    pub(crate) fn new() -> Self {
        let page = Page(Registry::new());
        page.add(Ok(ProcessCollector::for_self()));
        page
    }

    pub(crate) fn counter(&self, name: &str, help: &str, value: f64) {
        self.add(Counter::new(name, help).inspect(|counter| counter.inc_by(value)));
    }

    pub(crate) fn gauge(&self, name: &str, help: &str, value: f64) {
        self.add(Gauge::new(name, help).inspect(|gauge| gauge.set(value)));
    }

    /// A counter for each set of values that the labels have; the family is left out if there is none.
    pub(crate) fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        rows: impl IntoIterator<Item = ([impl AsRef<str>; N], f64)>,
    ) {
        let family = CounterVec::new(Opts::new(name, help), labels);
        self.add(family.inspect(|family| {
            for (values, value) in rows {
                let values = values.each_ref().map(AsRef::as_ref);
                family.with_label_values(&values).inc_by(value);
            }
        }));
    }

    /// As [`counters`](Self::counters), for what goes up and down.
    pub(crate) fn gauges<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        rows: impl IntoIterator<Item = ([impl AsRef<str>; N], f64)>,
    ) {
        let family = GaugeVec::new(Opts::new(name, help), labels);
        self.add(family.inspect(|family| {
            for (values, value) in rows {
                let values = values.each_ref().map(AsRef::as_ref);
                family.with_label_values(&values).set(value);
            }
        }));
    }

    fn add<C: Collector + 'static>(&self, family: prometheus::Result<C>) {
        let added = family.and_then(|family| self.0.register(Box::new(family)));
        if let Err(error) = added {
            tracing::error!(%error, "a family is missing from the metrics");
        }
    }

    /// The whole page.
    pub(crate) fn print(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.0.gather(), &mut text) {
            tracing::error!(%error, "printing the metrics failed");
        }
        text
    }
}
