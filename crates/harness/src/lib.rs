//! Runs other programs for `bookingq up`, the tools and the tests.
//!
//! ```text
//!   spec   what to run ──> process   one supervised process (supervisor: its thread)
//!                            ^ redis           one redis-server: port, data directory, durability
//!                            ^ sentinels       a primary with replicas, watched by sentinels
//!                            ^ redis_cluster   a Redis Cluster
//!                            ^ kafka           Kafka brokers
//!                            ^ s3              a server of S3
//!                            ^ control_plane   etcd, API server, controllers
//!   command   a program that ends with this process    usage   CPU and memory from /proc
//!   port      free ports                               wait    waits for a condition
//! ```

pub mod command;
#[cfg(feature = "control-plane")]
pub mod control_plane;
mod error;
pub mod kafka;
pub mod port;
pub mod process;
pub mod redis;
pub mod redis_cluster;
pub mod s3;
pub mod sentinels;
pub mod spec;
mod supervisor;
pub mod usage;
pub mod wait;

pub use rustix::process::Signal;

pub use crate::error::HarnessError;
pub use crate::kafka::{BrokerAddress, KafkaCluster, KafkaOptions, KafkaProtocol};
pub use crate::process::Process;
pub use crate::redis::{Fsync, RedisOptions, RedisServer};
pub use crate::redis_cluster::ClusterNodes;
pub use crate::s3::S3Server;
pub use crate::sentinels::Sentinels;
pub use crate::spec::{ProcessEvent, ProcessSpec, Restart};
pub use crate::usage::ProcessUsage;
