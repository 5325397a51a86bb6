//! The routes of `/api/v1`, one file for a resource.

mod access;
mod alert_rules;
mod alerts;
mod audit;
mod backups;
mod clusters;
mod configuration;
mod costs;
mod curves;
mod document;
mod figures;
mod groups;
mod history;
mod instances;
mod keys;
mod latency;
mod live;
mod log_level;
mod pipelines;
mod queues;
mod rejected;
mod roster;
mod sessions;
mod shards;
mod silences;
mod steering;
mod topics;
mod users;
mod versions;

use super::Routes;
pub(crate) use live::{Hub, feed};

/// All of them.
pub(crate) fn all() -> Routes {
    Routes::new()
        .merge(document::routes())
        .merge(access::routes())
        .merge(users::routes())
        .merge(keys::routes())
        .merge(sessions::routes())
        .merge(audit::routes())
        .merge(backups::routes())
        .merge(pipelines::routes())
        .merge(roster::routes())
        .merge(steering::routes())
        .merge(queues::routes())
        .merge(rejected::routes())
        .merge(topics::routes())
        .merge(groups::routes())
        .merge(shards::routes())
        .merge(latency::routes())
        .merge(history::routes())
        .merge(curves::routes())
        .merge(costs::routes())
        .merge(alerts::routes())
        .merge(alert_rules::routes())
        .merge(silences::routes())
        .merge(configuration::routes())
        .merge(versions::routes())
        .merge(instances::routes())
        .merge(live::routes())
        .merge(log_level::routes())
}
