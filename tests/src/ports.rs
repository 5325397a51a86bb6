//! Free ports of loopback, for servers that cannot take port 0.

use std::net::TcpListener;

/// A port that nobody listens on now.
///
/// # Errors
/// No port is left.
pub fn free() -> std::io::Result<u16> {
    let [port] = free_many()?;
    Ok(port)
}

/// Distinct ports that nobody listens on now.
///
/// # Errors
/// No port is left.
pub fn free_many<const COUNT: usize>() -> std::io::Result<[u16; COUNT]> {
    // All are held until all are known, so that none comes twice.
    let mut held = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_free() {
        let mut ports = free_many::<20>().unwrap();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(TcpListener::bind(("127.0.0.1", ports[0])).is_ok());
    }
}
