//! A data plane's door and a control plane's links over real sockets: who is let in, what crosses, what ends whom.
//!
//! Method: both ends in one process, certificates made on the fly, a data plane that is a board and a channel.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataplane::config::{Attach, Config, Door, MutualTls, Time};
use dataplane::control::{Command, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::board::fixture::{config, counters, report};
use crate::http::pem::fixture::Authority;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Files of one side, whose certificate of this authority holds this name and was good until that year.
fn files_of(
    authority: &Authority,
    folder: &Path,
    trusted: &Authority,
    name: &str,
    peers: &[&str],
    until: i32,
) -> MutualTls {
    let signed = authority.sign(name, until);
    let file = |what: &str, pem: &str| {
        let file = folder.join(format!("{name}-{until}-{what}.pem"));
        std::fs::write(&file, pem).unwrap();
        file
    };
    MutualTls {
        cert_file: file("cert", &signed.certificate),
        key_file: file("key", &signed.key),
        ca_file: file("ca", &trusted.pem),
        peer_names: peers.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// A data plane of one shard that is a board and a channel.
struct Plane {
    board: Arc<Board>,
    commands: mpsc::Receiver<Command>,
    address: String,
}

impl Plane {
    fn open(listen: &str, name: &str, tls: Option<MutualTls>) -> Plane {
        let door = Door { listen: listen.to_owned(), name: Some(name.to_owned()), tls };
        let gate = Gate::bind(&door).unwrap();
        let address = gate.address().to_owned();
        let board = Arc::new(Board::new(&config(), 1));
        let (sender, commands) = mpsc::channel(8);
        let configs = Configs::new(config(), None, Arc::clone(&board), sender.clone());
        tokio::spawn(gate.serve(configs, Arc::clone(&board), sender));
        let plane = Plane { board, commands, address };
        plane.publish(1);
        plane
    }

    fn publish(&self, turns: u64) {
        self.board.publish(vec![report(0, turns, State::Running, counters())], Vec::new());
    }
}

fn fleet(attach: Vec<Attach>) -> (Fleet, Arc<Board>) {
    let (fleet, board, _) = steered(attach);
    (fleet, board)
}

/// The same with the configurations that it passes on.
fn steered(attach: Vec<Attach>) -> (Fleet, Arc<Board>, Configs) {
    let config = Config { attach, ..config() };
    let board = Arc::new(Board::new(&config, 0));
    let (commands, receiver) = mpsc::channel(8);
    let configs = Configs::new(config, None, Arc::clone(&board), commands);
    let fleet = Fleet::start(configs.clone(), Arc::clone(&board)).unwrap();
    tokio::spawn(fleet.clone().run());
    tokio::spawn(fleet.clone().pass_on(receiver));
    (fleet, board, configs)
}

fn at(address: &str, tls: Option<MutualTls>) -> Attach {
    Attach { address: address.to_owned(), tls }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what} did not come");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Why the one data plane that is to be attached is not.
async fn refusal(attach: Attach) -> String {
    let (fleet, _) = fleet(vec![attach]);
    let told = || fleet.members()[0].absent.clone().unwrap_or_default();
    until("a refusal", || told() != "not attached yet").await;
    assert!(fleet.members()[0].view.is_none(), "nothing was told");
    told()
}

#[test]
fn views_come_up_and_orders_go_down_over_a_socket_that_only_this_user_opens() {
    block_on(async {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        // What a process that was killed has left behind is in nobody's way.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listen = format!("unix:{}", path.display());
        let mut plane = Plane::open(&listen, "a", None);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let second = Gate::bind(&Door { listen: listen.clone(), name: None, tls: None }).err().unwrap();
        assert!(second.to_string().contains("another process listens there"), "{second}");

        let (fleet, board) = fleet(vec![at(&listen, None)]);
        until("its view", || board.view().reports.len() == 1).await;
        assert_eq!(board.view().owner(0), ("a", 0));
        assert_eq!(crate::snapshot::totals(&board.view(), "orders").received, 100);
        let pause = Command::Pause { pipeline: "orders".into() };
        assert_eq!(fleet.send(&pause, Some(&["a".into()])), Ok(()));
        assert!(matches!(plane.commands.recv().await, Some(Command::Pause { .. })));
        assert_eq!(fleet.send(&pause, Some(&["b".into()])), Err(Unsent::Unknown("b".into())));

        let mut changed = config();
        changed.drain.deadline = Time::from_secs(40);
        let order = Command::Apply { epoch: 4, config: Arc::new(changed) };
        fleet.send(&order, None).unwrap();
        let taken = plane.commands.recv().await;
        let Some(Command::Apply { epoch: 4, config }) = taken else { panic!("{taken:?}") };
        assert_eq!(config.drain.deadline, Time::from_secs(40));
        until("the difference", || fleet.members()[0].differs == ["drain.deadline"]).await;
        // A number that is not higher, or a key that needs a restart, reaches no shard.
        fleet.send(&order, None).unwrap();
        let mut frozen = crate::board::fixture::config();
        frozen.pipeline[0].kafka.brokers = vec!["elsewhere:9092".into()];
        fleet.send(&Command::Apply { epoch: 9, config: Arc::new(frozen) }, None).unwrap();
        fleet.send(&Command::Drain, None).unwrap();
        assert!(matches!(plane.commands.recv().await, Some(Command::Drain)), "only the drain came");
        assert_eq!(plane.board.view().phase, Phase::Draining);
    });
}

#[test]
fn a_configuration_that_was_passed_on_is_the_one_that_is_compared_with() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("unix:{}", folder.path().join("door.sock").display());
        let mut plane = Plane::open(&listen, "a", None);
        let (fleet, board, configs) = steered(vec![at(&listen, None)]);
        until("its view", || board.view().reports.len() == 1).await;
        let mut changed = (*configs.current().config).clone();
        changed.drain.deadline = Time::from_secs(40);
        let applying = tokio::spawn(async move { configs.apply(changed, None).await.unwrap() });
        let Some(Command::Apply { epoch, .. }) = plane.commands.recv().await else { panic!() };
        let taken = report(0, 9, State::Running, counters());
        plane.board.publish(vec![dataplane::control::ShardReport { epoch, ..taken }], Vec::new());
        assert_eq!(applying.await.unwrap().taken_by, 1);
        until("no difference", || {
            fleet.members()[0].differs.is_empty() && board.view().reports[0].epoch == epoch
        })
        .await;
        until("a picture of one kind", || board.view().fleet.as_ref().is_some_and(|fleet| !fleet.is_mixed))
            .await;
    });
}

