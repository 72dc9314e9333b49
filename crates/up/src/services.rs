//! The services that a queue calls: simulated in this process where the manifest says so.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_api::args::{KafkaArgs, RedisAccessArgs, RedisArgs, SweepArgs, WorkerArgs};
use bookingq_api::downstream::Endpoint;
use bookingq_api::plan::ServicePlan;
use bookingq_api::{DurationString, Plan};
use bookingq_core::Invalid;
use bookingq_sim::simulator::At;
use bookingq_sim::{
    BookingSim, RealtimeSim, SimSpec, Simulator, SimulatorConfig, TicketServiceSim,
};

use crate::error::UpError;

/// The services that a queue calls.
#[derive(Debug)]
pub struct Services {
    /// The simulated ones; they stop when it is dropped.
    pub simulator: Simulator,
    booking: String,
    ticket: Option<String>,
    realtime: Option<String>,
    redis: RedisAccessArgs,
    kafka: KafkaArgs,
}

impl Services {
    /// Starts what is to be simulated. `overrides` are settings of the simulated Booking Service,
    /// over those of the manifest. Workers and sweepers reach their store as `redis` and `kafka`
    /// say.
    ///
    /// # Errors
    /// [`UpError`] when a simulation is not understood, or a service needs what this computer does
    /// not have.
    pub async fn start(
        plan: &Plan,
        overrides: Option<&str>,
        (redis, kafka): (RedisAccessArgs, KafkaArgs),
    ) -> Result<Self, UpError> {
        if let Some(tls) = &plan.worker.tls {
            return Err(UpError::WorkerTls { secret: tls.secret_name.clone() });
        }
        if plan.hibernate {
            return Err(UpError::Hibernates);
        }
        let simulator = Simulator::start(simulations(plan, overrides)?).await?;
        let booking = simulator.booking.as_ref().map(BookingSim::address);
        let ticket = simulator.ticket_service.as_ref().map(TicketServiceSim::address);
        let realtime = simulator.realtime.as_ref().map(RealtimeSim::address);
        let optional = |service: &Option<ServicePlan>, simulated| {
            service.as_ref().map(|service| endpoint(service, simulated)).transpose()
        };
        Ok(Self {
            booking: endpoint(&plan.booking, booking)?,
            ticket: optional(&plan.ticket, ticket)?,
            realtime: optional(&plan.realtime, realtime)?,
            redis,
            kafka,
            simulator,
        })
    }

    /// The arguments of a worker that calls them.
    pub fn worker_args(&self, plan: &Plan, listen: SocketAddr) -> WorkerArgs {
        let args = WorkerArgs::of(plan, listen);
        WorkerArgs {
            booking: self.booking.clone(),
            ticket: self.ticket.clone(),
            realtime: self.realtime.clone(),
            redis: self.store_args(args.redis),
            ..args
        }
    }

    /// The arguments of the store, with how it is reached.
    fn store_args(&self, args: RedisArgs) -> RedisArgs {
        RedisArgs { access: self.redis.clone(), kafka: self.kafka.clone(), ..args }
    }

    /// The arguments of a sweeper that calls the Booking Service.
    pub fn sweep_args(&self, plan: &Plan, time: Duration) -> SweepArgs {
        let args = SweepArgs::of(plan, time);
        SweepArgs {
            id: Some(format!("{}-sweeper", plan.queue)),
            booking: Some(self.booking.clone()),
            grace: DurationString::new(plan.worker.grace),
            redis: self.store_args(args.redis),
            ..args
        }
    }
}

/// What is to be simulated.
fn simulations(plan: &Plan, overrides: Option<&str>) -> Result<SimulatorConfig, UpError> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = SimulatorConfig::default();
    for service in
        [Some(&plan.booking), plan.ticket.as_ref(), plan.realtime.as_ref()].into_iter().flatten()
    {
        let Endpoint::Simulated(text) = &service.endpoint else { continue };
        let refused = |problem: Invalid| UpError::Simulation { endpoint: text.clone(), problem };
        match text.parse().map_err(refused)? {
            SimSpec::Booking(spec) => config.booking = Some(At { spec, listen }),
            SimSpec::TicketService(spec) => config.ticket_service = Some(At { spec, listen }),
            SimSpec::Realtime(spec) => config.realtime = Some(At { spec, listen }),
        }
    }
    if let Some(overrides) = overrides {
        let booking = config.booking.as_mut().ok_or(UpError::NothingToSimulate)?;
        booking.spec = booking
            .spec
            .clone()
            .with(overrides, ',')
            .map_err(|problem| UpError::Simulation { endpoint: overrides.to_owned(), problem })?;
    }
    config.admin = config.booking.is_some().then_some(listen);
    Ok(config)
}

fn endpoint(service: &ServicePlan, simulated: Option<SocketAddr>) -> Result<String, UpError> {
    let endpoint = match (&service.endpoint, simulated) {
        (Endpoint::Simulated(_), Some(address)) => format!("http://{address}"),
        (Endpoint::Simulated(text) | Endpoint::Grpc(text), _) => text.clone(),
    };
    match &service.tls {
        Some(tls) => Err(UpError::NoSecrets { endpoint, secret: tls.secret_name.clone() }),
        None => Ok(endpoint),
    }
}
