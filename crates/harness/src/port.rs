//! Free ports of the loopback interface.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// A loopback address whose port was free a moment ago.
///
/// # Errors
/// When the system has no free port.
pub fn free_address() -> io::Result<SocketAddr> {
    free_addresses().map(|[address]| address)
}

/// Loopback addresses with different ports, all free a moment ago.
///
/// # Errors
/// When the system has too few free ports.
pub fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    // All listeners stay open until the last port is chosen, so no port is chosen twice.
    let mut listeners = Vec::with_capacity(N);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(addresses)
}
