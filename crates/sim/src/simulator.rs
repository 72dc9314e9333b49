//! All simulated services together, with one HTTP port: the process of `bookingq simulate`, and a
//! part of `bookingq up`.

use std::net::SocketAddr;

use crate::admin::{self, AdminState};
use crate::booking::BookingSim;
use crate::checkout::{self, CheckoutConfig};
use crate::realtime::RealtimeSim;
use crate::server::{RunningServer, ServiceSim, SimError};
use crate::spec::{BookingSpec, ServiceSpec};
use crate::ticket_service::TicketServiceSim;

/// A service with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<S> {
    /// The service.
    pub spec: S,
    /// Its gRPC port; port 0: any free one.
    pub listen: SocketAddr,
}

/// The services to run; the absent ones do not run.
#[derive(Debug, Clone, Default)]
pub struct SimulatorConfig {
    /// The Booking Service.
    pub booking: Option<At<BookingSpec>>,
    /// The Ticket Service; needs the Booking Service.
    pub ticket_service: Option<At<ServiceSpec>>,
    /// The Realtime Service.
    pub realtime: Option<At<ServiceSpec>>,
    /// The HTTP port that shows their state and changes their faults.
    pub admin: Option<SocketAddr>,
    /// The demo checkout, to which the waiting-room page sends clients.
    pub checkout: Option<CheckoutConfig>,
}

impl SimulatorConfig {
    /// All three services and the HTTP port, without faults, on free ports of this computer.
    pub fn local() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            booking: Some(At { spec: BookingSpec::default(), listen }),
            ticket_service: Some(At { spec: ServiceSpec::default(), listen }),
            realtime: Some(At { spec: ServiceSpec::default(), listen }),
            admin: Some(listen),
            checkout: None,
        }
    }
}

/// The running services. They stop when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    /// The Booking Service, if it runs.
    pub booking: Option<BookingSim>,
    /// The Ticket Service, if it runs.
    pub ticket_service: Option<TicketServiceSim>,
    /// The Realtime Service, if it runs.
    pub realtime: Option<RealtimeSim>,
    admin: Option<RunningServer>,
    checkout: Option<RunningServer>,
}

impl Simulator {
    /// Starts the configured services.
    ///
    /// # Errors
    /// [`SimError`] if a port is taken, or if a Ticket Service has no Booking Service.
    pub async fn start(config: SimulatorConfig) -> Result<Self, SimError> {
        let mut simulator = Self {
            booking: None,
            ticket_service: None,
            realtime: None,
            admin: None,
            checkout: None,
        };
        if let Some(At { spec, listen }) = config.booking {
            simulator.booking = Some(BookingSim::start(spec, listen).await?);
        }
        if let Some(At { spec, listen }) = config.ticket_service {
            let booking =
                simulator.booking.as_ref().ok_or(SimError::TicketServiceWithoutBooking)?;
            let backend = booking.backend().clone();
            simulator.ticket_service = Some(TicketServiceSim::start(spec, backend, listen).await?);
        }
        if let Some(At { spec, listen }) = config.realtime {
            simulator.realtime = Some(RealtimeSim::start(spec, listen).await?);
        }
        if let Some(listen) = config.admin {
            let state = AdminState {
                booking: simulator.booking.as_ref().map(|booking| booking.backend().clone()),
                ticket_service: simulator.ticket_service.as_ref().map(|sim| sim.injector().clone()),
                realtime: simulator.realtime.as_ref().map(|realtime| realtime.backend().clone()),
            };
            simulator.admin = Some(admin::serve(listen, state).await?);
        }
        if let Some(checkout) = config.checkout {
            simulator.checkout = Some(checkout::serve(checkout).await?);
        }
        Ok(simulator)
    }

    /// The address of the HTTP port, if it is open.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(RunningServer::address)
    }

    /// The address of the demo checkout, if it is open.
    pub fn checkout_address(&self) -> Option<SocketAddr> {
        self.checkout.as_ref().map(RunningServer::address)
    }

    /// Closes all ports.
    pub async fn shutdown(self) {
        let Self { booking, ticket_service, realtime, admin, checkout } = self;
        let servers = [
            booking.map(ServiceSim::into_server),
            ticket_service.map(ServiceSim::into_server),
            realtime.map(ServiceSim::into_server),
            admin,
            checkout,
        ];
        let stopping: Vec<_> =
            servers.into_iter().flatten().map(|server| tokio::spawn(server.stop())).collect();
        for stopped in stopping {
            // A task that panicked has closed its port as well.
            let _ = stopped.await;
        }
    }
}
