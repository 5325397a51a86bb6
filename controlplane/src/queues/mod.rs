//! Queues, for the API: attributes, depth, the dead-letter queue, and what the pump has asked of SQS.
//!
//! Each look costs two or three requests, so an answer is kept for a while and shared by whoever asks. What SQS does not
//! tell, such as the age of the oldest message, is said to be unknown.

mod attributes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::QueueAttributeName;
use dataplane::config::Pipeline;
use dataplane::stats::Codes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

pub(crate) use attributes::{DepthView, QueueSettings, Redrive};

use crate::aws::{self, Access, Trouble};
use crate::board::View;
use crate::snapshot;

/// How long an answer is good: SQS's own numbers are approximate for as long.
const GOOD_FOR: Duration = Duration::from_secs(15);
/// How long a failure is: whoever asks again at once would meet it again.
const BAD_FOR: Duration = Duration::from_secs(5);
/// Credentials are fetched anew this long before they expire.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// A queue with all that is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct QueueView {
    /// Pipeline that receives from it.
    #[schema(example = "orders")]
    pub(crate) pipeline: String,
    /// Its URL.
    pub(crate) url: String,
    /// What SQS says; null when it cannot be asked.
    pub(crate) sqs: Option<SqsView>,
    /// What the pump has asked of it since the start.
    pub(crate) requests: Requests,
    /// What is not known, and why.
    pub(crate) not_available: Vec<String>,
}

/// What SQS says about a queue.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SqsView {
    /// How old this is, seconds.
    pub(crate) age_s: u64,
    /// Its settings.
    pub(crate) settings: QueueSettings,
    /// How much is in it.
    pub(crate) depth: DepthView,
    /// Where messages go that come too often; null without a policy.
    pub(crate) dead_letter: Option<DeadLetterQueue>,
}

/// A dead-letter queue of SQS.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeadLetterQueue {
    /// The policy.
    pub(crate) policy: Redrive,
    /// How much is in it; null when it cannot be asked.
    pub(crate) depth: Option<DepthView>,
    /// Why it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// What the pump has asked of a queue, over all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Requests {
    /// ReceiveMessage calls answered.
    pub(crate) receives: u64,
    /// Those of them that brought nothing.
    pub(crate) empty_receives: u64,
    /// DeleteMessageBatch calls answered.
    pub(crate) deletes: u64,
    /// ChangeMessageVisibilityBatch calls that extended leases.
    pub(crate) extends: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// Failures by `operation:code`.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Receives under way now.
    pub(crate) receiving: u32,
}

/// Figures of the pump about a pipeline's queue.
pub(crate) fn requests(view: &View, pipeline: &str) -> Requests {
    let totals = snapshot::totals(view, pipeline);
    let mut errors = Codes::default();
    for (_, pump) in snapshot::pumps(view, pipeline) {
        errors.add(&pump.sqs_errors);
    }
    Requests {
        receives: totals.receives,
        empty_receives: totals.empty_receives,
        deletes: totals.deletes,
        extends: totals.extends,
        failed: totals.request_errors,
        errors: errors.0,
        receiving: snapshot::pumps(view, pipeline).map(|(_, pump)| pump.pollers).sum(),
    }
}

/// What SQS said last, and how it was asked.
#[derive(Debug, Default)]
struct Kept {
    at: Option<Instant>,
    answer: Option<Result<SqsView, Trouble>>,
    client: Option<Client>,
}

/// A client whose credentials are good for a while.
#[derive(Clone, Debug)]
struct Client {
    access: Access,
    sqs: aws_sdk_sqs::Client,
    expiry: Option<SystemTime>,
}

impl Client {
    async fn make(pipeline: &Pipeline) -> Result<Client, Trouble> {
        let access = Access::new(&pipeline.queue).await.map_err(Trouble::of_failure)?;
        let credentials = access.credentials().await.map_err(|error| aws::no_credentials(&access, &error))?;
        let expiry = credentials.expiry();
        Ok(Client { sqs: access.sqs(credentials), access, expiry })
    }

    fn is_good(&self) -> bool {
        self.expiry.is_none_or(|expiry| expiry > SystemTime::now() + RENEW_BEFORE)
    }
}

/// Looks at queues, bounded: one at a time for each pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    kept: Arc<std::sync::Mutex<BTreeMap<String, Arc<Mutex<Kept>>>>>,
}

impl Queues {
    /// One queue.
    pub(crate) async fn look(&self, view: &View, pipeline: &Pipeline) -> QueueView {
        let mut not_available = vec![
            "age of the oldest message: SQS does not tell it; CloudWatch has it as ApproximateAgeOfOldestMessage".to_owned(),
        ];
        let sqs = match self.ask(pipeline).await {
            Ok(sqs) => Some(sqs),
            Err(trouble) => {
                not_available.push(format!("what SQS says: {trouble}"));
                None
            }
        };
        QueueView {
            pipeline: pipeline.name.clone(),
            url: pipeline.queue.url.clone(),
            sqs,
            requests: requests(view, &pipeline.name),
            not_available,
        }
    }

