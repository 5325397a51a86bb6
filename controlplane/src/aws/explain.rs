//! AWS's errors as sentences: what was tried, what is missing, the statement that grants it.
//!
//! Pure. Decides by code, never by the text of a message; the message is shown because it names the principal.

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::Access;
use crate::exit::{self, Failure};

/// Whose fault it is, and so what a supervisor should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The other side cannot be reached or does not answer.
    Unreachable,
    /// The other side refuses: rights or credentials.
    Refused,
    /// What is named does not exist, or cannot work as it is set.
    Setting,
}

impl Fault {
    /// Exit code of a check that found this.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Fault::Unreachable => exit::UNREACHABLE,
            Fault::Refused => exit::REFUSED,
            Fault::Setting => exit::CONFIG,
        }
    }
}

/// What is wrong on the AWS side, in sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Whose fault it is.
    pub(crate) fault: Fault,
    /// What is wrong.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) remedy: String,
}

impl Trouble {
    /// A setting that cannot work.
    pub(crate) fn of_failure(failure: Failure) -> Trouble {
        Trouble { fault: Fault::Setting, text: failure.text, remedy: failure.remedy }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.text, self.remedy)
    }
}

/// An error and what caused it, in one line; a cause that only repeats is left out.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = error.source();
    }
    text
}

/// The statement that grants an action on a queue.
fn statement(action: &str, arn: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{arn}"}}"#)
}

/// No credentials: which providers were asked, in which order, and what the last one said.
pub(crate) fn no_credentials(access: &Access, error: &dyn std::error::Error) -> Trouble {
    let profile =
        access.profile.as_deref().map_or("the profile".to_owned(), |profile| format!("profile `{profile}`"));
    let order = format!(
        "environment (AWS_ACCESS_KEY_ID), {profile} of the shared config files (with SSO), web identity token \
         (AWS_WEB_IDENTITY_TOKEN_FILE), container (ECS or EKS), instance metadata (IMDSv2)"
    );
    let said = causes(error);
    match &access.role {
        Some(role) => Trouble {
            fault: Fault::Refused,
            text: format!("no AWS credentials for role {role}: {said}"),
            remedy: format!(
                "the role's trust policy must allow sts:AssumeRole (with the external id, if one is set) to what was found in this order: {order}"
            ),
        },
        None => Trouble {
            fault: Fault::Refused,
            text: format!("no AWS credentials: asked in this order: {order}; {said}"),
            remedy: "give the process one of them, for example AWS_PROFILE or an instance role".to_owned(),
        },
    }
}

/// A failed SQS call: `action` is the right that it needs, for example `sqs:ReceiveMessage`.
pub(crate) fn of_call<E>(access: &Access, action: &str, error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let meta = service.err().meta();
            by_code(
                &access.arn(),
                &access.url,
                action,
                meta.code().unwrap_or("no code"),
                meta.message().unwrap_or_default(),
            )
        }
        other => Trouble {
            fault: Fault::Unreachable,
            text: format!("SQS cannot be reached for {action}: {}", causes(other)),
            remedy: "check endpoint, region, DNS, proxy and the way out (security group, VPC endpoint)"
                .to_owned(),
        },
    }
}

fn by_code(arn: &str, url: &str, action: &str, code: &str, message: &str) -> Trouble {
    let code = code.trim_start_matches("AWS.SimpleQueueService.");
    let (fault, text, remedy) = match code {
        "AccessDenied" | "AccessDeniedException" => (
            Fault::Refused,
            format!("{action} on {arn} is not allowed: {message}"),
            format!("grant it in IAM or in the queue's policy: {}", statement(action, arn)),
        ),
        "QueueDoesNotExist" | "NonExistentQueue" => (
            Fault::Setting,
            format!("the queue {url} does not exist: {message}"),
            "check account, region and name in queue.url; a queue that is created anew is picked up without a restart".to_owned(),
        ),
        "KmsAccessDenied" | "KMS.AccessDeniedException" => (
            Fault::Refused,
            format!("{action} on {arn}: the queue's KMS key may not be used: {message}"),
            "grant kms:Decrypt on the key to the role that receives".to_owned(),
        ),
        "KmsDisabled" | "KMS.DisabledException" | "KmsNotFound" | "KmsInvalidState" => (
            Fault::Setting,
            format!("{action} on {arn}: the queue's KMS key cannot be used: {message}"),
            "enable the key or choose another for the queue".to_owned(),
        ),
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidSecurity" => (
            Fault::Refused,
            format!("AWS does not know the access key: {message}"),
            "check which credentials are used (`aws sts get-caller-identity`) and their account and region".to_owned(),
        ),
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => (
            Fault::Refused,
            format!("the credentials have expired: {message}"),
            "log in again, or let a role give them".to_owned(),
        ),
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" | "RequestTimeTooSkewed" => (
            Fault::Refused,
            format!("AWS refuses the signature ({code}): {message}"),
            "check the secret key and this machine's clock (`timedatectl`)".to_owned(),
        ),
        code => (
            Fault::Unreachable,
            format!("{action} on {arn} failed with {code}: {message}"),
            "it is tried again; if it stays, look the code up in the SQS API reference".to_owned(),
        ),
    };
    Trouble { fault, text, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(code: &str) -> Trouble {
        by_code(
            "arn:aws:sqs:eu-west-1:1:q",
            "https://q",
            "sqs:ReceiveMessage",
            code,
            "User: u is not authorized",
        )
    }

    #[test]
    fn a_missing_right_is_named_with_the_statement_that_grants_it() {
        let trouble = explain("AccessDenied");
        assert_eq!(trouble.fault.exit_code(), 77);
        assert!(trouble.text.contains("sqs:ReceiveMessage on arn:aws:sqs:eu-west-1:1:q"), "{trouble}");
        let granted =
            r#"{"Effect":"Allow","Action":"sqs:ReceiveMessage","Resource":"arn:aws:sqs:eu-west-1:1:q"}"#;
        assert!(trouble.remedy.contains(granted), "{trouble}");
    }

    #[test]
    fn each_cause_has_its_own_sentence_and_fault() {
        for (code, fault, part) in [
            ("AWS.SimpleQueueService.NonExistentQueue", Fault::Setting, "does not exist"),
            ("QueueDoesNotExist", Fault::Setting, "does not exist"),
            ("KmsAccessDenied", Fault::Refused, "kms:Decrypt"),
            ("KmsDisabled", Fault::Setting, "KMS key"),
            ("ExpiredToken", Fault::Refused, "expired"),
            ("InvalidClientTokenId", Fault::Refused, "access key"),
            ("SignatureDoesNotMatch", Fault::Refused, "clock"),
            ("InternalFailure", Fault::Unreachable, "InternalFailure"),
        ] {
            let trouble = explain(code);
            assert_eq!(trouble.fault, fault, "{code}");
            assert!(trouble.to_string().contains(part), "{code}: {trouble}");
        }
    }
}
