//! What the routes of Kafka share: which cluster is meant, and its troubles as problems.

use dataplane::config::{Config, Kafka};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::{Code, Ctx, Problem};
use crate::kafka_admin::{Fault, Trouble};

/// Which cluster is meant.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Cluster {
    /// A pipeline whose cluster is meant. It may be left out when all pipelines have the same.
    pub(super) pipeline: Option<String>,
}

/// The settings of the cluster that is meant, and the configuration that they come from.
pub(super) fn meant(ctx: &Ctx, pipeline: Option<&str>) -> Result<(std::sync::Arc<Config>, Kafka), Problem> {
    let config = ctx.configs().current().config;
    let kafka = choose(&config, pipeline)?.clone();
    Ok((config, kafka))
}

fn choose<'a>(config: &'a Config, pipeline: Option<&str>) -> Result<&'a Kafka, Problem> {
    let Some(name) = pipeline else {
        let mut clusters = config.pipeline.iter().map(|pipeline| &pipeline.kafka);
        let first = clusters.next().ok_or_else(|| Problem::new(Code::NotFound, "there is no pipeline"))?;
        let is_other = |kafka: &Kafka| kafka.brokers != first.brokers || kafka.security != first.security;
        if clusters.any(is_other) {
            let text = "pipeline: the pipelines have several clusters; name one whose cluster is meant";
            return Err(Problem::new(Code::InvalidParameter, text));
        }
        return Ok(first);
    };
    let found = config.pipeline.iter().find(|pipeline| pipeline.name == name);
    found.map(|pipeline| &pipeline.kafka).ok_or_else(|| {
        Problem::new(Code::NotFound, "there is no pipeline of this name; /api/v1/pipelines lists them")
    })
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Problem {
        let code = match trouble.fault {
            Fault::Invalid | Fault::Unsupported => Code::Unprocessable,
            Fault::Missing => Code::NotFound,
            Fault::Exists => Code::Exists,
            Fault::Conflict => Code::Conflict,
            Fault::Refused => Code::UpstreamRefuses,
            Fault::Unreachable | Fault::Setting => Code::Upstream,
            Fault::Busy => Code::KafkaBusy,
            Fault::Bug => Code::Internal,
        };
        let problem = Problem::new(code, trouble.to_string());
        if trouble.fault == Fault::Busy { problem.after(2) } else { problem }
    }
}

#[cfg(test)]
mod tests {
    use dataplane::config::Pipeline;

    use super::*;

    fn two(other: &[&str]) -> Config {
        let mut config = crate::board::fixture::config();
        let url = "https://sqs.eu-west-1.amazonaws.com/1/refunds";
        config.pipeline.push(Pipeline::new("refunds", url, other, "refunds"));
        config
    }

    #[test]
    fn one_cluster_needs_no_name_and_several_do() {
        let same = two(&["b:9092"]);
        assert_eq!(choose(&same, None).unwrap().brokers, ["b:9092"]);
        let several = two(&["c:9092"]);
        assert_eq!(choose(&several, None).unwrap_err().code(), Code::InvalidParameter);
        assert_eq!(choose(&several, Some("refunds")).unwrap().brokers, ["c:9092"]);
        assert_eq!(choose(&several, Some("nobody")).unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn every_fault_has_its_code() {
        for (fault, code) in [
            (Fault::Invalid, Code::Unprocessable),
            (Fault::Missing, Code::NotFound),
            (Fault::Conflict, Code::Conflict),
            (Fault::Refused, Code::UpstreamRefuses),
            (Fault::Unreachable, Code::Upstream),
            (Fault::Busy, Code::KafkaBusy),
        ] {
            let problem = Problem::from(Trouble::new(fault, "what", "remedy"));
            assert_eq!((problem.code(), problem.detail()), (code, "what; remedy"));
        }
    }
}
