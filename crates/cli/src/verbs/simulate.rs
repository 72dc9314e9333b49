//! `bookingq simulate`: simulated services to develop and test against.

use std::net::SocketAddr;
use std::path::PathBuf;

use bookingq_identity::{KeyPurpose, KeyRing};
use bookingq_serve::Signals;
use bookingq_sim::checkout::HttpAddress;
use bookingq_sim::simulator::At;
use bookingq_sim::spec::{BookingSpec, ServiceSpec};
use bookingq_sim::{
    BookingSim, CheckoutConfig, RealtimeSim, Simulator, SimulatorConfig, TicketServiceSim,
};

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
    /// The demo checkout.
    #[command(flatten)]
    checkout: CheckoutArgs,
}

/// The demo checkout.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Demo checkout")]
struct CheckoutArgs {
    /// HTTP port of the demo checkout, to which clients come with their pass and pay: join with
    /// returnUrl=http://ADDRESS/QUEUE [default: not served]
    #[arg(
        long = "checkout-listen",
        env = "BOOKINGQ_SIMULATE_CHECKOUT_LISTEN",
        value_name = "ADDRESS",
        requires = "key"
    )]
    listen: Option<SocketAddr>,
    /// Key file of purpose `backend` (`bookingq keys new` makes it; the gateway needs it too)
    #[arg(long = "checkout-key", env = "BOOKINGQ_SIMULATE_CHECKOUT_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Public port of the gateway
    #[arg(
        long = "checkout-gateway",
        env = "BOOKINGQ_SIMULATE_CHECKOUT_GATEWAY",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    gateway: HttpAddress,
    /// Backend port of the gateway
    #[arg(
        long = "checkout-backend",
        env = "BOOKINGQ_SIMULATE_CHECKOUT_BACKEND",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081"
    )]
    backend: HttpAddress,
    /// `iss` of passes
    #[arg(
        long = "checkout-issuer",
        env = "BOOKINGQ_SIMULATE_CHECKOUT_ISSUER",
        value_name = "NAME",
        default_value = "bookingq"
    )]
    issuer: String,
    /// `aud` of passes [default: the queue's name]
    #[arg(
        long = "checkout-audience",
        env = "BOOKINGQ_SIMULATE_CHECKOUT_AUDIENCE",
        value_name = "NAME"
    )]
    audience: Option<String>,
}

impl CheckoutArgs {
    /// `None` without a port.
    fn config(self) -> Result<Option<CheckoutConfig>, Failure> {
        // clap accepts a port only together with a key.
        let (Some(listen), Some(file)) = (self.listen, self.key) else {
            return Ok(None);
        };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Failure::usage(format!("cannot read --checkout-key {name}: {error}"))
        })?;
        let keys = KeyRing::parse([(name.as_str(), text.as_str())])
            .map_err(|error| Failure::usage(format!("--checkout-key: {error}")))?;
        if !keys.can_sign(KeyPurpose::Backend) {
            let wrong = "is no key of purpose backend that can sign";
            return Err(Failure::usage(format!("--checkout-key {name} {wrong}")));
        }
        Ok(Some(CheckoutConfig {
            listen,
            gateway: self.gateway,
            backend: self.backend,
            keys,
            issuer: self.issuer,
            audience: self.audience,
        }))
    }
}

/// Runs until a signal comes.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let config = SimulatorConfig {
        booking: Some(At { spec: args.booking, listen: args.booking_listen }),
        ticket_service: Some(At { spec: args.ticket, listen: args.ticket_listen }),
        realtime: Some(At { spec: args.realtime, listen: args.realtime_listen }),
        admin: Some(args.admin_listen),
        checkout: args.checkout.config()?,
    };
    let simulator = Simulator::start(config).await?;
    let addresses = [
        ("booking ", simulator.booking.as_ref().map(BookingSim::address)),
        ("ticket  ", simulator.ticket_service.as_ref().map(TicketServiceSim::address)),
        ("realtime", simulator.realtime.as_ref().map(RealtimeSim::address)),
        ("http    ", simulator.admin_address()),
        ("checkout", simulator.checkout_address()),
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
