//! SQS's error codes and what to do about each.
//!
//! Level 1, pure. Sources: SQS API reference ("Common Errors" and the errors of the three calls); the shapes
//! are those of AWS JSON 1.0, of the query protocol's compatibility header, and of what proxies send.

use crate::error::Class;

/// A call that SQS refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// Code without its namespace; `http_STATUS` when the answer has none.
    pub code: String,
    /// SQS's own sentence for a person, one line, cut to `MESSAGE_CHARS_MAX`; empty when there is none.
    #[allow(dead_code, reason = "for logs; decisions are made by the class alone")]
    pub message: String,
    /// Whether SQS says that the fault is ours, or, when it does not say, the status is of the 4xx.
    #[allow(dead_code, reason = "for logs; decisions are made by the class alone")]
    pub sender_fault: bool,
    /// What to do about it.
    pub class: Class,
}

/// Longest code that is kept.
const CODE_BYTES_MAX: usize = 96;

/// Longest message that is kept: AWS's longest, on a wrong signature, repeat the whole request.
const MESSAGE_CHARS_MAX: usize = 512;

/// Bytes of an answer that are searched for a code: error answers are under 2 KiB.
const BODY_BYTES_MAX: usize = 16 << 10;

/// Code, class, and what an operator should do. Sorted by code.
#[rustfmt::skip]
const TABLE: &[(&str, Class, &str)] = &[
    ("AccessDenied", Class::Pause, GRANT),
    ("AccessDeniedException", Class::Pause, GRANT),
    ("AuthFailure", Class::RefreshCredentials, KEY),
    ("BatchEntryIdsNotDistinct", Class::Retry, BUG),
    ("BatchRequestTooLong", Class::Retry, BUG),
    ("EmptyBatchRequest", Class::Retry, BUG),
    ("ExpiredToken", Class::RefreshCredentials, RENEW),
    ("ExpiredTokenException", Class::RefreshCredentials, RENEW),
    ("IncompleteSignature", Class::Pause, "check the region and the endpoint; a proxy may change requests"),
    ("InternalError", Class::Retry, WAIT),
    ("InternalFailure", Class::Retry, WAIT),
    ("InternalServerError", Class::Retry, WAIT),
    ("InvalidAccessKeyId", Class::RefreshCredentials, KEY),
    ("InvalidAction", Class::Pause, "check that queue.endpoint is an SQS endpoint"),
    ("InvalidAddress", Class::Pause, "check queue.url and queue.endpoint"),
    ("InvalidAttributeName", Class::Pause, BUG),
    ("InvalidAttributeValue", Class::Pause, SETTINGS),
    ("InvalidBatchEntryId", Class::Retry, BUG),
    ("InvalidClientTokenId", Class::RefreshCredentials, KEY),
    ("InvalidIdFormat", Class::LeaseLost, "none: the receipt handle is not one of this queue"),
    ("InvalidMessageContents", Class::Retry, BUG),
    ("InvalidParameterCombination", Class::Pause, SETTINGS),
    ("InvalidParameterValue", Class::Pause, SETTINGS),
    ("InvalidQueryParameter", Class::Pause, SETTINGS),
    ("InvalidSecurity", Class::Pause, "use https, and check the region"),
    ("InvalidSignatureException", Class::Pause, SIGNATURE),
    ("InvalidToken", Class::RefreshCredentials, RENEW),
    ("KMS.AccessDeniedException", Class::Pause, KMS_GRANT),
    ("KMS.DisabledException", Class::Pause, KMS_ENABLE),
    ("KMS.InvalidKeyUsageException", Class::Pause, KMS_USAGE),
    ("KMS.InvalidStateException", Class::Pause, KMS_STATE),
    ("KMS.NotFoundException", Class::Pause, KMS_KEY),
    ("KMS.OptInRequired", Class::Pause, KMS_OPT_IN),
    ("KMS.ThrottlingException", Class::Throttled, KMS_QUOTA),
    ("KmsAccessDenied", Class::Pause, KMS_GRANT),
    ("KmsDisabled", Class::Pause, KMS_ENABLE),
    ("KmsInvalidKeyUsage", Class::Pause, KMS_USAGE),
    ("KmsInvalidState", Class::Pause, KMS_STATE),
    ("KmsNotFound", Class::Pause, KMS_KEY),
    ("KmsOptInRequired", Class::Pause, KMS_OPT_IN),
    ("KmsThrottled", Class::Throttled, KMS_QUOTA),
    ("MalformedHttpRequestException", Class::Retry, "a proxy may change requests; else report this as a bug"),
    ("MalformedQueryString", Class::Pause, "check that queue.endpoint speaks SQS's JSON protocol"),
    ("MessageNotInflight", Class::LeaseLost, "none: the message was finished or has become visible again"),
    ("MissingAction", Class::Pause, "check that queue.endpoint speaks SQS's JSON protocol"),
    ("MissingAuthenticationToken", Class::RefreshCredentials, "give credentials"),
    ("MissingAuthenticationTokenException", Class::RefreshCredentials, "give credentials"),
    ("MissingParameter", Class::Pause, SETTINGS),
    ("NonExistentQueue", Class::Pause, QUEUE),
    ("NotAuthorized", Class::Pause, GRANT),
    ("OptInRequired", Class::Pause, "enable the region for the account"),
    ("OverLimit", Class::Throttled, "120000 messages are in flight: find who holds them"),
    ("PurgeQueueInProgress", Class::Retry, "none: the queue is being emptied"),
    ("QueueAlreadyExists", Class::Pause, BUG),
    ("QueueDeletedRecently", Class::Pause, "wait 60 seconds or mend queue.url"),
    ("QueueDoesNotExist", Class::Pause, QUEUE),
    ("QueueNameExists", Class::Pause, BUG),
    ("ReceiptHandleIsInvalid", Class::LeaseLost, "none: the message has become visible again"),
    ("RequestAbortedException", Class::Retry, WAIT),
    ("RequestEntityTooLargeException", Class::Retry, BUG),
    ("RequestExpired", Class::ClockSkew, CLOCK),
    ("RequestThrottled", Class::Throttled, QUOTA),
    ("RequestThrottledException", Class::Throttled, QUOTA),
    ("RequestTimeTooSkewed", Class::ClockSkew, CLOCK),
    ("RequestTimeout", Class::Retry, WAIT),
    ("RequestTimeoutException", Class::Retry, WAIT),
    ("ResourceNotFoundException", Class::Pause, QUEUE),
    ("ServiceUnavailable", Class::Retry, WAIT),
    ("SignatureDoesNotMatch", Class::Pause, SIGNATURE),
    ("SlowDown", Class::Throttled, QUOTA),
    ("Throttling", Class::Throttled, QUOTA),
    ("ThrottlingException", Class::Throttled, QUOTA),
    ("TooManyEntriesInBatchRequest", Class::Retry, BUG),
    ("TooManyRequestsException", Class::Throttled, QUOTA),
    ("UnknownOperationException", Class::Pause, "check that queue.endpoint speaks SQS's JSON protocol"),
    ("UnrecognizedClientException", Class::RefreshCredentials, "check the access key and the region"),
    ("UnsupportedOperation", Class::Pause, "check that queue.url names an SQS queue"),
    ("ValidationError", Class::Pause, SETTINGS),
    ("ValidationException", Class::Pause, SETTINGS),
];

