//! Answers: whole, in pieces, large, and wrong.

use super::*;

#[test]
fn an_answer_is_whole_however_it_is_cut() {
    let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world";
    for size in [1, 7, text.len()] {
        let (answer, reusable) = answered_with(text.chunks(size).map(<[u8]>::to_vec).collect());
        assert_eq!(answer, ok(b"hello world"), "pieces of {size}");
        assert!(reusable);
    }
}

#[test]
fn other_ways_to_end_a_body_are_understood() {
    let (answer, reusable) =
        one("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!((answer, reusable), (ok(b"hello"), true));
    let (answer, reusable) = one("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    assert_eq!((answer, reusable), (ok(b"until the end"), false));
    let (answer, reusable) = one("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!((answer, reusable), (Ok((204, Vec::new())), true));
    let (answer, reusable) = one("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!((answer, reusable), (ok(b"ok"), false));
    let (answer, _) = one("HTTP/1.1 307 Elsewhere\r\nLocation: http://a/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answer, Ok((307, Vec::new())), "the caller's to judge, followed by nobody");
}

#[test]
fn doubtful_answers_are_errors_and_never_kept() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (answer, reusable) = one(text);
        let error = answer.unwrap_err();
        assert!(matches!(error.fault, Fault::Protocol(_)), "{text}: {error:?}");
        assert_eq!((error.sent, error.code(), reusable), (true, "http_protocol", false));
    }
}

#[test]
fn a_large_body_waits_for_room_and_arrives_whole() {
    const BYTES: usize = 5 << 20;
    let (address, thread) = server(1, |mut stream| {
        read_request(&mut stream);
        stream.write_all(&with_length(&pattern(BYTES))).unwrap();
        // The connection is still good.
        read_request(&mut stream);
        stream.write_all(OK).unwrap();
    });
    let (intact, asked, next) = on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        connection.send(REQUEST, soon(PATIENCE_MS)).await.unwrap();
        let mut asked = Vec::new();
        let admit = &mut |context: &mut Context<'_>, bytes: usize| {
            asked.push(bytes);
            if asked.len() < 3 {
                // No room yet; somebody else's end of work would wake us.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        };
        let buffer = ReceiveBuffer::new();
        let check = |_: &Head<'_>, body: &[u8]| body == pattern(BYTES);
        let intact = connection.response(&buffer, soon(PATIENCE_MS), admit, check).await.unwrap();
        (intact, asked, ask(&mut connection, &buffer, PATIENCE_MS).await)
    });
    assert!(intact);
    assert_eq!(next, ok(b"ok"));
    assert_eq!(asked.len(), 3, "asked until there was room, then no more");
    assert!(asked.iter().all(|&bytes| bytes == with_length(&pattern(BYTES)).len()), "{asked:?}");
    thread.join().unwrap();
}

#[test]
fn while_there_is_no_room_the_peer_is_held_back_and_the_deadline_stands() {
    const BYTES: usize = 30 << 20;
    let (address, thread) = server(1, |mut stream| {
        read_request(&mut stream);
        let cut = stream.write_all(&with_length(&vec![b'x'; BYTES]));
        assert!(cut.is_err(), "nobody has room for it");
    });
    let (error, asked) = on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        connection.send(REQUEST, soon(1_500)).await.unwrap();
        let mut asked = 0;
        let admit = &mut |_: &mut Context<'_>, _| {
            asked += 1;
            Poll::Pending
        };
        let answer = connection.response(&ReceiveBuffer::new(), soon(1_500), admit, |_, _| ()).await;
        (answer.unwrap_err(), asked)
    });
    assert_eq!(error.code(), "deadline");
    // The clock of these tests ticks in the same task, every 20 ms.
    assert!((1..300).contains(&asked), "no busy loop: asked {asked} times");
    thread.join().unwrap();
}

#[test]
fn a_large_chunked_body_takes_time_in_proportion() {
    // 600,000 chunks in reads of any size: a decoder that began anew at each read would take minutes.
    const CHUNKS: usize = 600_000;
    let (answer, reusable) = asked(30_000, |mut stream| {
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let coded = b"4\r\nabcd\r\n".repeat(CHUNKS);
        coded.chunks(1400).for_each(|segment| stream.write_all(segment).unwrap());
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    assert_eq!(answer.unwrap().1, b"abcd".repeat(CHUNKS));
    assert!(reusable);
}

#[test]
fn a_thousand_requests_go_through_one_connection() {
    let (address, thread) = server(1, |mut stream| {
        while read_request(&mut stream) {
            stream.write_all(OK).unwrap();
        }
    });
    on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        let buffer = ReceiveBuffer::new();
        for _ in 0..1000 {
            assert_eq!(ask(&mut connection, &buffer, PATIENCE_MS).await, ok(b"ok"));
            assert!(connection.reusable());
        }
    });
    thread.join().unwrap();
}

#[test]
fn many_connections_share_one_buffer_without_mixing_answers() {
    const CONNECTIONS: usize = 20;
    let (address, thread) = server(CONNECTIONS, {
        let mut number = 0;
        move |mut stream| {
            number += 1;
            let body = vec![number as u8; 300_000];
            thread::spawn(move || {
                for _ in 0..5 {
                    read_request(&mut stream);
                    // In pieces, so that all answers are under way at once.
                    with_length(&body).chunks(50_000).for_each(|piece| stream.write_all(piece).unwrap());
                }
            });
        }
    });
    on_executor(move |watchdog| async move {
        let buffer = std::rc::Rc::new(ReceiveBuffer::new());
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (watchdog, buffer) = (watchdog.clone(), std::rc::Rc::clone(&buffer));
                glommio::spawn_local(async move {
                    let mut connection = open(address, &watchdog).await;
                    let mut bodies = Vec::new();
                    for _ in 0..5 {
                        bodies.push(ask(&mut connection, &buffer, PATIENCE_MS).await.unwrap().1);
                    }
                    let mark = bodies[0][0];
                    assert!(bodies.iter().all(|body| body == &vec![mark; 300_000]));
                    mark
                })
            })
            .collect();
        let mut marks = Vec::new();
        for task in tasks {
            marks.push(task.await);
        }
        marks.sort_unstable();
        assert_eq!(marks, (1..=CONNECTIONS as u8).collect::<Vec<_>>());
    });
    thread.join().unwrap();
}
