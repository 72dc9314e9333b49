//! From a target to its objects. Pure: the same inputs always build the same objects.
//!
//! ```text
//!   names (every name and label)   pod, volumes, arguments, overlay, backup_files (parts of Pods)
//!     |
//!     |- deployment, service, service_account, disruption_budget, network_policy    the workers
//!     |- cron_job                                                                   the sweeper
//!     |- redis/{stateful_set, service, secret}                                the managed Redis
//!     |- gateway/{config_map, deployment, service, ingress, http_route}               the gateways
//!     |
//!   component (the ordered list of all of them)
//! ```

pub mod arguments;
pub mod backup_files;
pub mod component;
pub mod cron_job;
pub mod deployment;
pub mod disruption_budget;
pub mod gateway;
pub mod inputs;
pub mod names;
pub mod network_policy;
pub mod overlay;
pub mod pod;
pub mod redis;
pub mod service;
pub mod service_account;
pub mod volumes;

pub use component::{Manifest, build};
pub use inputs::BuildInputs;
