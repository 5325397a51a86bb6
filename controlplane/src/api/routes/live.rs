//! The live stream: what changes, as server-sent events by topic, once a second.
//!
//! Events stand in one ring for all readers, each made once. A reader that is slow takes what is there when it
//! comes again and is told how many events it has missed: nobody's slowness costs memory. A reader that comes
//! again with `Last-Event-ID` goes on where it stopped, if the ring still has it.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_lite::Stream;
use futures_lite::stream::unfold;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{alerts, instances, latency, pipelines, queues, shards};
use crate::api::{Asked, Code, Ctx, Principal, Problem, Role, Routes};
use crate::http::Peer;
use crate::store::now_ms;

/// Topics that there are.
const TOPICS: [&str; 8] =
    ["alerts", "config", "instance", "instances", "latency", "pipelines", "queues", "shards"];
/// Events kept: a minute of all topics.
const EVENTS_MAX: usize = 60 * TOPICS.len();
/// Readers at a time, and of one principal.
const READERS_MAX: usize = 64;
const READERS_OF_ONE_MAX: usize = 8;
/// Time between two events of a topic.
const EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at whether a reader may still read.
const RECHECK: Duration = Duration::from_secs(3);
/// Time between two comments on a silent stream, so that proxies keep it open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(live))
}

/// What is wanted.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Topics, separated by commas: instance, latency, pipelines, shards. All without it.
    topics: Option<String>,
}

/// The ring of events and who reads it.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Tells the ids of this process from those of another.
    epoch: i64,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
    readers: Mutex<HashMap<String, usize>>,
}

#[derive(Debug, Default)]
struct Ring {
    next: u64,
    events: VecDeque<Arc<Made>>,
    closed: bool,
}

#[derive(Debug)]
struct Made {
    id: u64,
    topic: &'static str,
    json: String,
}

impl Default for Hub {
    fn default() -> Hub {
        let ring = Mutex::new(Ring { next: 1, ..Ring::default() });
        Hub { epoch: now_ms(), ring, newest: watch::Sender::new(0), readers: Mutex::default() }
    }
}

impl Hub {
    /// Adds an event; the oldest goes when there are too many.
    pub(crate) fn publish(&self, topic: &'static str, content: &impl Serialize) {
        let Ok(json) = serde_json::to_string(content) else { return };
        let mut ring = lock(&self.ring);
        let id = ring.next;
        ring.next += 1;
        ring.events.push_back(Arc::new(Made { id, topic, json }));
        if ring.events.len() > EVENTS_MAX {
            ring.events.pop_front();
        }
        drop(ring);
        self.newest.send_replace(id);
    }

    /// Ends every stream: the door closes.
    pub(crate) fn close(&self) {
        lock(&self.ring).closed = true;
        self.newest.send_modify(|_| {});
    }

    /// Whether anybody reads; figures that nobody reads are not made.
    fn is_read(&self) -> bool {
        !lock(&self.readers).is_empty()
    }

    /// The first event after an id, and how many were missed before it. `None` when there is none yet.
    fn after(&self, id: u64, topics: &[&'static str]) -> Found {
        let ring = lock(&self.ring);
        if ring.closed {
            return Found::Closed;
        }
        let oldest = ring.events.front().map_or(ring.next, |event| event.id);
        let missed = oldest.saturating_sub(id + 1);
        let event = ring.events.iter().find(|event| event.id > id && topics.contains(&event.topic));
        event.map_or(Found::Nothing, |event| Found::Event(Arc::clone(event), missed))
    }

    /// Where a reader begins: after the event that it names, or after the newest.
    fn begin(&self, last_event_id: Option<&str>) -> u64 {
        let newest = lock(&self.ring).next - 1;
        let resumed = last_event_id.and_then(|id| {
            let (epoch, id) = id.split_once('-')?;
            (epoch.parse() == Ok(self.epoch)).then_some(id.parse::<u64>().ok()?)
        });
        resumed.filter(|id| *id <= newest).unwrap_or(newest)
    }

    fn enter(self: &Arc<Self>, principal: &str) -> Result<Seat, Problem> {
        let mut readers = lock(&self.readers);
        let full = |text: String| Err(Problem::new(Code::RateLimited, text).after(5));
        if readers.values().sum::<usize>() >= READERS_MAX {
            return full(format!("{READERS_MAX} streams are open, the most there can be"));
        }
        let mine = readers.entry(principal.to_owned()).or_default();
        if *mine >= READERS_OF_ONE_MAX {
            return full(format!(
                "{READERS_OF_ONE_MAX} streams of {principal} are open, the most there can be"
            ));
        }
        *mine += 1;
        Ok(Seat { hub: Arc::clone(self), principal: principal.to_owned() })
    }
}

enum Found {
    Event(Arc<Made>, u64),
    Nothing,
    Closed,
}

/// Holds the place of a reader until it is dropped.
struct Seat {
    hub: Arc<Hub>,
    principal: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut readers = lock(&self.hub.readers);
        if let Some(count) = readers.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.principal);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which configuration is in force.
#[derive(Serialize)]
struct InForce {
    epoch: u64,
    tag: String,
}

impl InForce {
    fn of(ctx: &Ctx) -> InForce {
        let version = ctx.configs().current();
        InForce { epoch: version.epoch, tag: version.tag }
    }
}

/// Publishes the board's figures while somebody reads.
pub(crate) async fn feed(ctx: Ctx) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let hub = ctx.live();
        if !hub.is_read() {
            continue;
        }
        let view = ctx.board().view();
        hub.publish("alerts", &alerts::now(&ctx));
        hub.publish("config", &InForce::of(&ctx));
        hub.publish("instance", &instances::this(&view));
        hub.publish("instances", &instances::all(&ctx));
        hub.publish("pipelines", &pipelines::all(&view));
        hub.publish("queues", &queues::all(&ctx));
        hub.publish("shards", &shards::all(&view));
        hub.publish("latency", &latency::all(&view));
    }
}