const BUG: &str = "report this as a bug";
const CLOCK: &str = "set the machine's clock";
const GRANT: &str = "grant the action that the message names on this queue";
const KEY: &str = "check the access key";
const KMS_GRANT: &str = "grant kms:Decrypt on the queue's key";
const KMS_ENABLE: &str = "enable the queue's KMS key";
const KMS_USAGE: &str = "give the queue a key for encryption";
const KMS_STATE: &str = "bring the queue's KMS key into a usable state";
const KMS_KEY: &str = "give the queue an existing KMS key";
const KMS_OPT_IN: &str = "subscribe the account to KMS";
const KMS_QUOTA: &str = "raise the KMS quota or the queue's data key reuse period";
const QUEUE: &str = "create the queue or mend queue.url";
const QUOTA: &str = "raise the quota or lower pollers_max";
const RENEW: &str = "check what renews the session token";
const SETTINGS: &str = "check the queue's settings in the config";
const SIGNATURE: &str = "check the secret key, the region and the endpoint";
const WAIT: &str = "wait; AWS has a fault";

/// Class of one refused entry of a batch request.
pub(crate) fn entry_class(code: &str, sender_fault: bool) -> Class {
    match bare(code) {
        // In an entry only its handle, or its timeout past the 12 hours, can be what is invalid.
        "InvalidParameterValue" => Class::LeaseLost,
        code => match class_of(code, 200) {
            // A fault of ours that no table knows will not mend itself, but the message is safe in its queue.
            Class::Retry if sender_fault => Class::LeaseLost,
            class => class,
        },
    }
}

