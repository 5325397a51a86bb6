//! The verbs `check` and `validate`: a list of ticks, each failure with its remedy.
//!
//! Static first (file, platform); with `--connect` the other sides as well. Nothing is written or deleted anywhere.

pub(crate) mod kafka;
mod list;
mod platform;
mod sqs;

use dataplane::config::{Config, Pipeline};

use self::list::List;
use crate::cli::{Global, Output};
use crate::exit::{Failure, USAGE};
use crate::settings::{Loaded, Sources};
use crate::term;

/// How deep to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    /// Ask this machine.
    pub(crate) platform: bool,
    /// Connect to SQS and Kafka.
    pub(crate) connect: bool,
}

/// Looks, and prints the list.
///
/// # Errors
/// Only when there is nothing to look at.
pub(crate) fn run(sources: &Sources, depth: Depth, global: &Global) -> Result<u8, Failure> {
    let mut list = List::default();
    list.enter("config");
    match sources.load() {
        Ok(loaded) => look(&mut list, &loaded, depth, sources.topic.is_some() || sources.queue.is_none())?,
        Err(failure) if failure.code == USAGE => return Err(failure),
        Err(failure) => list.fail("file", failure.code, failure.text, failure.remedy),
    }
    match global.output() {
        Output::Json => term::out(&list.json()),
        Output::Text => term::out(&list.text(global.color().on())),
    }
    Ok(list.exit_code())
}

fn look(list: &mut List, loaded: &Loaded, depth: Depth, topics_named: bool) -> Result<(), Failure> {
    let Loaded { config, origin, .. } = loaded;
    let count = config.pipeline.len();
    let noun = if count == 1 { "pipeline" } else { "pipelines" };
    list.ok("file", format!("{origin}: {count} {noun}"));
    if depth.platform {
        platform::look(list, config);
    }
    if depth.connect {
        connect(list, config, topics_named)?;
    }
    Ok(())
}

fn connect(list: &mut List, config: &Config, topics_named: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::config(format!("the runtime cannot start: {error}"), "raise ulimit -n"))?;
    for pipeline in &config.pipeline {
        list.append(one(&runtime, pipeline, topics_named));
    }
    Ok(())
}

fn one(runtime: &tokio::runtime::Runtime, pipeline: &Pipeline, topics_named: bool) -> List {
    let (mut list, facts) = runtime.block_on(sqs::look(pipeline));
    list.append(kafka::look(pipeline, facts.as_ref(), topics_named));
    list
}
