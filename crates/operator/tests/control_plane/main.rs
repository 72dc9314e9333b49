//! The operator against a real API server, etcd and controllers. There is no kubelet and no
//! scheduler.
//!
//! ```text
//!   life       create, change, reject, delete
//!   faults     death after each write, other writers, missing Secrets
//!   scaling    the number of workers follows the line
//!   delays     what hangs, and what it must not delay
//!   pods       Pods that do not start, and which of them are replaced
//!   deletion   what a deleted queue leaves behind, and who adopts it
//!   holds      queues that are paused, and queues that sleep
//!   schema     a CustomResourceDefinition that is older than the operator, and its versions
//!   rivals     other writers of the numbers of Pods
//!   gateways   the gateways of a queue, and their number
//!   rules      the rules of a sale reach the store and bound the workers
//!   policy     the sample of an admission policy
//!   election   two operators, one leader
//!   gitops     tools that apply the manifest of a queue again and again
//!   outage     the API server does not answer for a while
//!   kafka      a queue in Kafka: rules of the API server, topics, readings, settings, TLS, login
//!   updates    changes by another release of the operator wait
//!   backups    a Job for one backup, a CronJob for a schedule, and what their status says
//!   three      a managed Redis of three: its objects, and the record of elections
//! ```
#![allow(clippy::unwrap_used)]

mod backups;
mod budget;
mod cluster;
mod delays;
mod deletion;
mod election;
mod faults;
mod gateways;
mod gitops;
mod holds;
#[cfg(feature = "kafka")]
mod kafka;
mod kafka_rules;
#[cfg(feature = "kafka")]
mod kafka_secured;
mod life;
mod outage;
mod pods;
mod policy;
mod rivals;
mod rules;
mod scaling;
mod schema;
mod testbed;
mod three;
mod updates;