/// Class of a code; of one that no table knows by the status of its answer.
pub(crate) fn class_of(code: &str, status: u16) -> Class {
    match row(code) {
        // A proxy's own limit may come with another's code.
        _ if status == 429 => Class::Throttled,
        Some((_, class, _)) => *class,
        None if ["AccessDenied", "KMS.", "Kms"].iter().any(|family| bare(code).starts_with(family)) => {
            Class::Pause
        }
        None if bare(code).starts_with("Throttl") => Class::Throttled,
        None => class_of_status(status),
    }
}

fn class_of_status(status: u16) -> Class {
    match status {
        429 => Class::Throttled,
        401 | 403 => Class::RefreshCredentials,
        // Redirects are not followed with credentials; both need a human to mend the endpoint.
        300..=399 | 404 => Class::Pause,
        _ => Class::Retry,
    }
}

/// What an operator should do about a code.
#[allow(dead_code, reason = "part of the table; alarms that show it are raised outside of this module")]
pub(crate) fn remedy(code: &str) -> Option<&'static str> {
    row(code).map(|(_, _, remedy)| *remedy)
}

fn row(code: &str) -> Option<&'static (&'static str, Class, &'static str)> {
    TABLE.binary_search_by_key(&bare(code), |(known, ..)| known).ok().map(|index| &TABLE[index])
}

/// Reads a refusal in any of the shapes in which it comes: JSON with `__type`, the header
/// `x-amzn-query-error` (`Code;Sender`), XML, a proxy's HTML, or nothing.
pub(crate) fn api_error(status: u16, query_error: Option<&[u8]>, body: &[u8]) -> ApiError {
    let header = query_error.and_then(from_header);
    let body = &body[..body.len().min(BODY_BYTES_MAX)];
    let found = from_json(body).or_else(|| from_xml(body)).unwrap_or_default();
    // The body's code is the newer one; the header may be all that there is.
    let code = Some(found.code).filter(|code| !code.is_empty());
    let code = code.or_else(|| header.as_ref().map(|header| header.code.clone())).unwrap_or_default();
    let says_sender = found.sender_fault.or(header.and_then(|header| header.sender_fault));
    let sender_fault = says_sender.unwrap_or((400..500).contains(&status) && status != 429);
    let message = found.message;
    let code = bare(&code);
    if code.is_empty() {
        let class = class_of_status(status);
        return ApiError { code: format!("http_{status}"), message, sender_fault, class };
    }
    // AWS reports a wrong clock under the codes of a wrong signature, and tells them apart in the text.
    let skewed = matches!(code, "SignatureDoesNotMatch" | "InvalidSignatureException" | "AccessDenied")
        && (message.contains("Signature expired") || message.contains("Signature not yet current"));
    let code = if skewed { "RequestTimeTooSkewed" } else { code }.to_owned();
    let class = class_of(&code, status);
    ApiError { code, message, sender_fault, class }
}

/// A code without namespace: `com.amazonaws.sqs#QueueDoesNotExist`, `AWS.SimpleQueueService.NonExistentQueue`.
/// KMS's own codes keep theirs (`KMS.NotFoundException`): it tells the key from the queue.
fn bare(code: &str) -> &str {
    // Some servers append a type URL: `Code:http://…`.
    let code = code.split(':').next().unwrap_or(code);
    let code = code.rsplit('#').next().unwrap_or(code);
    if code.starts_with("KMS.") { code } else { code.rsplit('.').next().unwrap_or(code) }
}

/// What an answer says, before the table is asked.
#[derive(Default)]
struct Said {
    code: String,
    message: String,
    sender_fault: Option<bool>,
}

fn cut_code(code: &str) -> String {
    code.chars().filter(char::is_ascii_graphic).take(CODE_BYTES_MAX).collect()
}

