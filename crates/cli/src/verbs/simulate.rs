//! `bookingq simulate`: a Booking Service, Ticket Service and Realtime Service to develop and test
//! against.

use std::net::SocketAddr;

use bookingq_serve::Signals;
use bookingq_sim::simulator::At;
use bookingq_sim::spec::{BookingSpec, ServiceSpec};
use bookingq_sim::{BookingSim, RealtimeSim, Simulator, SimulatorConfig, TicketSim};

use crate::failure::Failure;

/// Run a Booking Service, a Ticket Service and a Realtime Service to develop and test against
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq simulate --booking stock=5000,latency=20ms,errors=5%,lost_replies=2%
  curl http://127.0.0.1:6080/ledger                      # what is held, confirmed and released
  curl -X PUT http://127.0.0.1:6080/faults -d '{\"errors\":\"50%\"}'   # from now on
  curl -X POST 'http://127.0.0.1:6080/pause?for=30s'     # nobody answers for a while

Settings of --booking: stock, latency, jitter, errors, lost_replies, rejects, confirm_rejects, keeps, seed.
Settings of --ticket and --realtime: latency, jitter, errors, lost_replies, seed.")]
pub struct Args {
    /// The Booking Service's stock and faults
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_BOOKING",
        value_name = "KEY=VALUE,…",
        default_value = "stock=1000"
    )]
    booking: BookingSpec,
    /// The Ticket Service's faults
    #[arg(long, env = "BOOKINGQ_SIMULATE_TICKET", value_name = "KEY=VALUE,…", default_value = "")]
    ticket: ServiceSpec,
    /// The Realtime Service's faults
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_REALTIME",
        value_name = "KEY=VALUE,…",
        default_value = ""
    )]
    realtime: ServiceSpec,
    /// gRPC port of the Booking Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_BOOKING_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6001"
    )]
    booking_listen: SocketAddr,
    /// gRPC port of the Ticket Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_TICKET_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6002"
    )]
    ticket_listen: SocketAddr,
    /// gRPC port of the Realtime Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_REALTIME_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6003"
    )]
    realtime_listen: SocketAddr,
    /// HTTP port to look in and to make trouble: /ledger, /faults, /pause, /resume, /clients,
    /// /stats
    #[arg(
        long,
        env = "BOOKINGQ_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6080"
    )]
    admin_listen: SocketAddr,
}

/// Runs until told to stop.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let config = SimulatorConfig {
        booking: Some(At { spec: args.booking, listen: args.booking_listen }),
        ticket: Some(At { spec: args.ticket, listen: args.ticket_listen }),
        realtime: Some(At { spec: args.realtime, listen: args.realtime_listen }),
        admin: Some(args.admin_listen),
    };
    let simulator = Simulator::start(config).await?;
    let addresses = [
        ("booking ", simulator.booking().map(BookingSim::address)),
        ("ticket  ", simulator.ticket().map(TicketSim::address)),
        ("realtime", simulator.realtime().map(RealtimeSim::address)),
        ("http    ", simulator.admin_address()),
    ];
    for (name, address) in addresses {
        if let Some(address) = address {
            println!("{name}  http://{address}");
        }
    }
    leaving.cancelled().await;
    simulator.shutdown().await;
    Ok(())
}
