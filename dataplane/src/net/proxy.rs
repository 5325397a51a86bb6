//! A tunnel through an HTTP proxy.
//!
//! Level 2. Source: RFC 9110, section 9.3.6. No credentials are ever sent to a proxy: requests are signed
//! for SQS, and travel inside the tunnel.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use glommio::net::TcpStream;

use super::Target;
use super::error::Fault;
use super::http1;
use super::stream::{poll_read, poll_write_all};
use super::watchdog::Watch;

/// Asks the proxy at the other end of `tcp` for a tunnel to the target.
///
/// # Errors
/// The proxy refuses, closes, answers with something else, or not in time.
pub(super) async fn tunnel(tcp: &mut TcpStream, target: &Target, watch: &Watch) -> Result<(), Fault> {
    let authority = authority(target);
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let mut sent = 0;
    let mut answer = Vec::new();
    let mut scanned = 0;
    let status = poll_fn(|context| {
        let polled = poll_tunnel(tcp, context, request.as_bytes(), &mut sent, &mut answer, &mut scanned);
        watch.or_expired(context, "asking the proxy", polled)
    })
    .await?;
    if (200..300).contains(&status) { Ok(()) } else { Err(Fault::Proxy(status)) }
}

fn poll_tunnel(
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
    request: &[u8],
    sent: &mut usize,
    answer: &mut Vec<u8>,
    scanned: &mut usize,
) -> Poll<Result<u16, Fault>> {
    ready!(poll_write_all(tcp, context, request, sent))?;
    loop {
        let mut bytes = [0; 1024];
        let came = ready!(poll_read(tcp, context, &mut bytes))?;
        if came == 0 {
            return Poll::Ready(Err(Fault::Closed { seen: answer.len() }));
        }
        answer.extend_from_slice(&bytes[..came]);
        let Some(end) = http1::find_end(answer, scanned)? else { continue };
        let (frame, head) = http1::parse(&answer[..end])?;
        if frame.interim {
            return Poll::Ready(Err(Fault::Protocol("the proxy sends interim answers")));
        }
        // A refusal may have a body, which nobody reads. A tunnel is silent until the client has spoken.
        let tunnelled = (200..300).contains(&head.status) && answer.len() > end;
        return Poll::Ready(if tunnelled {
            Err(Fault::Protocol("the target speaks before it is asked"))
        } else {
            Ok(head.status)
        });
    }
}

/// Host and port, an IPv6 address in brackets.
fn authority(target: &Target) -> String {
    let host = target.host.trim_start_matches('[').trim_end_matches(']');
    if host.contains(':') { format!("[{host}]:{}", target.port) } else { format!("{host}:{}", target.port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_have_brackets_around_ipv6() {
        let authority =
            |host: &str| authority(&Target { tls: true, host: host.to_owned(), port: 443, proxy: None });
        assert_eq!(authority("sqs.eu-west-1.amazonaws.com"), "sqs.eu-west-1.amazonaws.com:443");
        assert_eq!((authority("::1"), authority("[::1]")), ("[::1]:443".to_owned(), "[::1]:443".to_owned()));
    }
}
