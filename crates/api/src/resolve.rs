//! From spec to plan: checks every rule that the schema cannot express, and reports all problems
//! at once.
//!
//! Rules of the schema are checked again, because a manifest may come from a file that no API
//! server has seen.

mod backup;
mod gateway;
mod kafka;
mod redis;
mod update;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::autoscale::Policy;
use bookingq_core::backoff::{Backoff, RetryPolicy};
use bookingq_core::limits::MAX_SOLD_OUT_RULES;
use bookingq_core::sale::{Outflow, SaleRules, SoldOutRule, SoldOutRules};
use bookingq_core::{Details, Invalid, QueueName};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::downstream::{DownstreamSpec, Endpoint, Role};
use crate::duration::DurationString;
use crate::plan::{Plan, ScalingPlan, ServicePlan, StorePlan, WorkerPlan};
use crate::quantity;
use crate::sale::{ItemSpec, OutflowSpec};
use crate::spec::{BookingQueueSpec, SweepSpec};
use crate::time::TimeString;

/// One field with a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} is {value}; allowed: {allowed}")]
pub struct FieldProblem {
    /// The field, such as `spec.autoscaling.min`.
    pub path: String,
    /// Its value.
    pub value: String,
    /// The values that are allowed.
    pub allowed: String,
}

/// All problems of a manifest; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<FieldProblem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl BookingQueueSpec {
    /// The plan of the queue `name`, which is `metadata.name`.
    ///
    /// # Errors
    /// [`Problems`]: all of them.
    pub fn resolve(&self, name: &str) -> Result<Plan, Problems> {
        let mut check = SpecCheck::default();
        let queue = check.keep("metadata.name", QueueName::new(name));
        let booking = check.service(Role::Booking, &self.booking);
        // An invalid service is missing here; the problem that it recorded fails the whole below.
        let ticket = self.ticket.as_ref().and_then(|service| check.service(Role::Ticket, service));
        let realtime =
            self.realtime.as_ref().and_then(|service| check.service(Role::Realtime, service));
        let store = check.store(self);
        let worker = check.worker(self);
        let scaling = check.scaling(self, worker.concurrency);
        let hold = check.duration("spec.hold.timeout", self.hold.timeout, SECOND..=WEEK);
        let retention = check.duration("spec.hold.retention", self.hold.retention, MINUTE..=YEAR);
        let sweep = check.sweep(&self.sweep);
        let retry = check.retry(self);
        let admission = self.admission.into();
        let rules = check.rules(self);
        let gateway = check.gateway(self);
        let update = check.update(&self.update);
        let (Some(queue), Some(booking), Some(store), []) =
            (queue, booking, store, check.problems.as_slice())
        else {
            return Err(Problems(check.problems));
        };
        Ok(Plan {
            queue,
            booking,
            ticket,
            realtime,
            store,
            worker,
            scaling,
            hold,
            retention,
            sweep,
            retry,
            admission,
            rules,
            hibernate: self.hibernate,
            gateway,
            data_deletion: self.deletion.data,
            update,
        })
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Checks the parts and collects their problems.
#[derive(Default)]
struct SpecCheck {
    problems: Vec<FieldProblem>,
}

impl SpecCheck {
    fn refuse(&mut self, path: &str, value: impl fmt::Display, allowed: impl Into<String>) {
        self.problems.push(FieldProblem {
            path: path.to_owned(),
            value: value.to_string(),
            allowed: allowed.into(),
        });
    }

    fn keep<T>(&mut self, path: &str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.refuse(path, invalid.value, invalid.allowed)).ok()
    }

    fn number(&mut self, path: &str, value: i32, range: RangeInclusive<u32>) -> u32 {
        let number = u32::try_from(value).ok().filter(|number| range.contains(number));
        number.unwrap_or_else(|| {
            self.refuse(path, value, format!("{} to {}", range.start(), range.end()));
            *range.start()
        })
    }

    fn duration(
        &mut self,
        path: &str,
        value: DurationString,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        if !range.contains(&value.get()) {
            self.refuse(
                path,
                value,
                format!("{} to {}", words(*range.start()), words(*range.end())),
            );
        }
        value.get()
    }

    fn quantity(&mut self, path: &str, text: &str) {
        if !quantity::is_quantity(text) {
            self.refuse(path, format!("{text:?}"), quantity::ALLOWED);
        }
    }

    fn resources(&mut self, path: &str, resources: Option<&ResourceRequirements>) {
        let Some(resources) = resources else { return };
        for (side, quantities) in [("requests", &resources.requests), ("limits", &resources.limits)]
        {
            for (name, Quantity(text)) in quantities.iter().flatten() {
                self.quantity(&format!("{path}.{side}.{name}"), text);
            }
        }
    }

    fn service(&mut self, role: Role, service: &DownstreamSpec) -> Option<ServicePlan> {
        let path = |field: &str| format!("spec.{}.{field}", role.as_str());
        let timeout =
            self.duration(&path("timeout"), service.timeout, 10 * MILLISECOND..=5 * MINUTE);
        let endpoint = self.keep(&path("endpoint"), Endpoint::parse(role, &service.endpoint))?;
        if service.tls.is_some() && !service.endpoint.starts_with("https://") {
            self.refuse(&path("tls"), "set", "only with an endpoint that starts with https://");
        }
        Some(ServicePlan { endpoint, timeout, tls: service.tls.clone() })
    }

    /// By default a Redis, which the operator runs.
    fn store(&mut self, spec: &BookingQueueSpec) -> Option<StorePlan> {
        match &spec.kafka {
            Some(kafka) => self.kafka(spec, kafka).map(StorePlan::Kafka),
            None => self.redis(&spec.redis.clone().unwrap_or_default()).map(StorePlan::Redis),
        }
    }

    fn worker(&mut self, spec: &BookingQueueSpec) -> WorkerPlan {
        let worker = &spec.worker;
        let grace = self.duration("spec.worker.grace", worker.grace, SECOND..=HOUR);
        let linger = self.duration("spec.worker.linger", worker.linger, Duration::ZERO..=HOUR);
        let needed = linger + spec.booking.timeout.get();
        if grace < needed {
            let allowed =
                format!("at least {}, that is linger plus spec.booking.timeout", words(needed));
            self.refuse("spec.worker.grace", worker.grace, allowed);
        }
        if grace < worker.lease.get() {
            let allowed = format!("at least spec.worker.lease ({})", worker.lease);
            self.refuse("spec.worker.grace", worker.grace, allowed);
        }
        self.resources("spec.worker.resources", worker.resources.as_ref());
        WorkerPlan {
            image: worker.image.clone(),
            concurrency: self.number("spec.worker.concurrency", worker.concurrency, 1..=10_000),
            lease: self.duration("spec.worker.lease", worker.lease, SECOND..=10 * MINUTE),
            grace,
            linger,
            tls: worker.tls.clone(),
            resources: worker.resources.clone(),
            pod_template: worker.pod_template.clone(),
        }
    }

    fn scaling(&mut self, spec: &BookingQueueSpec, concurrency: u32) -> ScalingPlan {
        let asked = &spec.autoscaling;
        let min = self.number("spec.autoscaling.min", asked.min, 1..=1000);
        let max = self.number("spec.autoscaling.max", asked.max, 1..=1000);
        if asked.min > asked.max {
            self.refuse(
                "spec.autoscaling.min",
                asked.min,
                format!("at most spec.autoscaling.max ({})", asked.max),
            );
        }
        let percent =
            self.number("spec.autoscaling.utilisationPercent", asked.utilisation_percent, 1..=100);
        let drain_target =
            self.duration("spec.autoscaling.drainTarget", asked.drain_target, SECOND..=HOUR);
        let window = self.duration(
            "spec.autoscaling.scaleDownWindow",
            asked.scale_down_window,
            Duration::ZERO..=HOUR,
        );
        match spec.replicas {
            Some(replicas) => ScalingPlan::Fixed(self.number("spec.replicas", replicas, 0..=1000)),
            None => ScalingPlan::Automatic(Policy {
                min,
                max,
                concurrency,
                utilisation: f64::from(percent) / 100.0,
                drain_target,
                scale_down_window: window,
                ..Policy::default()
            }),
        }
    }

    fn sweep(&mut self, sweep: &SweepSpec) -> Option<String> {
        let fields = sweep.schedule.split_whitespace().count();
        let known =
            sweep.schedule.chars().all(|c| c.is_ascii_alphanumeric() || " */,-?".contains(c));
        if fields != 5 || !known {
            self.refuse(
                "spec.sweep.schedule",
                format!("{:?}", sweep.schedule),
                "five cron fields, such as \"* * * * *\"",
            );
        }
        (!sweep.suspend).then(|| sweep.schedule.clone())
    }

    fn retry(&mut self, spec: &BookingQueueSpec) -> RetryPolicy {
        let retry = &spec.retry;
        let initial = self.duration(
            "spec.retry.initialBackoff",
            retry.initial_backoff,
            10 * MILLISECOND..=HOUR,
        );
        let max =
            self.duration("spec.retry.maxBackoff", retry.max_backoff, 10 * MILLISECOND..=HOUR);
        if initial > max {
            let allowed = format!("at most spec.retry.maxBackoff ({})", retry.max_backoff);
            self.refuse("spec.retry.initialBackoff", retry.initial_backoff, allowed);
        }
        let attempts = self.number("spec.retry.attempts", retry.attempts, 1..=100);
        RetryPolicy { attempts, backoff: Backoff { initial, max } }
    }

    fn rules(&mut self, spec: &BookingQueueSpec) -> SaleRules {
        let opens_at = spec.sale.as_ref().and_then(|sale| sale.opens_at);
        SaleRules {
            opens_at: opens_at.map(TimeString::get),
            outflow: spec.outflow.map(|outflow| self.outflow(&outflow)).unwrap_or_default(),
            sold_out: SoldOutRules {
                default: spec.sold_out.into(),
                items: self.items(&spec.items),
            },
        }
    }

    fn outflow(&mut self, asked: &OutflowSpec) -> Outflow {
        let mut limit = |field: &str, value: Option<i32>, max: u32| {
            value.map(|value| self.number(&format!("spec.outflow.{field}"), value, 1..=max))
        };
        let per_minute = limit("perMinute", asked.per_minute, 1_000_000);
        let burst = limit("burst", asked.burst, 1_000_000);
        let max_holds = limit("maxHolds", asked.max_holds, 100_000_000);
        let outflow = Outflow { per_minute, burst, max_holds };
        if let Err(invalid) = outflow.validate() {
            self.refuse(&format!("spec.{}", invalid.field), invalid.value, invalid.allowed);
        }
        outflow
    }

    fn items(&mut self, items: &[ItemSpec]) -> BTreeMap<Arc<str>, SoldOutRule> {
        let mut rules = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("spec.items[{index}].name");
            let Some(details) = self.keep(&path, Details::new(&item.name, 0, &[])) else {
                continue;
            };
            if rules.insert(details.item, item.sold_out.into()).is_some() {
                self.refuse(&path, format!("{:?}", item.name), "a name that no other entry has");
            }
        }
        if items.len() > MAX_SOLD_OUT_RULES {
            let allowed = format!("at most {MAX_SOLD_OUT_RULES} items");
            self.refuse("spec.items", format!("{} items", items.len()), allowed);
        }
        rules
    }
}

/// A duration as a manifest writes it.
fn words(duration: Duration) -> String {
    DurationString::from_millis(bookingq_core::time::millis(duration)).to_string()
}
