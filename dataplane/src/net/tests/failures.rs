//! Failures: cuts, resets, silence, closed and dead peers.

use super::*;

fn cut_after(bytes: &'static [u8], end: fn(TcpStream)) -> NetError {
    let (answer, reusable) = asked(PATIENCE_MS, move |mut stream| {
        read_request(&mut stream);
        stream.write_all(bytes).unwrap();
        // A reset overtakes what has not been read: the answer must have arrived.
        thread::sleep(Duration::from_millis(100));
        end(stream.try_clone().unwrap());
    });
    assert!(!reusable);
    answer.unwrap_err()
}

#[test]
fn a_cut_answer_tells_how_much_came_and_that_the_server_may_have_acted() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
    let error = cut_after(half, drop);
    assert_eq!(error, NetError { fault: Fault::Closed { seen: half.len() }, sent: true });
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    assert!(matches!(cut_after(chunked, drop).fault, Fault::Closed { .. }));
    assert_eq!(cut_after(b"", drop), NetError { fault: Fault::Closed { seen: 0 }, sent: true });
    let error = cut_after(half, reset);
    assert_eq!((error.code(), error.sent), ("connection_failed", true), "{error}");
}

/// Answers once, does `then` with the idle connection, and lets the client ask again.
fn idle(then: impl Fn(TcpStream) + Send + 'static) -> NetError {
    let (answered, turn) = std::sync::mpsc::channel();
    let (address, thread) = server(1, move |mut stream| {
        read_request(&mut stream);
        stream.write_all(OK).unwrap();
        turn.recv().unwrap();
        then(stream);
    });
    on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        let buffer = ReceiveBuffer::new();
        assert_eq!(ask(&mut connection, &buffer, PATIENCE_MS).await, ok(b"ok"));
        assert!(connection.reusable());
        answered.send(()).unwrap();
        thread.join().unwrap();
        settle().await;
        let error = ask(&mut connection, &buffer, PATIENCE_MS).await.unwrap_err();
        assert!(!connection.reusable());
        error
    })
}

#[test]
fn a_connection_that_was_closed_while_idle_has_sent_nothing() {
    assert_eq!(idle(drop), NetError { fault: Fault::Closed { seen: 0 }, sent: false });
    let error = idle(reset);
    assert_eq!((error.code(), error.sent), ("connection_failed", false), "{error}");
}

#[test]
fn words_out_of_turn_end_a_connection_before_the_next_request() {
    let error = idle(|mut stream| stream.write_all(b"HTTP/1.1 408 Timeout\r\n\r\n").unwrap());
    assert_eq!((error.code(), error.sent), ("http_protocol", false), "{error}");
}

