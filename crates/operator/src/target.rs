//! Validate: from a `BookingQueue` to what shall be built, with every rule that only holds in a
//! cluster.

use bookingq_api::downstream::Endpoint;
use bookingq_api::plan::RedisSource;
use bookingq_api::{BookingQueue, Plan, Problem, Problems};
use bookingq_core::QueueName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};

/// A queue that was found right: where it is, whose its objects are, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// Makes its objects go when it goes.
    pub owner: OwnerReference,
    /// What its spec means. `plan.queue` is the name in the store: that of the resource where the
    /// Redis is its own, and `namespace.name` where it may be shared, so that two namespaces
    /// can use one name.
    pub plan: Plan,
}

/// Longest name of a queue: the names of its objects are built from it and end up in labels of 63
/// bytes.
const MAX_NAME: usize = 40;

impl Target {
    /// Checks the whole resource.
    ///
    /// # Errors
    /// [`Problems`]: all of them.
    pub fn resolve(queue: &BookingQueue) -> Result<Self, Problems> {
        let (name, namespace) = (queue.name_any(), queue.namespace().unwrap_or_default());
        let resolved = queue.spec.resolve(&name);
        let mut problems = match &resolved {
            Ok(plan) => cluster_problems(plan),
            Err(Problems(found)) => found.clone(),
        };
        problems.extend(name_problem(&name));
        let owner = queue.controller_owner_ref(&());
        let (Ok(mut plan), Some(owner), []) = (resolved, owner, problems.as_slice()) else {
            return Err(Problems(problems));
        };
        if !matches!(plan.redis.source, RedisSource::Managed(_)) {
            let shared = format!("{namespace}.{name}");
            plan.queue = QueueName::new(&shared).map_err(|invalid| {
                Problems(vec![problem("metadata.name", invalid.value, invalid.allowed)])
            })?;
        }
        Ok(Self { name, namespace, owner, plan })
    }
}

fn name_problem(name: &str) -> Option<Problem> {
    let bytes = name.as_bytes();
    let word = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    let ends = bytes.first().is_some_and(u8::is_ascii_lowercase) && bytes.last() != Some(&b'-');
    let fits = word && ends && bytes.len() <= MAX_NAME;
    let allowed = "1 to 40 lower-case letters, digits and '-', starting with a letter";
    (!fits).then(|| problem("metadata.name", format!("{name:?}"), allowed))
}

/// What a manifest may say to `bookingq up`, and what workers in a cluster cannot do yet.
fn cluster_problems(plan: &Plan) -> Vec<Problem> {
    let services = [
        ("spec.booking.endpoint", Some(&plan.booking)),
        ("spec.ticket.endpoint", plan.ticket.as_ref()),
        ("spec.realtime.endpoint", plan.realtime.as_ref()),
    ];
    let mut problems = Vec::new();
    for (path, service) in services {
        if let Some(Endpoint::Simulated(endpoint)) = service.map(|service| &service.endpoint) {
            problems.push(problem(
                path,
                endpoint.clone(),
                "in a cluster, http://HOST[:PORT] or https://HOST[:PORT]",
            ));
        }
    }
    let allowed = "managed, url or urlSecret: the workers of this release connect to one address";
    match &plan.redis.source {
        RedisSource::Sentinel(_) => problems.push(problem("spec.redis.sentinel", "set", allowed)),
        RedisSource::Cluster(_) => problems.push(problem("spec.redis.cluster", "set", allowed)),
        RedisSource::Managed(_) if plan.redis.password.is_some() => {
            problems.push(problem(
                "spec.redis.passwordSecret",
                "set",
                "only with url or urlSecret: a managed Redis has its own",
            ));
        }
        RedisSource::Managed(_) | RedisSource::Url(_) | RedisSource::UrlSecret(_) => {}
    }
    if plan.redis.tls.is_some() {
        let allowed = "absent: rediss:// trusts the system's certificate authorities";
        problems.push(problem("spec.redis.tls", "set", allowed));
    }
    problems
}

/// One thing that is not as it must be.
pub(crate) fn problem(path: &str, value: impl Into<String>, allowed: &str) -> Problem {
    Problem { path: path.to_owned(), value: value.into(), allowed: allowed.to_owned() }
}
