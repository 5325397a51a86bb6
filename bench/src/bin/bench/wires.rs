//! Bytes on the wires: what the kernel counted on each TCP connection of a process, as `ss` shows it.
//!
//! A connection that closes within the window is not counted; where `ss` is missing nothing is.

use std::collections::HashMap;
use std::process::Command;

/// Payload bytes of connections, by their two ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wires {
    connections: HashMap<(u16, u16), Bytes>,
}

/// Payload bytes both ways, as the process sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// Sent.
    pub(crate) sent: u64,
    /// Received.
    pub(crate) received: u64,
}

impl Wires {
    /// Reads the connections of a process; `None` without `ss` (Debian package iproute2).
    pub(crate) fn read(pid: u32) -> Option<Wires> {
        let output = Command::new("ss").args(["-tinpHO", "state", "established"]).output().ok()?;
        output.status.success().then(|| parse(&String::from_utf8_lossy(&output.stdout), pid))
    }

    /// What was added since: to one port, and to all others.
    pub(crate) fn since(&self, before: &Wires, port: u16) -> (Bytes, Bytes) {
        let (mut at, mut elsewhere) = (Bytes::default(), Bytes::default());
        for (ports, now) in &self.connections {
            let then = before.connections.get(ports).copied().unwrap_or_default();
            let sum = if ports.1 == port { &mut at } else { &mut elsewhere };
            sum.sent += now.sent.saturating_sub(then.sent);
            sum.received += now.received.saturating_sub(then.received);
        }
        (at, elsewhere)
    }
}

fn parse(text: &str, pid: u32) -> Wires {
    let mark = format!("pid={pid},");
    // librdkafka's mock cluster leaves its sockets open to children: what the harness holds too is not the target's.
    let is_own =
        |line: &&str| line.contains(&mark) && line.matches("pid=").count() == line.matches(&mark).count();
    Wires { connections: text.lines().filter(is_own).filter_map(connection).collect() }
}

/// `0 0 127.0.0.1:58168 127.0.0.1:52527 users:((…)) … bytes_sent:100 … bytes_received:2 …`
fn connection(line: &str) -> Option<((u16, u16), Bytes)> {
    let mut addresses = line.split_whitespace().filter(|word| word.contains(':')).take(2);
    let mut port = || addresses.next()?.rsplit_once(':')?.1.parse().ok();
    let ports = (port()?, port()?);
    let count = |name: &str| {
        line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok()).unwrap_or(0)
    };
    Some((ports, Bytes { sent: count("bytes_sent:"), received: count("bytes_received:") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
0 0 127.0.0.1:58168 127.0.0.1:9324 users:((\"floor\",pid=7,fd=4)) bbr bytes_sent:100 bytes_acked:101 bytes_received:2
0 0 127.0.0.1:9324 127.0.0.1:58168 users:((\"bench\",pid=8,fd=4)) bbr bytes_sent:2 bytes_received:100
";
    const AFTER: &str = "\
0 0 127.0.0.1:58168 127.0.0.1:9324 users:((\"floor\",pid=7,fd=4)) bbr bytes_sent:150 bytes_received:42
0 0 127.0.0.1:58170 127.0.0.1:9324 users:((\"floor\",pid=7,fd=5)) bbr bytes_sent:1 bytes_received:1
0 0 127.0.0.1:58169 127.0.0.1:9092 users:((\"floor\",pid=7,fd=6)) bbr bytes_sent:10
0 0 127.0.0.1:9092 127.0.0.1:58171 users:((\"floor\",pid=7,fd=3),(\"bench\",pid=8,fd=3)) bbr bytes_sent:5000
";

    #[test]
    fn bytes_are_told_apart_by_process_and_port() {
        let (sqs, kafka) = parse(AFTER, 7).since(&parse(BEFORE, 7), 9324);
        assert_eq!(sqs, Bytes { sent: 51, received: 41 });
        assert_eq!(kafka, Bytes { sent: 10, received: 0 });
        assert_eq!(parse(BEFORE, 9), Wires::default());
    }
}
