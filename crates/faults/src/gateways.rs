//! The gateways of a run: their keys, ports and arguments.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use bookingq_harness::ProcessSpec;
use bookingq_harness::port::free_addresses;
use bookingq_identity::{KeyPurpose, KeyRing, new_key_file};

/// The folder of the keys.
const KEYS: &str = "keys";
/// Time after SIGTERM in which the sockets are closed: short, so that a run sees many drains.
const DRAIN: &str = "2s";

/// The ports of one gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GatewayPorts {
    /// HTTP and WebSockets.
    pub(crate) public: SocketAddr,
    /// Payments.
    pub(crate) backend: SocketAddr,
}

impl GatewayPorts {
    pub(crate) fn free() -> io::Result<Self> {
        free_addresses().map(|[public, backend]| Self { public, backend })
    }
}

/// Makes the keys that all gateways share, so that a client may come back to any of them; and
/// those with which the clients sign what a seller signs.
pub(crate) fn make_keys(folder: &Path) -> Result<KeyRing> {
    let folder = folder.join(KEYS);
    std::fs::create_dir_all(&folder)?;
    for purpose in [KeyPurpose::Place, KeyPurpose::Pass, KeyPurpose::Enqueue, KeyPurpose::Backend] {
        std::fs::write(folder.join(format!("{purpose}.json")), new_key_file(purpose, None, None)?)?;
    }
    KeyRing::load(&folder).with_context(|| format!("cannot read {}", folder.display()))
}

/// The process of a gateway that reaches the workers at `workers`.
pub(crate) fn spec(
    name: &str,
    (program, folder): (&Path, &Path),
    ports: GatewayPorts,
    (queue, workers): (&str, SocketAddr),
) -> ProcessSpec {
    let mut spec = ProcessSpec::new(name, program).arguments([
        "gateway".to_owned(),
        format!("--queue={queue}=http://{workers}"),
        format!("--id={name}"),
        format!("--listen={}", ports.public),
        format!("--backend-listen={}", ports.backend),
        format!("--drain={DRAIN}"),
    ]);
    spec = spec.arguments(["--keys".into(), folder.join(KEYS)]);
    spec = spec.arguments(["--no-address-limits", "--insecure-cookies", "--access-log=errors"]);
    spec = spec.arguments(["--linger=200ms"]);
    spec.port = Some(ports.public);
    spec.log = Some(folder.join(format!("{name}.log")));
    spec
}