/// Streams what changes, as server-sent events.
///
/// Each topic comes once a second; `id` goes into `Last-Event-ID` of the next request. An event `missed` says how many
/// events a slow reader has missed. The stream ends when the token is no longer valid: come again with a fresh one.
#[utoipa::path(get, path = "/api/v1/live", operation_id = "live", tag = "live",
    params(Wanted, ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event.")),
    responses((status = 200, description = "The events.", body = String, content_type = "text/event-stream")))]
async fn live(
    State(ctx): State<Ctx>,
    Extension(peer): Extension<Peer>,
    principal: Principal,
    headers: HeaderMap,
    Asked(wanted): Asked<Wanted>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let topics = topics(wanted.topics.as_deref())?;
    let hub = Arc::clone(ctx.live());
    let seat = hub.enter(&principal.name)?;
    peer.place.streams();
    let last = hub.begin(headers.get("last-event-id").and_then(|id| id.to_str().ok()));
    let reader = Reader {
        newest: hub.newest.subscribe(),
        checked: Instant::now(),
        missed: 0,
        ctx,
        seat,
        topics,
        last,
        headers,
    };
    Ok(Sse::new(unfold(reader, Reader::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn topics(wanted: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let Some(wanted) = wanted else { return Ok(TOPICS.to_vec()) };
    let known = |name: &str| TOPICS.iter().copied().find(|topic| *topic == name);
    wanted
        .split(',')
        .map(|name| {
            let text = format!("topics: there are {}, separated by commas", TOPICS.join(", "));
            known(name).ok_or_else(|| Problem::new(Code::InvalidParameter, text))
        })
        .collect()
}

/// One reader of the ring.
struct Reader {
    ctx: Ctx,
    seat: Seat,
    topics: Vec<&'static str>,
    last: u64,
    missed: u64,
    headers: HeaderMap,
    checked: Instant,
    newest: watch::Receiver<u64>,
}

impl Reader {
    /// The next event, when there is one. The stream ends when its reader may not read any more.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Reader)> {
        loop {
            if self.checked.elapsed() >= RECHECK {
                self.ctx.accounts().authenticate(&self.headers).await.ok()?;
                self.checked = Instant::now();
            }
            self.newest.mark_unchanged();
            match self.seat.hub.after(self.last, &self.topics) {
                Found::Closed => return None,
                Found::Event(event, missed) if missed > self.missed => {
                    self.missed = missed;
                    self.last = event.id - 1;
                    let told = Event::default().event("missed").data(missed.to_string());
                    return Some((Ok(told), self));
                }
                Found::Event(event, _) => {
                    self.missed = 0;
                    self.last = event.id;
                    let id = format!("{}-{}", self.seat.hub.epoch, event.id);
                    return Some((Ok(Event::default().event(event.topic).id(id).data(&event.json)), self));
                }
                Found::Nothing => {
                    // A closed channel cannot be: the hub is held by the seat.
                    let _late = timeout(RECHECK, self.newest.changed()).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(found: Found) -> Option<(u64, &'static str, u64)> {
        match found {
            Found::Event(event, missed) => Some((event.id, event.topic, missed)),
            Found::Nothing | Found::Closed => None,
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped_and_begins_with_what_is_new() {
        let hub = Hub::default();
        hub.publish("shards", &1);
        hub.publish("latency", &2);
        assert_eq!(hub.begin(None), 2);
        assert_eq!(hub.begin(Some(&format!("{}-1", hub.epoch))), 1);
        assert_eq!(seen(hub.after(1, &TOPICS)), Some((2, "latency", 0)));
        assert_eq!(seen(hub.after(0, &["latency"])), Some((2, "latency", 0)));
        for other in ["1-1", "x", "-", "", &format!("{}-99", hub.epoch)] {
            assert_eq!(hub.begin(Some(other)), 2, "{other}: another process, or nonsense");
        }
    }

    #[test]
    fn a_slow_reader_costs_no_memory_and_learns_what_it_missed() {
        let hub = Hub::default();
        for n in 0..EVENTS_MAX as u64 + 100 {
            hub.publish("shards", &n);
        }
        assert_eq!(lock(&hub.ring).events.len(), EVENTS_MAX);
        assert_eq!(seen(hub.after(0, &TOPICS)), Some((101, "shards", 100)));
    }

    #[test]
    fn streams_are_bounded_by_principal_and_in_all() {
        let hub = Arc::new(Hub::default());
        let mine: Vec<Seat> = (0..READERS_OF_ONE_MAX).map(|_| hub.enter("ada").unwrap()).collect();
        assert_eq!(hub.enter("ada").err().map(|problem| problem.code()), Some(Code::RateLimited));
        let others: Vec<Seat> =
            (READERS_OF_ONE_MAX..READERS_MAX).map(|n| hub.enter(&format!("user{n}")).unwrap()).collect();
        assert!(hub.enter("bob").is_err());
        drop((mine, others));
        assert!(!hub.is_read());
    }

    #[test]
    fn unknown_topics_are_refused() {
        assert_eq!(topics(Some("shards,latency")).unwrap(), ["shards", "latency"]);
        assert!(topics(Some("shards,secrets")).unwrap_err().detail().contains("instance, instances"));
        assert!(topics(Some("")).is_err());
    }
}
