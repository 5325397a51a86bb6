//! The SQS side of a check: credentials, each right that the pump needs, the queue's settings, the clock.
//!
//! Nothing is deleted. One message may be received, and is given back at once; its receive count grows by one. The
//! rights to delete and to change visibility are probed with a receipt handle that no queue ever gave: SQS checks
//! rights first, so the refusal tells them apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sqs::types::QueueAttributeName;
use dataplane::config::Pipeline;
use dataplane::control::QueueFacts;

use super::list::List;
use crate::aws::{self, Access, Trouble};

/// A handle that no queue ever gave.
const NO_HANDLE: &str = "millrace-check-no-such-receipt-handle";
/// AWS refuses signatures that are more than this off. Source: SigV4, "Request date".
const SKEW_REFUSED_S: i64 = 300;
/// Half of it is time to act.
const SKEW_WARNED_S: i64 = 30;
/// Extending at half-life must leave room for a slow call.
const VISIBILITY_MIN_S: u32 = 10;

/// Looks at one queue.
pub(super) async fn look(pipeline: &Pipeline) -> (List, Option<QueueFacts>) {
    let mut list = List::default();
    list.enter(format!("sqs {}", pipeline.name));
    let access = match Access::new(&pipeline.queue).await {
        Ok(access) => access,
        Err(failure) => {
            list.fail("access", failure.code, failure.text, failure.remedy);
            return (list, None);
        }
    };
    let credentials = match access.credentials().await {
        Ok(credentials) => credentials,
        Err(error) => {
            fail(&mut list, "credentials", &aws::no_credentials(&access, &error));
            return (list, None);
        }
    };
    list.ok("credentials", format!("access key {}, region {}", credentials.access_key_id(), access.region));
    identity(&mut list, &access, credentials.clone()).await;
    let sqs = access.sqs(credentials);
    let facts = attributes(&mut list, &access, &sqs, pipeline).await;
    if facts.is_some() {
        receive(&mut list, &access, &sqs).await;
        delete(&mut list, &access, &sqs).await;
        change_visibility(&mut list, &access, &sqs).await;
    } else {
        list.skip(
            "rights",
            "receive, delete and change visibility were not tried: the queue does not answer",
        );
    }
    (list, facts)
}

fn fail(list: &mut List, name: &'static str, trouble: &Trouble) {
    list.fail(name, trouble.fault.exit_code(), &trouble.text, &trouble.remedy);
}

async fn identity(list: &mut List, access: &Access, credentials: aws_credential_types::Credentials) {
    if !access.name.on_aws {
        list.skip("identity", "the queue is not on AWS");
        return;
    }
    match access.sts(credentials).get_caller_identity().send().await {
        Ok(answer) => list.ok("identity", answer.arn().unwrap_or("unknown")),
        // STS may be out of reach behind an SQS endpoint: nothing of the pump needs it.
        Err(error) => list.skip("identity", format!("STS does not say who we are: {}", aws::causes(&error))),
    }
}

async fn attributes(
    list: &mut List,
    access: &Access,
    sqs: &aws_sdk_sqs::Client,
    pipeline: &Pipeline,
) -> Option<QueueFacts> {
    let date = DateHeader::default();
    let call = sqs.get_queue_attributes().queue_url(&access.url).attribute_names(QueueAttributeName::All);
    let answer = call.customize().interceptor(date.clone()).send().await;
    if let Some(offset_s) = date.offset_s(SystemTime::now()) {
        clock(list, offset_s);
    }
    match answer {
        Ok(answer) => {
            let (facts, depth) = aws::facts_of(answer.attributes());
            let kind = if facts.fifo { "FIFO" } else { "standard" };
            list.ok(
                "sqs:GetQueueAttributes",
                format!(
                    "{kind} queue, about {} messages visible, {} in flight",
                    depth.visible, depth.in_flight
                ),
            );
            settings(list, &facts, pipeline, access.name.is_fifo());
            Some(facts)
        }
        Err(error) => {
            fail(list, "sqs:GetQueueAttributes", &aws::of_call(access, "sqs:GetQueueAttributes", &error));
            None
        }
    }
}

