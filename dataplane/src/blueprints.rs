//! What pipelines need on every shard: prepared once, at the start or when a configuration brings a new one.
//!
//! Level 5.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Config, Pipeline};
use crate::limits;
use crate::net::{Resolver, Target, TlsClient, WakePair};
use crate::placement::StartError;
use crate::shard::{Blueprint, Made, Newcomer};
use crate::sqs::call::Calls;
use crate::sqs::endpoint;

/// Pipelines that come while the appliance runs. All shards get the same numbers for them, however often a
/// configuration is sent.
pub(crate) struct Arrivals {
    shards: usize,
    seed: u64,
    /// The next number.
    next: usize,
    /// Names in the configuration of `offers`.
    names: BTreeSet<String>,
    epoch: u64,
    /// What the configuration of `epoch` brings.
    offers: Vec<Offer>,
}

/// Name of a pipeline, with its number and what it needs, or why that could not be made.
type Offer = (String, Result<(usize, Blueprint), String>);

impl Arrivals {
    /// Nothing has come since the start.
    pub(crate) fn new(config: &Config, shards: usize, seed: u64) -> Arrivals {
        Arrivals {
            shards,
            seed,
            next: config.pipeline.len(),
            names: names(config),
            epoch: 0,
            offers: Vec::new(),
        }
    }

    /// Prepares what a configuration brings, once for each `epoch`, and has its endpoints looked up.
    pub(crate) fn prepare(&mut self, epoch: u64, config: &Config, resolver: &Resolver) {
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        let before = std::mem::replace(&mut self.names, names(config));
        let new = config.pipeline.iter().filter(|pipeline| !before.contains(&pipeline.name));
        self.offers = new.map(|pipeline| self.offer(pipeline)).collect();
        for (_, blueprint) in self.offers.iter().filter_map(|(_, offer)| offer.as_ref().ok()) {
            resolver.refresh(&blueprint.target);
        }
    }

    fn offer(&mut self, pipeline: &Pipeline) -> Offer {
        let name = pipeline.name.clone();
        let number = self.next;
        if number >= limits::PIPELINES_EVER_MAX {
            let text = format!(
                "pipeline.{name}: {} pipelines have come since the start; restart to add others",
                limits::PIPELINES_EVER_MAX
            );
            return (name, Err(text));
        }
        let blueprint = of(pipeline, self.shards, self.seed).map_err(|error| error.to_string());
        if blueprint.is_ok() {
            self.next += 1;
        }
        (name, blueprint.map(|blueprint| (number, blueprint)))
    }

    /// What each shard is given of it. What one of them cannot have none of them gets.
    pub(crate) fn newcomers(&self) -> Vec<Vec<Newcomer>> {
        let mut shares: Vec<Vec<Newcomer>> = (0..self.shards).map(|_| Vec::new()).collect();
        for (name, offer) in &self.offers {
            let made = offer.clone().and_then(|(number, blueprint)| {
                let wakes: Result<Vec<WakePair>, _> = (0..self.shards).map(|_| WakePair::new()).collect();
                let wakes = wakes.map_err(|error| {
                    format!(
                        "pipeline.{name}: a socket cannot be made: {error}; raise the limit of descriptors"
                    )
                })?;
                let one = move |wake| Made { number, blueprint: blueprint.clone(), wake };
                Ok(wakes.into_iter().map(one))
            });
            let newcomer = |made| Newcomer { name: name.clone(), made };
            match made {
                Ok(made) => {
                    let each = shares.iter_mut().zip(made);
                    each.for_each(|(share, made)| share.push(newcomer(Ok(made))));
                }
                Err(text) => shares.iter_mut().for_each(|share| share.push(newcomer(Err(text.clone())))),
            }
        }
        shares
    }
}

fn names(config: &Config) -> BTreeSet<String> {
    config.pipeline.iter().map(|pipeline| pipeline.name.clone()).collect()
}

/// Prepares a pipeline.
///
/// # Errors
/// An endpoint or a certificate file that cannot work; the text names the field.
pub(crate) fn of(pipeline: &Pipeline, shards: usize, seed: u64) -> Result<Blueprint, StartError> {
    let field = |name: &str| format!("pipeline.{}.{name}", pipeline.name);
    let queue = &pipeline.queue;
    let region = std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION")).ok();
    let (endpoint, region) = endpoint::resolve(queue, region.as_deref()).map_err(|text| {
        StartError::new(format!("{}: {text}", field("queue")), "see the comment of that field")
    })?;
    let tls = if endpoint.tls {
        let tls = TlsClient::new(queue.ca_file.as_deref());
        Some(tls.map_err(|text| {
            StartError::new(
                format!("{}: {text}", field("queue.ca_file")),
                "name a PEM file with certificates",
            )
        })?)
    } else {
        None
    };
    let proxy = queue.proxy.as_deref().map(proxy_address).transpose().map_err(|text| {
        StartError::new(
            format!("{}: {text}", field("queue.proxy")),
            "write http://host:port without user and password",
        )
    })?;
    let producers = pipeline.kafka.producers.unwrap_or(shards as u16).min(shards as u16);
    Ok(Blueprint {
        target: Target { tls: endpoint.tls, host: endpoint.host.clone(), port: endpoint.port, proxy },
        tls,
        calls: Calls::new(queue, endpoint, region, seed),
        producers,
        ready: Arc::default(),
        idle: Arc::default(),
    })
}

fn proxy_address(url: &str) -> Result<(String, u16), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` is no http:// URL"))?;
    let authority = rest.trim_end_matches('/');
    if authority.contains(['@', '/']) {
        return Err("a proxy is host and port only".to_owned());
    }
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "3128"));
    let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    Ok((host.to_owned(), port))
}