#[test]
fn a_plane_that_falls_silent_is_stale_after_three_seconds_and_no_sooner() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("unix:{}", folder.path().join("door.sock").display());
        let plane = Plane::open(&listen, "a", None);
        let (fleet, board) = fleet(vec![at(&listen, None)]);
        until("its view", || board.view().reports.len() == 1).await;
        for turns in 2..6 {
            sleep(Duration::from_millis(800)).await;
            plane.publish(turns);
        }
        assert_eq!(fleet.members()[0].absent, None);
        until("it to be stale", || fleet.members()[0].absent.is_some()).await;
        assert!(fleet.members()[0].age.unwrap() > STALE);
        until("the sum without it", || board.view().reports.is_empty()).await;
        assert!(fleet.view_of("a").unwrap().reports.len() == 1, "its last word can be read");
        plane.publish(9);
        until("its return", || board.view().reports.len() == 1).await;
    });
}

#[test]
fn over_tcp_both_sides_must_show_the_right_certificate() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (ours, strange) = (Authority::new(), Authority::new());
        let files = |authority: &Authority, name: &str, peers: &[&str], year| {
            files_of(authority, folder.path(), &ours, name, peers, year)
        };
        let plane = Plane::open("tcp:127.0.0.1:0", "a", Some(files(&ours, "plane", &["control"], 2999)));
        let good = at(&plane.address, Some(files(&ours, "control", &["plane"], 2999)));
        let (fleet, board) = fleet(vec![good]);
        until("its view", || board.view().reports.len() == 1).await;
        drop(fleet);
        for (what, attach) in [
            ("no TLS", at(&plane.address, None)),
            ("another authority", at(&plane.address, Some(files(&strange, "control", &["plane"], 2998)))),
            ("another name", at(&plane.address, Some(files(&ours, "somebody", &["plane"], 2999)))),
            ("expired", at(&plane.address, Some(files(&ours, "control", &["plane"], 2001)))),
            ("another data plane", at(&plane.address, Some(files(&ours, "control", &["other"], 2997)))),
        ] {
            let text = refusal(attach).await;
            assert!(!text.is_empty(), "{what}");
        }
        let trusting_others =
            MutualTls { ca_file: folder.path().join("x.pem"), ..files(&ours, "control", &["plane"], 2996) };
        std::fs::write(folder.path().join("x.pem"), &strange.pem).unwrap();
        let text = refusal(at(&plane.address, Some(trusting_others))).await;
        assert!(text.contains("invalid peer certificate"), "{text}");
    });
}

#[test]
fn nonsense_costs_its_own_connection_and_nothing_else() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.sock");
        let listen = format!("unix:{}", path.display());
        let mut plane = Plane::open(&listen, "a", None);
        let claims = [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\xff\xff\xff\xff",
            b"\0\0\0\x0e{\"protocol\":99}",
            b"\0\0\0\x02{}",
            b"",
        ];
        for bytes in claims {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            // The other side may hang up before it has read.
            let _sent = stream.write_all(bytes).await;
            let _closed = stream.shutdown().await;
            let mut answer = Vec::new();
            let _reset = stream.read_to_end(&mut answer).await;
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.contains("hello"), "{text}: nothing was told");
        }
        // More of them than there are places.
        let mut held = Vec::new();
        for _ in 0..12 {
            held.push(UnixStream::connect(&path).await.unwrap());
        }
        sleep(Duration::from_millis(100)).await;
        drop(held);
        let (fleet, board) = fleet(vec![at(&listen, None)]);
        until("its view", || board.view().reports.len() == 1).await;
        fleet.send(&Command::Abort, None).unwrap();
        assert!(matches!(plane.commands.recv().await, Some(Command::Abort)));
    });
}

#[test]
fn every_address_of_a_name_is_attached() {
    block_on(async {
        let listen = "tcp:127.0.0.1:0";
        let plane = Plane::open(listen, "a", None);
        let port = plane.address.rsplit_once(':').unwrap().1;
        let (fleet, board) = fleet(vec![at(&format!("tcp:localhost:{port}"), None)]);
        until("its view", || board.view().reports.len() == 1).await;
        let attached: Vec<Member> =
            fleet.members().into_iter().filter(|member| member.absent.is_none()).collect();
        assert_eq!(attached.len(), 1);
        assert!(attached[0].address.contains("(127.0.0.1:"), "{}", attached[0].address);
        // The port answers nobody else's protocol.
        let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await.unwrap();
        let _sent = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("hello"));
    });
}
