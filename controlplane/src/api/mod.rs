//! The API: `/api/v1`, its principals, its document.
//!
//! A route stands in `routes/`, one file for a resource, and is registered with the role that it needs
//! ([`registry::Routes`]). What all of them need is in [`Ctx`]. Connections and the rules of every request are the
//! door's ([`crate::http`]).

mod audit;
pub(crate) mod auth;
mod explorer;
mod extract;
mod guard;
mod idempotency;
mod openapi;
mod paging;
mod principal;
mod problem;
mod rates;
mod registry;
pub(crate) mod routes;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;

use axum::Router;
use dataplane::config::Config;

use crate::appliance::Commands;
use crate::board::Board;
use crate::configs::Configs;
use crate::fleet::Fleet;
use crate::kafka_admin::Visits;
use crate::queues::Queues;
use crate::store::Store;
use crate::watch::Watch;
pub(crate) use audit::Changed;
pub(crate) use auth::Accounts;
pub(crate) use extract::{Asked, At, Input, LongInput};
pub(crate) use idempotency::ShownOnce;
pub(crate) use paging::{Page, Paging};
pub(crate) use principal::{Principal, Proof, Role};
pub(crate) use problem::{Code, FieldFault, Problem};
pub(crate) use rates::{Allowance, Rates};
pub(crate) use registry::Routes;
pub(crate) use routes::{Hub, feed};
pub(crate) use upkeep::keep_up;

/// Short looks at Kafka at a time: each has a client with threads and connections of its own.
const VISITS_MAX: usize = 4;
/// Samples at a time; each takes up to a minute.
const SAMPLES_MAX: usize = 2;

/// What routes work with: cheap to clone.
#[derive(Clone)]
pub(crate) struct Ctx(Arc<Parts>);

struct Parts {
    config: Arc<Config>,
    configs: Configs,
    visits: Visits,
    samples: Visits,
    queues: Queues,
    board: Arc<Board>,
    commands: Commands,
    store: Store,
    accounts: Accounts,
    rates: Rates,
    live: Arc<Hub>,
    watch: Watch,
    fleet: Option<Fleet>,
}

impl Ctx {
    /// Puts together what routes work with.
    pub(crate) fn new(
        configs: Configs,
        board: Arc<Board>,
        commands: Commands,
        store: Store,
        accounts: Accounts,
        watch: Watch,
        fleet: Option<Fleet>,
    ) -> Ctx {
        let config = configs.current().config;
        let per_minute = config.api.requests_per_minute;
        // A page of the dashboard asks for a dozen things at once.
        let rates = Rates::new(Allowance { per_minute, burst: per_minute.div_ceil(10).max(50) });
        Ctx(Arc::new(Parts {
            config,
            configs,
            board,
            commands,
            store,
            accounts,
            rates,
            live: Arc::default(),
            visits: Visits::new(VISITS_MAX),
            samples: Visits::new(SAMPLES_MAX),
            queues: Queues::default(),
            watch,
            fleet,
        }))
    }

    /// The configuration in force, and how another takes its place.
    pub(crate) fn configs(&self) -> &Configs {
        &self.0.configs
    }

    /// Short looks at Kafka.
    pub(crate) fn visits(&self) -> &Visits {
        &self.0.visits
    }

    /// Long looks at Kafka: they do not take the places of short ones.
    pub(crate) fn samples(&self) -> &Visits {
        &self.0.samples
    }

    /// Looks at queues.
    pub(crate) fn queues(&self) -> &Queues {
        &self.0.queues
    }

    /// The configuration of the start: what needs a restart is still as it says.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.0.config
    }

    /// What the data plane last published.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.0.board
    }

    /// The data planes that are attached; `None` when the data plane runs in this process.
    pub(crate) fn fleet(&self) -> Option<&Fleet> {
        self.0.fleet.as_ref()
    }

    /// Where commands for the data plane are put.
    pub(crate) fn commands(&self) -> &Commands {
        &self.0.commands
    }

    /// Users, keys, audit, history.
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Who may sign in.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// How often who may ask.
    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    /// The live stream.
    pub(crate) fn live(&self) -> &Arc<Hub> {
        &self.0.live
    }

    /// History, latencies, costs, alerts.
    pub(crate) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// Names under which the API is reached.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.0.config.api.hosts
    }
}

/// All routes with their guards.
pub(crate) fn router(ctx: &Ctx) -> Router {
    let (router, _) = routes::all().into_inner().split_for_parts();
    router.with_state(ctx.clone())
}

/// The OpenAPI document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = openapi::base();
    let mut routes = routes::all().into_inner();
    document.merge(routes.to_openapi());
    openapi::finish(&mut document);
    document
}

/// The document as it is served and checked in.
pub(crate) fn document_text() -> String {
    let value = serde_json::to_value(document()).unwrap_or_default();
    // Through a tree, so that keys without an order of their own get one.
    format!("{:#}\n", sorted(value))
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<String, serde_json::Value> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            sorted.into_iter().collect()
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    //! A context over a board, for tests of routes.

    use tokio::sync::mpsc;

    use super::*;
    use crate::board::fixture;

    impl Ctx {
        /// A context with a store in memory, whose commands nobody takes.
        pub(crate) fn of_board(board: Arc<Board>) -> Ctx {
            let (commands, _taken) = mpsc::channel(1);
            Ctx::of(board, commands, Store::in_memory())
        }

        /// A context over these parts, with the configuration of the board's fixture.
        pub(crate) fn of(board: Arc<Board>, commands: Commands, store: Store) -> Ctx {
            Ctx::with(fixture::config(), board, commands, store)
        }

        /// A context over these parts.
        pub(crate) fn with(config: Config, board: Arc<Board>, commands: Commands, store: Store) -> Ctx {
            let configs = Configs::new(config.clone(), None, Arc::clone(&board), commands.clone());
            let accounts = Accounts::new(&config.api, store.clone()).expect("the defaults work");
            let watch = Watch::detached(Arc::new(config), store.clone());
            Ctx::new(configs, board, commands, store, accounts, watch, None)
        }
    }
}
