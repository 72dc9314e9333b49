//! `bookingq simulate`: simulated services to develop and test against.

use std::net::SocketAddr;

use bookingq_serve::Signals;
use bookingq_sim::simulator::At;
use bookingq_sim::spec::{BookingSpec, ServiceSpec};
use bookingq_sim::{BookingSim, RealtimeSim, Simulator, SimulatorConfig, TicketServiceSim};

use crate::failure::Failure;

/// Run a Booking Service, a Ticket Service and a Realtime Service to develop and test against
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq simulate --booking stock=5000,latency=20ms,errors=5%,lost_replies=2%
  curl http://127.0.0.1:6080/ledger                      # all reservations and their states
  curl -X PUT http://127.0.0.1:6080/faults -d '{\"errors\":\"50%\"}'   # until the next PUT
  curl -X POST 'http://127.0.0.1:6080/pause?for=30s'     # the services stop answering for 30 s
  bookingq simulate --booking items=A:1000,B:500,returns=A:3@20s
  curl -X POST 'http://127.0.0.1:6080/restock?item=A&quantity=3'   # also: /withdraw

Settings of --booking: stock (of each item without one), items (A:1000,B:500), returns and sales of
another channel (A:3@20s), counts (on, or off: answers do not say what is left), latency, jitter,
errors, lost_replies, rejects, confirm_rejects, lies (\"sold out\" although stock is left),
ticket_lies (of the Ticket Service), keeps, seed.
Settings of --ticket and --realtime: latency, jitter, errors, lost_replies, seed.")]
pub struct Args {
    /// Stock and faults of the Booking Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_BOOKING",
        value_name = "KEY=VALUE,…",
        default_value = "stock=1000"
    )]
    booking: BookingSpec,
    /// Faults of the Ticket Service
    #[arg(long, env = "BOOKINGQ_SIMULATE_TICKET", value_name = "KEY=VALUE,…", default_value = "")]
    ticket: ServiceSpec,
    /// Faults of the Realtime Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_REALTIME",
        value_name = "KEY=VALUE,…",
        default_value = ""
    )]
    realtime: ServiceSpec,
    /// gRPC address of the Booking Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_BOOKING_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6001"
    )]
    booking_listen: SocketAddr,
    /// gRPC address of the Ticket Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_TICKET_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6002"
    )]
    ticket_listen: SocketAddr,
    /// gRPC address of the Realtime Service
    #[arg(
        long,
        env = "BOOKINGQ_SIMULATE_REALTIME_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6003"
    )]
    realtime_listen: SocketAddr,
    /// HTTP port to inspect the services and inject faults: /ledger, /faults, /pause, /resume,
    /// /restock, /withdraw, /clients, /stats
    #[arg(
        long,
        env = "BOOKINGQ_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6080"
    )]
    admin_listen: SocketAddr,
}

/// Runs until a signal comes.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let config = SimulatorConfig {
        booking: Some(At { spec: args.booking, listen: args.booking_listen }),
        ticket_service: Some(At { spec: args.ticket, listen: args.ticket_listen }),
        realtime: Some(At { spec: args.realtime, listen: args.realtime_listen }),
        admin: Some(args.admin_listen),
    };
    let simulator = Simulator::start(config).await?;
    let addresses = [
        ("booking ", simulator.booking.as_ref().map(BookingSim::address)),
        ("ticket  ", simulator.ticket_service.as_ref().map(TicketServiceSim::address)),
        ("realtime", simulator.realtime.as_ref().map(RealtimeSim::address)),
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
