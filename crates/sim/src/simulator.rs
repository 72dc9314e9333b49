//! All simulated services together, with one HTTP port: what `bookingq simulate` runs, and
//! `bookingq up` runs in-process.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::admin::{self, Desk};
use crate::booking::BookingSim;
use crate::realtime::RealtimeSim;
use crate::server::{Served, SimError};
use crate::spec::{BookingSpec, ServiceSpec};
use crate::ticket::TicketSim;

/// A service to run, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<S> {
    /// The service.
    pub spec: S,
    /// Its gRPC port; port 0: any free one.
    pub listen: SocketAddr,
}

/// Which services to run. What is absent is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimulatorConfig {
    /// The Booking Service.
    pub booking: Option<At<BookingSpec>>,
    /// The Ticket Service; needs the Booking Service.
    pub ticket: Option<At<ServiceSpec>>,
    /// The Realtime Service.
    pub realtime: Option<At<ServiceSpec>>,
    /// The HTTP port to look in and to make trouble.
    pub admin: Option<SocketAddr>,
}

impl SimulatorConfig {
    /// All three services and the HTTP port, harmless, on free ports of this computer.
    pub fn local() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            booking: Some(At { spec: BookingSpec::default(), listen }),
            ticket: Some(At { spec: ServiceSpec::default(), listen }),
            realtime: Some(At { spec: ServiceSpec::default(), listen }),
            admin: Some(listen),
        }
    }
}

/// The running services. They stop when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    booking: Option<BookingSim>,
    ticket: Option<TicketSim>,
    realtime: Option<RealtimeSim>,
    admin: Option<Served>,
}

impl Simulator {
    /// Starts what the configuration names.
    ///
    /// # Errors
    /// [`SimError`] when a port cannot be had, or a Ticket Service is wanted without a Booking
    /// Service.
    pub async fn start(config: SimulatorConfig) -> Result<Self, SimError> {
        let mut simulator = Self { booking: None, ticket: None, realtime: None, admin: None };
        if let Some(At { spec, listen }) = config.booking {
            simulator.booking = Some(BookingSim::start(spec, listen).await?);
        }
        if let Some(At { spec, listen }) = config.ticket {
            let booking = simulator.booking.as_ref().ok_or(SimError::TicketWithoutBooking)?;
            simulator.ticket = Some(TicketSim::start(spec, booking.shop().clone(), listen).await?);
        }
        if let Some(At { spec, listen }) = config.realtime {
            simulator.realtime = Some(RealtimeSim::start(spec, listen).await?);
        }
        if let Some(listen) = config.admin {
            simulator.admin = Some(admin::serve(listen, simulator.desk()).await?);
        }
        Ok(simulator)
    }

    /// The Booking Service, if it runs.
    pub fn booking(&self) -> Option<&BookingSim> {
        self.booking.as_ref()
    }

    /// The Ticket Service, if it runs.
    pub fn ticket(&self) -> Option<&TicketSim> {
        self.ticket.as_ref()
    }

    /// The Realtime Service, if it runs.
    pub fn realtime(&self) -> Option<&RealtimeSim> {
        self.realtime.as_ref()
    }

    /// Where the HTTP port is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Served::address)
    }

    /// Closes all ports.
    pub async fn shutdown(self) {
        let Self { booking, ticket, realtime, admin } = self;
        tokio::join!(
            async {
                if let Some(booking) = booking {
                    booking.shutdown().await;
                }
            },
            async {
                if let Some(ticket) = ticket {
                    ticket.shutdown().await;
                }
            },
            async {
                if let Some(realtime) = realtime {
                    realtime.shutdown().await;
                }
            },
            async {
                if let Some(admin) = admin {
                    admin.stop().await;
                }
            },
        );
    }

    fn desk(&self) -> Desk {
        Desk {
            shop: self.booking.as_ref().map(|booking| Arc::clone(booking.shop())),
            ticket: self.ticket.as_ref().map(|ticket| Arc::clone(ticket.conduct())),
            realtime: self.realtime.as_ref().map(|realtime| Arc::clone(realtime.conduct())),
            record: self.realtime.as_ref().map(|realtime| Arc::clone(realtime.record())),
        }
    }
}
