//! Tunnels through an HTTP proxy.

use super::secure::{Authority, Server};
use super::*;

fn through(proxy: SocketAddr, tls: bool, port: u16) -> Target {
    let proxy = Some((proxy.ip().to_string(), proxy.port()));
    Target { tls, host: "localhost".to_owned(), port, proxy }
}

fn refused_by(answer: &'static [u8], ms: u64) -> NetError {
    let (address, thread) = server(1, move |mut stream| {
        assert!(read_request(&mut stream));
        stream.write_all(answer).unwrap();
        assert!(!answer.is_empty() || is_at_end(&mut stream));
    });
    let error = on_executor(move |watchdog| async move {
        let target = through(address, false, 443);
        Connection::open(&target, &[address], None, soon(ms), &watchdog).await.err().unwrap()
    });
    thread.join().unwrap();
    assert!(!error.sent);
    error
}

#[test]
fn a_proxy_that_refuses_is_told_by_its_status() {
    let error =
        refused_by(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", PATIENCE_MS);
    assert_eq!((error.fault.clone(), error.code()), (Fault::Proxy(407), "proxy_refused"));
    assert!(error.to_string().contains("authentication"));
    let error = refused_by(b"HTTP/1.1 403 Forbidden\r\n\r\n<html>denied by policy</html>", PATIENCE_MS);
    assert_eq!(error.fault, Fault::Proxy(403));
}

#[test]
fn a_proxy_cannot_slip_in_an_answer_or_keep_us_waiting() {
    let error = refused_by(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", PATIENCE_MS);
    assert_eq!(error.code(), "http_protocol");
    assert_eq!(refused_by(b"", 200).fault, Fault::Deadline("asking the proxy"));
    let error = refused_by(b"SSH-2.0\r\n\r\n", PATIENCE_MS);
    assert_eq!(error.code(), "http_protocol");
}

#[test]
fn tls_runs_through_the_tunnel_to_the_host_itself() {
    let authority = Authority::new();
    let tls = authority.client();
    let (origin, origin_thread) = Server::trusted(&authority).answering(1);
    let (proxy, proxy_thread) = server(1, move |mut stream| {
        let mut head = [0; 1024];
        let read = stream.read(&mut head).unwrap();
        let expected =
            format!("CONNECT localhost:{0} HTTP/1.1\r\nHost: localhost:{0}\r\n\r\n", origin.port());
        assert_eq!(std::str::from_utf8(&head[..read]).unwrap(), expected, "and no credentials");
        let mut onward = TcpStream::connect(origin).unwrap();
        stream.write_all(b"HTTP/1.0 200 Connection established\r\n\r\n").unwrap();
        let (mut back, mut forth) = (stream.try_clone().unwrap(), onward.try_clone().unwrap());
        let answers = thread::spawn(move || std::io::copy(&mut forth, &mut back));
        let _until_closed = std::io::copy(&mut stream, &mut onward);
        let _gone = onward.shutdown(std::net::Shutdown::Both);
        let _until_closed = answers.join().unwrap();
    });
    let answer = on_executor(move |watchdog| async move {
        let target = through(proxy, true, origin.port());
        let opened = Connection::open(&target, &[proxy], Some(&tls), soon(PATIENCE_MS), &watchdog).await;
        ask(&mut opened.unwrap(), &ReceiveBuffer::new(), PATIENCE_MS).await
    });
    assert_eq!(answer, ok(b"ok"));
    origin_thread.join().unwrap();
    proxy_thread.join().unwrap();
}