/// What the queue's settings mean for this pipeline.
fn settings(list: &mut List, facts: &QueueFacts, pipeline: &Pipeline, named_fifo: bool) {
    let own =
        pipeline.queue.visibility_timeout.map(|time| u32::try_from(time.0.as_secs()).unwrap_or(u32::MAX));
    let visibility_s = own.unwrap_or(facts.visibility_timeout_s);
    if visibility_s < VISIBILITY_MIN_S {
        list.warn(
            "visibility timeout",
            format!("{visibility_s} s: leases are extended at half of it, a slow call loses them and makes duplicates"),
            "set queue.visibility_timeout to \"30s\" or more",
        );
    } else {
        list.ok(
            "visibility timeout",
            format!("{visibility_s} s, extended at half of it while a message is held"),
        );
    }
    let (hold, delivery) = (pipeline.queue.hold_max, pipeline.kafka.delivery_timeout);
    if hold < delivery {
        list.warn(
            "hold time",
            format!("queue.hold_max {hold} is shorter than kafka.delivery_timeout {delivery}: a message may be stored by Kafka after its lease was left"),
            "make queue.hold_max at least kafka.delivery_timeout",
        );
    }
    match facts.receive_count_max {
        Some(count) if count < 3 => list.warn(
            "redrive policy",
            format!(
                "maxReceiveCount is {count}: a restart or two moves healthy messages to the dead-letter queue"
            ),
            "set maxReceiveCount to 5 or more",
        ),
        Some(count) => list.ok("redrive policy", format!("to the dead-letter queue after {count} receives")),
        None => list
            .ok("redrive policy", "none: a message comes again until it is delivered or its retention ends"),
    }
    if facts.fifo != named_fifo {
        list.warn("queue type", "the name and the attributes disagree about FIFO", "check queue.url");
    }
}

async fn receive(list: &mut List, access: &Access, sqs: &aws_sdk_sqs::Client) {
    const ACTION: &str = "sqs:ReceiveMessage";
    let answer = sqs
        .receive_message()
        .queue_url(&access.url)
        .max_number_of_messages(1)
        .wait_time_seconds(0)
        .send()
        .await;
    let messages = match answer {
        Ok(answer) => answer.messages.unwrap_or_default(),
        Err(error) => return fail(list, ACTION, &aws::of_call(access, ACTION, &error)),
    };
    let Some(message) = messages.first() else {
        return list.ok(ACTION, "allowed; nothing was waiting");
    };
    let handle = message.receipt_handle().unwrap_or_default();
    let release =
        sqs.change_message_visibility().queue_url(&access.url).receipt_handle(handle).visibility_timeout(0);
    match release.send().await {
        Ok(_) => list.ok(ACTION, "allowed; one message was received and given back at once"),
        Err(_) => list.warn(
            ACTION,
            "allowed; one message was received and could not be given back",
            "it comes again after the queue's visibility timeout",
        ),
    }
}

async fn delete(list: &mut List, access: &Access, sqs: &aws_sdk_sqs::Client) {
    let answer = sqs.delete_message().queue_url(&access.url).receipt_handle(NO_HANDLE).send().await;
    probed(list, access, "sqs:DeleteMessage", answer.err().as_ref());
}

async fn change_visibility(list: &mut List, access: &Access, sqs: &aws_sdk_sqs::Client) {
    let call = sqs
        .change_message_visibility()
        .queue_url(&access.url)
        .receipt_handle(NO_HANDLE)
        .visibility_timeout(0);
    probed(list, access, "sqs:ChangeMessageVisibility", call.send().await.err().as_ref());
}

