//! A gauge that is read from watched objects on each scrape, so that there is no series to update
//! or to remove.

use kube::runtime::reflector::{Lookup, Store};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

/// Sets the series with these labels.
pub type SetGauge<'a> = &'a mut dyn FnMut(&[&str], i64);
/// Sets the series of one object.
pub type ReadGauges<K> = fn(&K, SetGauge<'_>);

/// The gauge.
pub struct WatchedCollector<K: Lookup<DynamicType = ()> + 'static> {
    opts: Opts,
    labels: &'static [&'static str],
    shape: IntGaugeVec,
    objects: Store<K>,
    read: ReadGauges<K>,
}

impl<K: Lookup<DynamicType = ()> + Clone + 'static> WatchedCollector<K> {
    /// What `read` finds in `objects`, with these labels.
    ///
    /// # Errors
    /// When the name is no name of a metric, which would be a defect.
    pub fn new(
        opts: Opts,
        labels: &'static [&'static str],
        objects: Store<K>,
        read: ReadGauges<K>,
    ) -> prometheus::Result<Self> {
        let shape = IntGaugeVec::new(opts.clone(), labels)?;
        Ok(Self { opts, labels, shape, objects, read })
    }
}

impl<K> Collector for WatchedCollector<K>
where
    K: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn desc(&self) -> Vec<&Desc> {
        self.shape.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauges) = IntGaugeVec::new(self.opts.clone(), self.labels) else {
            return Vec::new();
        };
        for object in self.objects.state() {
            let set = &mut |labels: &[&str], value| gauges.with_label_values(labels).set(value);
            (self.read)(&object, set);
        }
        gauges.collect()
    }
}
