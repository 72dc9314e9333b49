//! The arguments of `bookingq worker`, `bookingq sweep` and `bookingq gateway`: parsed by the
//! command line, and written by everything that starts such a process.
//!
//! ```text
//!   Plan ──of──> WorkerArgs ──to_args──> argv of a Pod or a process ──parse──> WorkerArgs
//! ```

mod gateway;
mod groups;
mod kafka;
mod process;
mod service;

pub use gateway::{
    AccessLog, BackendArgs, GatewayArgs, GatewayDrainArgs, IdentityArgs, PublicArgs, QueueAddress,
};
pub use groups::{DrainArgs, ProcessingArgs, RedisAccessArgs, RedisArgs, ServerArgs};
pub use kafka::{KAFKA_PASSWORD, KafkaArgs};
pub use process::{SweepArgs, WorkerArgs};
pub use service::{BookingArgs, RealtimeArgs, ServiceArgs, TicketArgs, WorkersArgs};

use clap::Arg;
use serde::Serialize;
use serde_json::{Map, Value};

/// An argument whose value is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag} is {value}; allowed: {allowed}")]
pub struct InvalidArgs {
    /// The flag, without its dashes.
    pub flag: String,
    /// Its value.
    pub value: String,
    /// The allowed values.
    pub allowed: String,
}

/// Lets the environment set a flag: `BOOKINGQ_LEASE` for `--lease`.
fn with_env(arg: Arg) -> Arg {
    let flag = arg.get_long().filter(|_| arg.get_env().is_none()).map(str::to_owned);
    let Some(flag) = flag else { return arg };
    let name = format!("BOOKINGQ_{}", flag.to_uppercase().replace('-', "_"));
    // clap keeps the name as long as the process runs.
    arg.env(&*name.leak())
}

/// Flags that no field of the resource sets, or that few queues set. They are written only if they
/// differ from the default, because a flag overrides the environment variable that a Pod template
/// may set.
const UNLESS_DEFAULT: [&str; 9] = [
    "redis-acknowledge-replicas",
    "redis-deadline",
    "outbox-entries",
    "max-connection-age",
    "max-requests",
    "max-watches",
    "access-log",
    "issuer",
    "place-lifetime",
];

/// Writes each field of `args` as one word, `--name=value`, and an array as one for each value. The
/// fields of an object `x-call` are those of the service `x`, and mean nothing if `x` is not set.
fn to_args(command: &str, args: &impl Serialize) -> Vec<String> {
    let fields = |args: Value| match args {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let given = fields(serde_json::to_value(args).unwrap_or_default());
    let mut defaults = fields(serde_json::to_value(RedisArgs::default()).unwrap_or_default());
    defaults.extend(fields(serde_json::to_value(ServerArgs::default()).unwrap_or_default()));
    defaults.extend(fields(serde_json::to_value(PublicArgs::default()).unwrap_or_default()));
    defaults.extend(fields(serde_json::to_value(IdentityArgs::default()).unwrap_or_default()));
    let mut words = vec![command.to_owned()];
    for (name, value) in &given {
        if let (Some(service), Value::Object(call)) = (name.strip_suffix("-call"), value) {
            let call = call.iter().filter(|_| given.get(service) != Some(&Value::Null));
            words.extend(call.flat_map(|(name, value)| flags(&format!("{service}-{name}"), value)));
        } else if !(UNLESS_DEFAULT.contains(&name.as_str()) && defaults.get(name) == Some(value)) {
            words.extend(flags(name, value));
        }
    }
    words
}

/// One word for each value of an array.
fn flags(flag: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(|value| flags(flag, value)).collect(),
        Value::Bool(true) => vec![format!("--{flag}")],
        Value::Number(number) => vec![format!("--{flag}={number}")],
        Value::String(text) => vec![format!("--{flag}={text}")],
        _ => Vec::new(),
    }
}
