//! The arguments of the two processes of a queue: worker and sweeper.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_core::defaults;
use clap::Args;
use serde::Serialize;

use super::groups::{DrainArgs, ProcessingArgs, RedisArgs, ServerArgs};
use super::service::{BookingArgs, RealtimeArgs, ServiceArgs, TicketArgs};
use super::{InvalidArgs, to_args, with_env};
use crate::duration::DurationString;
use crate::plan::Plan;

/// The arguments of `bookingq worker`.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerArgs {
    /// Name of the queue
    #[arg(long, value_name = "NAME", value_parser = QueueName::new)]
    pub queue: QueueName,
    /// Name of this worker in logs, leases and metrics [default: host name and process id]
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Address of the gRPC port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Serve no client before the rules of the sale (opening time, outflow, sold out items) are in
    /// the store
    #[arg(long)]
    pub await_rules: bool,
    /// The Booking Service: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub booking: String,
    /// The Ticket Service, if there is one
    #[arg(long, value_name = "URL")]
    pub ticket: Option<String>,
    /// The Realtime Service, if there is one
    #[arg(long, value_name = "URL")]
    pub realtime: Option<String>,
    /// Redis.
    #[command(flatten)]
    #[serde(flatten)]
    pub redis: RedisArgs,
    /// Processing.
    #[command(flatten)]
    #[serde(flatten)]
    pub processing: ProcessingArgs,
    /// Shutdown.
    #[command(flatten)]
    #[serde(flatten)]
    pub drain: DrainArgs,
    /// The gRPC port.
    #[command(flatten)]
    #[serde(flatten)]
    pub server: ServerArgs,
    /// Calls to the Booking Service.
    #[command(flatten)]
    pub booking_call: BookingArgs,
    /// Calls to the Ticket Service.
    #[command(flatten)]
    pub ticket_call: TicketArgs,
    /// Calls to the Realtime Service.
    #[command(flatten)]
    pub realtime_call: RealtimeArgs,
}

impl WorkerArgs {
    /// The arguments for the plan, for a worker that listens at `listen`.
    pub fn of(plan: &Plan, listen: SocketAddr) -> Self {
        let (ticket, realtime) = (plan.ticket.as_ref(), plan.realtime.as_ref());
        let call = |service| Option::map_or_else(service, ServiceArgs::default, ServiceArgs::of);
        Self {
            queue: plan.queue.clone(),
            id: None,
            listen,
            admin_listen: None,
            await_rules: false,
            booking: plan.booking.endpoint.to_string(),
            ticket: ticket.map(|service| service.endpoint.to_string()),
            realtime: realtime.map(|service| service.endpoint.to_string()),
            redis: RedisArgs::of(plan),
            processing: ProcessingArgs::of(plan),
            drain: DrainArgs {
                grace: DurationString::new(plan.worker.grace),
                linger: DurationString::new(plan.worker.linger),
            },
            server: ServerArgs::default(),
            booking_call: ServiceArgs::of(&plan.booking).into(),
            ticket_call: call(ticket).into(),
            realtime_call: call(realtime).into(),
        }
    }

    /// The command line that parses to the same arguments, `worker` first.
    pub fn to_args(&self) -> Vec<String> {
        to_args("worker", self)
    }

    /// The time to shut down.
    ///
    /// # Errors
    /// [`InvalidArgs`] if it is too short for the last call to finish.
    pub fn grace(&self) -> Result<Duration, InvalidArgs> {
        let booking = ServiceArgs::from(self.booking_call.clone());
        let needed = DurationString::new(self.drain.linger.get() + booking.timeout.get());
        if self.drain.grace < needed {
            return Err(InvalidArgs {
                flag: "grace".to_owned(),
                value: self.drain.grace.to_string(),
                allowed: format!("at least {needed}, which is --linger plus --booking-timeout"),
            });
        }
        Ok(self.drain.grace.get())
    }
}

/// The arguments of `bookingq sweep`.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct SweepArgs {
    /// Name of the queue
    #[arg(long, value_name = "NAME", value_parser = QueueName::new)]
    pub queue: QueueName,
    /// Sweep until nothing is overdue, then exit
    #[arg(long, env = "BOOKINGQ_SWEEP_ONCE", conflicts_with = "time")]
    pub once: bool,
    /// Sweep for this time, then exit [default: until stopped]
    #[arg(long = "for", id = "time", env = "BOOKINGQ_SWEEP_FOR", value_name = "TIME")]
    #[serde(rename = "for")]
    pub time: Option<DurationString>,
    /// The Booking Service: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub booking: Option<String>,
    /// Name of this sweeper in logs and metrics [default: host name and process id]
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Address of /healthz, /readyz and /metrics [default: not served]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Time to finish the tasks in progress once the sweep is over
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::SWEEP_GRACE))]
    pub grace: DurationString,
    /// Redis.
    #[command(flatten)]
    #[serde(flatten)]
    pub redis: RedisArgs,
    /// Processing.
    #[command(flatten)]
    #[serde(flatten)]
    pub processing: ProcessingArgs,
    /// Calls to the Booking Service.
    #[command(flatten)]
    pub booking_call: BookingArgs,
}

impl SweepArgs {
    /// The arguments for the plan, for a sweeper that runs for `time`.
    pub fn of(plan: &Plan, time: Duration) -> Self {
        Self {
            queue: plan.queue.clone(),
            once: false,
            time: Some(DurationString::new(time)),
            booking: Some(plan.booking.endpoint.to_string()),
            id: None,
            admin_listen: None,
            grace: DurationString::new(defaults::SWEEP_GRACE),
            redis: RedisArgs::of(plan),
            processing: ProcessingArgs::of(plan),
            booking_call: ServiceArgs::of(&plan.booking).into(),
        }
    }

    /// The command line that parses to the same arguments, `sweep` first.
    pub fn to_args(&self) -> Vec<String> {
        to_args("sweep", self)
    }
}