    /// What SQS says, or said a moment ago.
    async fn ask(&self, pipeline: &Pipeline) -> Result<SqsView, Trouble> {
        let kept = {
            let mut all = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(all.entry(pipeline.name.clone()).or_default())
        };
        let mut kept = kept.lock().await;
        let age = kept.at.map(|at| at.elapsed());
        let good_for = if matches!(kept.answer, Some(Ok(_))) { GOOD_FOR } else { BAD_FOR };
        if let (Some(answer), Some(age)) = (&kept.answer, age.filter(|age| *age < good_for)) {
            return answer.clone().map(|view| SqsView { age_s: age.as_secs(), ..view });
        }
        let client = match kept.client.take().filter(Client::is_good) {
            Some(client) => Ok(client),
            None => Client::make(pipeline).await,
        };
        let answer = match &client {
            Ok(client) => ask_sqs(client).await,
            Err(trouble) => Err(trouble.clone()),
        };
        // Refused credentials are fetched anew the next time.
        let client = client.ok().filter(|_| answer.is_ok());
        *kept = Kept { at: Some(Instant::now()), answer: Some(answer.clone()), client };
        answer
    }
}

async fn ask_sqs(client: &Client) -> Result<SqsView, Trouble> {
    let Client { access, sqs, .. } = client;
    let found = read(access, sqs, &access.url).await?;
    let dead_letter = match attributes::redrive(&found) {
        None => None,
        Some(policy) => Some(dead_letter(access, sqs, policy).await),
    };
    Ok(SqsView {
        age_s: 0,
        settings: attributes::settings(&found),
        depth: attributes::depth(&found),
        dead_letter,
    })
}

type Attributes = std::collections::HashMap<QueueAttributeName, String>;

async fn read(access: &Access, sqs: &aws_sdk_sqs::Client, url: &str) -> Result<Attributes, Trouble> {
    let asked =
        sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await;
    let answer = asked.map_err(|error| aws::of_call(access, "sqs:GetQueueAttributes", &error))?;
    Ok(answer.attributes.unwrap_or_default())
}

/// The dead-letter queue, as far as the pipeline's rights reach.
async fn dead_letter(access: &Access, sqs: &aws_sdk_sqs::Client, policy: Redrive) -> DeadLetterQueue {
    let depth = async {
        let (account, name) = policy.account_and_name().ok_or_else(|| "its ARN names no queue".to_owned())?;
        let asked = sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send().await;
        let answer = asked.map_err(|error| aws::of_call(access, "sqs:GetQueueUrl", &error).to_string())?;
        let url = answer.queue_url().ok_or_else(|| "SQS gives no URL for it".to_owned())?;
        let found = read(access, sqs, url).await.map_err(|trouble| trouble.to_string())?;
        Ok::<DepthView, String>(attributes::depth(&found))
    };
    let (depth, trouble) = match depth.await {
        Ok(depth) => (Some(depth), None),
        Err(trouble) => (None, Some(trouble)),
    };
    DeadLetterQueue { policy, depth, trouble }
}

#[cfg(test)]
mod tests {
    use bench::sqs::{Server, ServerConfig};

    use super::*;
    use crate::board::fixture::{config, running};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn the_requests_of_all_shards_are_added_up() {
        let found = requests(&running().view(), "orders");
        assert_eq!((found.receives, found.receiving), (24, 8));
        assert_eq!(found.errors["delete:ThrottlingException"], 2);
    }

    #[test]
    fn a_queue_that_cannot_be_asked_is_shown_with_the_reason_and_asked_once() {
        block_on(async {
            let mut pipeline = config().pipeline.remove(0);
            pipeline.queue.ca_file = Some("/nowhere/ca.pem".into());
            let queues = Queues::default();
            let view = running().view();
            let shown = queues.look(&view, &pipeline).await;
            assert_eq!(shown.sqs, None);
            assert!(shown.not_available[1].contains("/nowhere/ca.pem"), "{:?}", shown.not_available);
            assert!(shown.not_available[0].contains("CloudWatch"), "{:?}", shown.not_available);
            assert_eq!(shown.requests.receives, 24, "the pump's figures are there all the same");
            let began = Instant::now();
            queues.look(&view, &pipeline).await;
            assert!(began.elapsed() < Duration::from_millis(50), "the failure was kept");
        });
    }

    #[test]
    fn the_embedded_server_tells_depth_and_policy() {
        let server = Server::start(ServerConfig::default()).unwrap();
        server.create_queue("dead", &[]).unwrap();
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"4"}"#;
        server.create_queue("orders", &[("RedrivePolicy", policy), ("VisibilityTimeout", "77")]).unwrap();
        block_on(async {
            let mut queue = config().pipeline.remove(0).queue;
            queue.url = server.queue_url("orders");
            queue.region = Some("us-east-1".into());
            let access = Access::new(&queue).await.unwrap();
            let keys = aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
            let sqs = access.sqs(keys);
            let found = read(&access, &sqs, &access.url).await.unwrap();
            assert_eq!(attributes::settings(&found).visibility_timeout_s, Some(77));
            let dead = dead_letter(&access, &sqs, attributes::redrive(&found).unwrap()).await;
            assert_eq!(dead.policy.receive_count_max, Some(4));
            assert_eq!((dead.trouble, dead.depth.map(|depth| depth.visible)), (None, Some(Some(0))));
        });
    }
}
