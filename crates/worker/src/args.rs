//! From the arguments of `bookingq worker` and `bookingq sweep` to their configurations: the only
//! place where one becomes the other.

use std::path::PathBuf;

use bookingq_api::args::{InvalidArgs, ProcessingArgs, ServiceArgs, SweepArgs, WorkerArgs};
use bookingq_serve::own_name;
use bookingq_serve::tls::{ClientTls, Identity, ServerTls};

use crate::config::{Downstream, ServerLimits, SweepConfig, TaskConfig, WorkerConfig};

impl TryFrom<WorkerArgs> for WorkerConfig {
    type Error = InvalidArgs;

    fn try_from(args: WorkerArgs) -> Result<Self, InvalidArgs> {
        let grace = args.grace()?;
        let ticket = args.ticket.map(|url| downstream("ticket", url, args.ticket_call.into()));
        let realtime =
            args.realtime.map(|url| downstream("realtime", url, args.realtime_call.into()));
        let (booking, server) = (args.booking, args.server);
        let identity = identity("tls", server.certificate, server.key)?;
        Ok(Self {
            id: args.id.unwrap_or_else(own_name),
            listen: args.listen,
            admin: args.admin_listen,
            tls: identity.map(|identity| ServerTls { identity, client_ca: server.client_ca }),
            limits: ServerLimits {
                requests: server.requests as usize,
                watches: server.watches as usize,
                connection_age: server.connection_age.get(),
                ..ServerLimits::default()
            },
            tasks: TaskConfig {
                ticket: ticket.transpose()?,
                ..tasks(&args.processing, booking, args.booking_call.into())?
            },
            await_rules: args.await_rules,
            realtime: realtime.transpose()?,
            grace,
            linger: args.drain.linger.get(),
        })
    }
}

impl TryFrom<SweepArgs> for SweepConfig {
    type Error = InvalidArgs;

    fn try_from(args: SweepArgs) -> Result<Self, InvalidArgs> {
        let call = args.booking_call.into();
        let tasks = args.booking.map(|booking| tasks(&args.processing, booking, call));
        Ok(Self {
            id: args.id.unwrap_or_else(own_name),
            admin: args.admin_listen,
            tasks: tasks.transpose()?,
            grace: args.grace.get(),
        })
    }
}

fn tasks(
    args: &ProcessingArgs,
    booking: String,
    call: ServiceArgs,
) -> Result<TaskConfig, InvalidArgs> {
    Ok(TaskConfig {
        booking: downstream("booking", booking, call)?,
        ticket: None,
        concurrency: args.concurrency as usize,
        lease: args.lease()?,
        hold: args.hold.get(),
        retry: args.retry()?,
    })
}

/// The service whose flags start with `word`.
fn downstream(word: &str, endpoint: String, call: ServiceArgs) -> Result<Downstream, InvalidArgs> {
    let identity = identity(&format!("{word}-tls"), call.certificate, call.key)?;
    let tls = ClientTls { ca: call.ca, identity, server_name: call.server_name };
    let secure = endpoint.starts_with("https://");
    let allowed = if secure || (endpoint.starts_with("http://") && tls == ClientTls::default()) {
        return Ok(Downstream { endpoint, timeout: call.timeout.get(), tls });
    } else if tls == ClientTls::default() {
        "http://HOST:PORT or https://HOST:PORT".to_owned()
    } else {
        format!("https://HOST:PORT, because --{word}-tls-… is set")
    };
    Err(InvalidArgs { flag: word.to_owned(), value: format!("{endpoint:?}"), allowed })
}

/// A certificate with its key, or neither, from the flags `--PREFIX-cert` and `--PREFIX-key`.
///
/// # Errors
/// [`InvalidArgs`] if only one of them is set.
pub fn identity(
    prefix: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Identity>, InvalidArgs> {
    let (set, missing) = match (certificate, key) {
        (Some(certificate), Some(key)) => return Ok(Some(Identity { certificate, key })),
        (None, None) => return Ok(None),
        (Some(_), None) => ("cert", "key"),
        (None, Some(_)) => ("key", "cert"),
    };
    Err(InvalidArgs {
        flag: format!("{prefix}-{set}"),
        value: format!("set without --{prefix}-{missing}"),
        allowed: "both or neither".to_owned(),
    })
}
