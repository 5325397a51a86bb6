//! The watch as a whole: views in, seconds, bills, alerts and stored minutes out.

use dataplane::control::{ShardReport, State as PipelineState};
use dataplane::stats::Counters;

use super::*;
use crate::board::fixture::{config, report};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A view of one shard that has run for so many seconds at 100 messages a second.
fn view(second: u64, state: PipelineState) -> View {
    let board = Board::new(&config(), 1);
    let counters = Counters {
        received: second * 100,
        delivered: second * 100,
        receives: second * 10,
        receive_chunks: second * 10,
        deletes: second * 10,
        ..Counters::default()
    };
    let one = ShardReport { at_ns: (second + 1) * 1_000_000_000, ..report(0, second, state, counters) };
    board.publish(vec![one], Vec::new());
    View::clone(&board.view())
}

/// Second 0 is the beginning of a minute of today.
fn at(second: u64) -> Moment {
    let beginning = now_ms() / 60_000 * 60_000 - 3_600_000;
    Moment { wall_ms: beginning + second as i64 * 1_000, mono_ms: second * 1_000 }
}

async fn watch(config: Config, store: &Store) -> Watch {
    Watch::new(Arc::new(config), store.clone()).await.unwrap_or_else(|failure| panic!("{failure}"))
}

fn orders() -> Subject {
    Subject::Pipeline("orders".to_owned())
}

#[test]
fn a_minute_of_views_becomes_seconds_a_bill_and_a_stored_row() {
    block_on(async {
        let store = Store::in_memory();
        let watch = watch(config(), &store).await;
        for second in 0..=62 {
            watch.look(&view(second, PipelineState::Running), at(second), &config());
        }
        watch.with(|state| {
            let cells = state.history.cells(&orders(), i64::MIN, i64::MAX).unwrap();
            assert_eq!(cells.len(), 63);
            let Cell::Point(point) = &cells[62].1 else { panic!("{cells:?}") };
            assert_eq!(point.rate(0), 100.0);
            let bill = &state.bills["orders"];
            assert_eq!(bill.requests_per_minute, Some(1_200.0));
            assert_eq!(bill.requests_per_message, Some(0.2));
            assert_eq!(state.bills_total["orders"].requests_total, 62 * 20);
        });
        let from = at(0).wall_ms;
        for _ in 0..200 {
            let subject = orders();
            let rows =
                store.call(move |connection| rows::read(connection, &subject, from, i64::MAX)).await.unwrap();
            if let [row] = rows.as_slice() {
                assert_eq!((row.minute_ms, row.covers_ms, row.counts[0]), (from, 60_000, 6_000));
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the minute was not stored");
    });
}

#[test]
fn a_broken_pipeline_fires_after_its_minute_and_survives_a_restart() {
    block_on(async {
        let store = Store::in_memory();
        let one = watch(config(), &store).await;
        for second in 0..=70 {
            one.look(&view(second, PipelineState::Broken), at(second), &config());
        }
        let firing = |watch: &Watch| -> Vec<(String, i64)> {
            let alerts = watch.with(|state| state.book.active(now_ms()));
            let broken = alerts.into_iter().filter(|alert| alert.key.rule == "breaker-open");
            broken
                .filter(|alert| alert.state == alerts::AlertState::Firing)
                .map(|a| (a.key.subject, a.since_ms))
                .collect()
        };
        assert_eq!(firing(&one), [("orders".to_owned(), at(60).wall_ms)]);
        let figures = one.figures();
        assert_eq!(figures.alerts[&("breaker-open".to_owned(), "page", "firing")], 1);
        for _ in 0..200 {
            if store.call(|connection| alerts::rows::active(connection)).await.unwrap().len() == 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
        let two = watch(config(), &store).await;
        assert_eq!(firing(&two), [("orders".to_owned(), at(60).wall_ms)]);
    });
}

#[test]
fn without_a_store_seconds_and_alerts_work() {
    block_on(async {
        let store = Store::without("no disk".to_owned());
        let watch = watch(config(), &store).await;
        for second in 0..=70 {
            watch.look(&view(second, PipelineState::Broken), at(second), &config());
            tokio::task::yield_now().await;
        }
        assert!(watch.lost_minutes() > 0);
        let active = watch.with(|state| state.book.active(now_ms()));
        assert!(active.iter().any(|alert| alert.key.rule == "breaker-open"), "{active:?}");
    });
}

#[test]
fn a_budget_of_requests_is_a_rule() {
    block_on(async {
        let mut config = config();
        config.cost.requests_per_minute_max = Some(1_000);
        let watch = watch(config.clone(), &Store::in_memory()).await;
        for second in 0..=150 {
            watch.look(&view(second, PipelineState::Running), at(second), &config);
        }
        let active = watch.with(|state| state.book.active(now_ms()));
        let budget = active.iter().find(|alert| alert.key.rule == "request-budget").unwrap();
        assert_eq!((budget.state, budget.value), (alerts::AlertState::Firing, Some(1_200.0)));
    });
}

#[test]
fn rules_that_are_wrong_and_receivers_that_cannot_work_are_refused_at_the_start() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.toml");
        std::fs::write(&file, "[[rule]]\nname = \"x\"\n").unwrap();
        let mut wrong = config();
        wrong.alerts.rules_file = Some(file);
        let failure = Watch::new(Arc::new(wrong), Store::in_memory()).await.unwrap_err();
        assert_eq!(failure.code, 78);
        assert!(failure.text.contains("rules.toml") && failure.text.contains("summary"), "{failure}");
        let mut missing = config();
        missing.alerts.rules_file = Some("/nowhere/rules.toml".into());
        assert!(Watch::new(Arc::new(missing), Store::in_memory()).await.is_err());
        let mut hook = config();
        hook.alerts.webhook.push(dataplane::config::Webhook {
            name: "ops".to_owned(),
            url: "http://10.0.0.1/".to_owned(),
            secret: dataplane::config::SecretRef::Env("NOT_READ".to_owned()),
            allow_http: false,
            pages_only: false,
        });
        let failure = Watch::new(Arc::new(hook), Store::in_memory()).await.unwrap_err();
        assert!(failure.text.starts_with("alerts.webhook.ops.url"), "{failure}");
    });
}