#[test]
fn a_slow_drip_does_not_move_the_deadline() {
    let began = clock::now();
    let (answer, _) = asked(300, |mut stream| {
        read_request(&mut stream);
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
        for byte in text.iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let took_ms = clock::now().ms_since(began);
    assert_eq!(answer.unwrap_err().code(), "deadline");
    assert!((300..3000).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn a_peer_that_does_not_read_meets_the_deadline_too() {
    let (address, thread) = server(1, |mut stream| {
        // Wakes up when the client has gone.
        while stream.read(&mut [0; 1 << 16]).is_ok_and(|read| read > 0) {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let error = on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        connection.send(&vec![b'x'; 64 << 20], soon(300)).await.unwrap_err()
    });
    assert_eq!(error, NetError { fault: Fault::Deadline("sending"), sent: true });
    thread.join().unwrap();
}

#[test]
fn the_watchdog_can_fail_everything_in_flight_at_once() {
    let (address, thread) = server(1, |mut stream| {
        read_request(&mut stream);
        assert!(is_at_end(&mut stream), "the client goes away");
    });
    let error = on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        let give_up = async {
            settle().await;
            watchdog.sweep(Tick(u64::MAX));
            std::future::pending().await
        };
        let buffer = ReceiveBuffer::new();
        futures_lite::future::or(ask(&mut connection, &buffer, PATIENCE_MS), give_up).await.unwrap_err()
    });
    assert_eq!((error.code(), error.sent), ("deadline", true));
    thread.join().unwrap();
}

/// A listener whose queue of connections is full: it takes no more, and says nothing.
fn black_hole() -> (SocketAddr, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    for _ in 0..8 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        let _under_way = filler.connect(&address);
        held.push(filler);
    }
    (address.as_socket().unwrap(), held)
}

#[test]
fn a_black_hole_costs_its_share_of_the_time_and_no_more() {
    let (hole, held) = black_hole();
    let began = clock::now();
    let error = on_executor(move |watchdog| async move {
        Connection::open(&target(hole), &[hole], None, soon(400), &watchdog).await.err().unwrap()
    });
    let took_ms = clock::now().ms_since(began);
    assert_eq!((error.code(), error.sent), ("connect_timeout", false), "{error}");
    assert!((350..3000).contains(&took_ms), "{took_ms} ms");
    assert!(error.to_string().contains(&hole.to_string()));

    let (address, thread) = server(1, drop);
    let opened = on_executor(move |watchdog| async move {
        Connection::open(&target(address), &[hole, address], None, soon(2000), &watchdog).await.is_ok()
    });
    assert!(opened, "the next address has its turn");
    thread.join().unwrap();
    drop(held);
}

#[test]
fn refusals_are_told_for_every_address() {
    let dead = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, two) = (dead(), dead());
    let error = on_executor(move |watchdog| async move {
        Connection::open(&target(one), &[one, two], None, soon(PATIENCE_MS), &watchdog).await.err().unwrap()
    });
    assert_eq!((error.code(), error.sent), ("connect_refused", false));
    assert!(error.to_string().contains(&one.to_string()) && error.to_string().contains(&two.to_string()));
    let error = on_executor(move |watchdog| async move {
        Connection::open(&target(one), &[], None, soon(PATIENCE_MS), &watchdog).await.err().unwrap()
    });
    assert_eq!(error.code(), "connect_failed", "no address is no panic");
}

#[test]
fn a_vanished_peer_is_noticed_within_thirty_seconds() {
    let (address, thread) = server(1, |mut stream| assert!(is_at_end(&mut stream)));
    on_executor(move |_| async move {
        let tcp = stream::connect(&[address], soon(PATIENCE_MS)).await.unwrap();
        let socket = SockRef::from(&tcp);
        assert!(socket.nodelay().unwrap() && socket.keepalive().unwrap());
        let silent = socket.keepalive_time().unwrap()
            + socket.keepalive_interval().unwrap() * socket.keepalive_retries().unwrap();
        assert!(silent <= Duration::from_secs(30), "{silent:?}");
        assert!(socket.tcp_user_timeout().unwrap().unwrap() <= Duration::from_secs(30));
    });
    thread.join().unwrap();
}

#[test]
fn dropped_connections_are_closed_whatever_they_were_doing() {
    const CONNECTIONS: usize = 200;
    let (address, thread) = server(CONNECTIONS, |mut stream| {
        if read_request(&mut stream) {
            let _may_be_gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
            assert!(is_at_end(&mut stream));
        }
    });
    on_executor(move |watchdog| async move {
        for number in 0..CONNECTIONS {
            let mut connection = open(address, &watchdog).await;
            if number % 2 == 0 {
                connection.send(REQUEST, soon(PATIENCE_MS)).await.unwrap();
                let admit = &mut |_: &mut Context<'_>, _| Poll::Ready(());
                let buffer = ReceiveBuffer::new();
                let answer = connection.response(&buffer, soon(PATIENCE_MS), admit, |_, _| ());
                assert!(futures_lite::future::poll_once(answer).await.is_none());
            }
        }
        // The last ones are closed by the ring.
        settle().await;
    });
    thread.join().unwrap();
}
