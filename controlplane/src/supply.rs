//! What each pipeline needs beside its shards: a region, batches that its topics take, credentials, queue facts.
//!
//! Pipelines come and go with the configuration. What a new one needs is found before the shards hear of it; who keeps it
//! supplied starts once they have taken it, and ends when it is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dataplane::config::{Config, Problem};
use tokio::task::JoinHandle;

use crate::appliance::{Appliance, Asked, Commands};
use crate::aws::{Access, Keeper};
use crate::board::Board;
use crate::exit::Failure;
use crate::fit;

/// Names of pipelines with how their queues are reached.
pub(crate) type Accesses = Vec<(String, Access)>;

/// Keeps the pipelines of this process supplied; cheap to clone.
#[derive(Clone)]
pub(crate) struct Supply(Arc<Inner>);

struct Inner {
    board: Arc<Board>,
    commands: Commands,
    asked: Asked,
    keepers: Mutex<BTreeMap<String, JoinHandle<()>>>,
}

impl Supply {
    /// Supplies nobody yet.
    pub(crate) fn of(appliance: &Appliance, commands: Commands) -> Supply {
        Supply(Arc::new(Inner {
            board: Arc::clone(appliance.board()),
            commands,
            asked: appliance.asked().clone(),
            keepers: Mutex::default(),
        }))
    }

    /// Keeps these in credentials and queue facts from now on.
    pub(crate) fn keep(&self, accesses: Accesses) {
        let mut keepers = self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        keepers.retain(|_, keeper| !keeper.is_finished());
        for (pipeline, access) in accesses {
            let keeper = Keeper {
                pipeline: pipeline.clone(),
                access,
                board: Arc::clone(&self.0.board),
                commands: self.0.commands.clone(),
                asked: self.0.asked.of(&pipeline),
            };
            // One of the same name was for a pipeline that is gone.
            if let Some(before) = keepers.insert(pipeline, tokio::spawn(keeper.run())) {
                before.abort();
            }
        }
    }

    /// Finds what the pipelines need that `new` brings: the configuration for the shards, and how the queues are reached.
    ///
    /// # Errors
    /// What cannot work, by its field.
    pub(crate) async fn prepare(
        &self,
        before: &Config,
        new: &Config,
    ) -> Result<(Arc<Config>, Accesses), Problem> {
        let is_known = |name: &str| before.pipeline.iter().any(|pipeline| pipeline.name == name);
        let mut ready = new.clone();
        let (known, mut fresh): (Vec<_>, Vec<_>) =
            ready.pipeline.into_iter().partition(|pipeline| is_known(&pipeline.name));
        ready.pipeline = known;
        if fresh.is_empty() {
            return Ok((Arc::new(ready), Vec::new()));
        }
        let mut accesses = Vec::new();
        for pipeline in &mut fresh {
            let access = access(&mut pipeline.queue).await.map_err(|failure| Problem {
                field: format!("pipeline.{}.queue", pipeline.name),
                text: format!("{}; {}", failure.text, failure.remedy),
            })?;
            accesses.push((pipeline.name.clone(), access));
        }
        let mut part = Config { pipeline: fresh, ..Config::default() };
        // It asks brokers, on threads of its own, and is waited for.
        let fitted = tokio::task::spawn_blocking(move || {
            fit::fit_batches(&mut part);
            part.pipeline
        });
        ready.pipeline.extend(fitted.await.map_err(|error| Problem {
            field: "pipeline".to_owned(),
            text: format!("its topics could not be looked at: {error}"),
        })?);
        Ok((Arc::new(ready), accesses))
    }
}

/// How a queue is reached. The shards sign for the same region, wherever it was found.
///
/// # Errors
/// A region or a profile that cannot be found. Exit code 78.
pub(crate) async fn access(queue: &mut dataplane::config::Queue) -> Result<Access, Failure> {
    let access = Access::new(queue).await?;
    queue.region = Some(access.region.clone());
    Ok(access)
}
