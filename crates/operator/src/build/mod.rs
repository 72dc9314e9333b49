//! Build: from a target to its objects. Pure: the same target, Secrets and environment always give the
//! same objects.
//!
//! ```text
//!   names (every name and label)   pod, volumes, arguments, overlay (what Pods are made of)
//!     |
//!     |- deployment, service, service_account, disruption_budget, network_policy    the workers
//!     |- cron_job                                                                   the sweeper
//!     '- redis/{stateful_set, service, secret}                                      the managed Redis
//! ```

pub mod arguments;
pub mod cron_job;
pub mod deployment;
pub mod disruption_budget;
pub mod names;
pub mod network_policy;
pub mod overlay;
pub mod pod;
pub mod redis;
pub mod service;
pub mod service_account;
pub mod volumes;

use bookingq_api::Problems;
use bookingq_api::plan::RedisSource;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::environment::OperatorEnvironment;
use crate::secrets::Secrets;
use crate::target::Target;

/// All objects of a queue but the Secret of its Redis, in the order in which they are applied: what
/// others need comes first.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// Whom the Pods run as.
    pub service_account: ServiceAccount,
    /// Who may reach what.
    pub network_policies: Vec<NetworkPolicy>,
    /// The doors, and that of the managed Redis.
    pub services: Vec<Service>,
    /// The managed Redis.
    pub stateful_set: Option<StatefulSet>,
    /// The workers.
    pub deployment: Deployment,
    /// How many workers may be missing.
    pub disruption_budget: PodDisruptionBudget,
    /// The sweeper, unless suspended.
    pub cron_job: Option<CronJob>,
}

/// Builds them all.
///
/// # Errors
/// [`Problems`] if what the user lays over the Pods does not fit.
pub fn build(
    target: &Target,
    secrets: &Secrets,
    environment: &OperatorEnvironment,
) -> Result<Objects, Problems> {
    let mut objects = Objects {
        service_account: service_account::build(target),
        network_policies: vec![network_policy::workers(target)],
        services: vec![service::door(target), service::headless(target)],
        stateful_set: None,
        deployment: deployment::build(target, secrets, environment)?,
        disruption_budget: disruption_budget::build(target),
        cron_job: cron_job::build(target, secrets, environment)?,
    };
    if let RedisSource::Managed(managed) = &target.plan.redis.source {
        objects.network_policies.push(network_policy::redis(target, environment));
        objects.services.push(redis::service::build(target));
        objects.stateful_set = Some(redis::stateful_set::build(
            target,
            managed,
            &secrets.only(&names::redis(&target.name)),
        ));
    }
    Ok(objects)
}