/// What the answer to a call with an impossible handle says about the right to make it.
fn probed<E>(
    list: &mut List,
    access: &Access,
    action: &'static str,
    error: Option<&SdkError<E, HttpResponse>>,
) where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let Some(error) = error else { return list.ok(action, "allowed") };
    let code = error.as_service_error().and_then(|error| error.meta().code()).unwrap_or_default();
    if is_about_the_handle(code) {
        list.ok(action, "allowed; probed with a handle that no queue gave");
    } else {
        fail(list, action, &aws::of_call(access, action, error));
    }
}

fn is_about_the_handle(code: &str) -> bool {
    ["ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "InvalidIdFormat"]
        .iter()
        .any(|known| code.ends_with(known))
}

fn clock(list: &mut List, offset_s: i64) {
    let text = format!("AWS's clock is {offset_s} s ahead of this machine's");
    match offset_s.abs() {
        off if off >= SKEW_REFUSED_S => list.warn("clock skew", text, "AWS refuses signatures beyond 5 minutes; the pump corrects for it, other programs will not: set the clock"),
        off if off >= SKEW_WARNED_S => list.warn("clock skew", text, "set this machine's clock (`timedatectl set-ntp true`)"),
        _ => list.ok("clock skew", text),
    }
}

/// Keeps the `Date` header of an answer.
#[derive(Clone, Debug, Default)]
struct DateHeader(Arc<Mutex<Option<String>>>);

impl DateHeader {
    fn offset_s(&self, now: SystemTime) -> Option<i64> {
        let date = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let theirs = DateTime::from_str(&date, DateTimeFormat::HttpDate).ok()?.secs();
        let ours = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        Some(theirs - i64::try_from(ours).ok()?)
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "date-header"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dataplane::config::Time;

    use super::*;

    fn judged(facts: QueueFacts, change: impl FnOnce(&mut Pipeline)) -> String {
        let mut list = List::default();
        let mut pipeline = crate::board::fixture::config().pipeline.remove(0);
        change(&mut pipeline);
        settings(&mut list, &facts, &pipeline, false);
        list.text(false)
    }

    const FACTS: QueueFacts = QueueFacts {
        fifo: false,
        visibility_timeout_s: 30,
        receive_count_max: Some(5),
        message_bytes_max: 1 << 20,
    };

    #[test]
    fn settings_that_make_duplicates_are_warned_about_with_numbers() {
        assert!(judged(FACTS, |_| {}).contains("2 ok, 0 warnings"));
        assert!(
            judged(QueueFacts { visibility_timeout_s: 5, ..FACTS }, |_| {})
                .contains("! visibility timeout: 5 s")
        );
        let short = judged(FACTS, |pipeline| pipeline.queue.hold_max = Time::from_secs(60));
        assert!(short.contains("queue.hold_max 1m is shorter than kafka.delivery_timeout 5m"), "{short}");
        assert!(
            judged(QueueFacts { receive_count_max: Some(1), ..FACTS }, |_| {})
                .contains("maxReceiveCount is 1")
        );
        assert!(judged(QueueFacts { fifo: true, ..FACTS }, |_| {}).contains("disagree about FIFO"));
    }

    #[test]
    fn a_refused_handle_proves_the_right() {
        assert!(is_about_the_handle("ReceiptHandleIsInvalid"));
        assert!(is_about_the_handle("AWS.SimpleQueueService.MessageNotInflight"));
        assert!(!is_about_the_handle("AccessDenied"));
        assert!(!is_about_the_handle(""));
    }

    #[test]
    fn skew_is_read_from_the_date_header() {
        let header = DateHeader::default();
        assert_eq!(header.offset_s(SystemTime::now()), None);
        *header.0.lock().unwrap() = Some("Thu, 01 Jan 1970 00:10:00 GMT".to_owned());
        assert_eq!(header.offset_s(SystemTime::UNIX_EPOCH), Some(600));
        let mut list = List::default();
        clock(&mut list, 600);
        clock(&mut list, -40);
        clock(&mut list, 1);
        assert!(list.text(false).contains("1 ok, 2 warnings"));
    }
}