/// One line without control characters: it goes to logs and terminals.
fn cut_message(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect()
}

fn from_json(body: &[u8]) -> Option<Said> {
    let shape: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |names: [&str; 3]| names.iter().find_map(|name| shape.get(name)?.as_str());
    let code = cut_code(text(["__type", "code", "Code"])?);
    let message = cut_message(text(["message", "Message", "errorMessage"]).unwrap_or_default());
    Some(Said { code, message, sender_fault: None })
}

fn from_header(query_error: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(query_error).ok()?;
    let (code, fault) = text.split_once(';').unwrap_or((text, ""));
    let sender_fault = match fault.trim() {
        "Sender" => Some(true),
        "Receiver" | "Server" => Some(false),
        _ => None,
    };
    let code = cut_code(code);
    (!code.is_empty()).then_some(Said { code, message: String::new(), sender_fault })
}

/// The first `<Code>`, `<Message>` and `<Type>` of an XML answer: enough for a class, and no parser for
/// hostile input.
fn from_xml(body: &[u8]) -> Option<Said> {
    let text = String::from_utf8_lossy(body);
    let element = |open: &str, close: &str| {
        let (_, after) = text.split_once(open)?;
        after.split_once(close).map(|(inner, _)| inner)
    };
    let code = cut_code(element("<Code>", "</Code>")?);
    let message = cut_message(element("<Message>", "</Message>").unwrap_or_default());
    let sender_fault = element("<Type>", "</Type>").map(|kind| kind == "Sender");
    Some(Said { code, message, sender_fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_one_error_has_the_same_class() {
        let shapes: [(Option<&[u8]>, &[u8]); 6] = [
            (None, br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"x"}"#),
            (None, br#"{"__type":"QueueDoesNotExist","Message":"x"}"#),
            (Some(b"AWS.SimpleQueueService.NonExistentQueue;Sender"), b""),
            (Some(b"AWS.SimpleQueueService.NonExistentQueue;Sender"), b"<html>"),
            (None, b"<ErrorResponse><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code></Error></ErrorResponse>"),
            (None, br#"{"__type":"QueueDoesNotExist:http://internal.amazon.com/coral/com.amazonaws.sqs/"}"#),
        ];
        for (header, body) in shapes {
            let error = api_error(400, header, body);
            assert_eq!(error.class, Class::Pause, "{error:?}");
            assert!(error.code.ends_with("Queue") || error.code.ends_with("NotExist"), "{error:?}");
        }
    }

    /// Every error of the SQS model and its name in the query protocol. Source: the SQS model in the AWS SDKs,
    /// trait `awsQueryError`.
    const MODEL: [(&str, &str); 28] = [
        ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
        ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
        ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"),
        ("InvalidAddress", "InvalidAddress"),
        ("InvalidAttributeName", "InvalidAttributeName"),
        ("InvalidAttributeValue", "InvalidAttributeValue"),
        ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"),
        ("InvalidIdFormat", "InvalidIdFormat"),
        ("InvalidMessageContents", "InvalidMessageContents"),
        ("InvalidSecurity", "InvalidSecurity"),
        ("KmsAccessDenied", "KMS.AccessDeniedException"),
        ("KmsDisabled", "KMS.DisabledException"),
        ("KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException"),
        ("KmsInvalidState", "KMS.InvalidStateException"),
        ("KmsNotFound", "KMS.NotFoundException"),
        ("KmsOptInRequired", "KMS.OptInRequired"),
        ("KmsThrottled", "KMS.ThrottlingException"),
        ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
        ("OverLimit", "OverLimit"),
        ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress"),
        ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
        ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
        ("QueueNameExists", "QueueAlreadyExists"),
        ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
        ("RequestThrottled", "RequestThrottled"),
        ("ResourceNotFoundException", "ResourceNotFoundException"),
        ("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
    ];

    #[test]
    fn every_error_of_the_model_is_known_under_both_of_its_names() {
        for (name, query_name) in MODEL {
            let json = format!(r#"{{"__type":"com.amazonaws.sqs#{name}","message":"m"}}"#);
            let xml = format!("<ErrorResponse><Error><Code>{query_name}</Code></Error></ErrorResponse>");
            let forms = [
                api_error(400, None, json.as_bytes()),
                api_error(400, Some(format!("{query_name};Sender").as_bytes()), b""),
                api_error(400, None, xml.as_bytes()),
            ];
            for form in &forms {
                assert_eq!(form.class, forms[0].class, "{form:?}");
                assert_eq!(remedy(&form.code), remedy(name), "{form:?}");
                assert!(remedy(name).is_some(), "{name} is in the table");
            }
            assert_eq!(entry_class(query_name, true), entry_class(name, true), "{name}");
        }
    }

    #[test]
    fn answers_without_a_code_are_classed_by_status() {
        for (status, class) in [
            (500, Class::Retry),
            (503, Class::Retry),
            (429, Class::Throttled),
            (403, Class::RefreshCredentials),
            (307, Class::Pause),
        ] {
            assert_eq!(api_error(status, None, b"<html>busy</html>").class, class, "{status}");
            assert_eq!(api_error(status, None, b"").code, format!("http_{status}"));
        }
    }

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let body = br#"{"__type":"SignatureDoesNotMatch","message":"Signature expired: 20260101T000000Z is now earlier than ..."}"#;
        assert_eq!(api_error(403, None, body).class, Class::ClockSkew);
        let body = br#"{"__type":"SignatureDoesNotMatch","message":"The request signature we calculated does not match"}"#;
        assert_eq!(api_error(403, None, body).class, Class::Pause);
    }

    #[test]
    fn the_table_is_whole_and_no_entry_drops_a_message() {
        for (code, class, remedy) in TABLE {
            assert_eq!(class_of(code, 400), *class);
            assert_eq!(super::remedy(code), Some(*remedy));
            assert_ne!(*class, Class::Reject, "{code}: a call's error says nothing against a message");
        }
        assert!(TABLE.is_sorted_by_key(|(code, ..)| *code));
        assert_eq!(class_of("SomethingNew", 400), Class::Retry);
        assert_eq!(class_of("AccessDeniedByPolicy", 400), Class::Pause);
        assert_eq!(class_of("ThrottledException", 400), Class::Throttled);
        assert_eq!(class_of("SomethingNew", 403), Class::RefreshCredentials);
        assert_eq!(entry_class("ReceiptHandleIsInvalid", true), Class::LeaseLost);
        assert_eq!(entry_class("SomethingNew", true), Class::LeaseLost);
        assert_eq!(entry_class("RequestThrottled", false), Class::Throttled);
    }

    #[test]
    fn who_is_at_fault_is_told_by_header_xml_or_status() {
        let header = |text: &'static str| api_error(400, Some(text.as_bytes()), b"").sender_fault;
        assert_eq!((header("X;Sender"), header("X;Receiver"), header("X")), (true, false, true));
        let xml = |kind: &str| {
            let body = format!("<Error><Type>{kind}</Type><Code>X</Code><Message>because</Message></Error>");
            api_error(400, None, body.as_bytes())
        };
        assert_eq!((xml("Sender").sender_fault, xml("Receiver").sender_fault), (true, false));
        assert_eq!(xml("Sender").message, "because");
        assert_eq!(
            (api_error(500, None, b"").sender_fault, api_error(429, None, b"").sender_fault),
            (false, false)
        );
        let both = api_error(400, Some(b"Old;Receiver"), br#"{"__type":"New","message":"m"}"#);
        assert_eq!((both.code.as_str(), both.sender_fault, both.message.as_str()), ("New", false, "m"));
    }

    #[test]
    fn what_is_kept_of_an_answer_is_bounded_and_printable() {
        let body =
            format!(r#"{{"__type":"{}","message":"{}\u001b[2J\n"}}"#, "c".repeat(5000), "é".repeat(5000));
        let error = api_error(400, None, body.as_bytes());
        assert_eq!((error.code.len(), error.message.chars().count()), (CODE_BYTES_MAX, MESSAGE_CHARS_MAX));
        let error = api_error(400, None, br#"{"__type":"a b","message":"x\u001b[2J\ny"}"#);
        assert_eq!((error.code.as_str(), error.message.as_str()), ("ab", "x [2J y"));
        for hostile in [&b"\xff\xfe<Code>\xff</Code>"[..], b"<Code>", b"{\"__type\":5}", b"[[[[", b"\"\""] {
            assert_eq!(api_error(400, Some(b"\xff"), hostile).code, "http_400");
        }
    }
}
