//! Errors of the API: RFC 9457 problems with stable codes, and the table of the codes.
//!
//! A code never changes its meaning. Each has a page under `/api/v1/problems/{code}`, which its `type` names.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $code:literal $status:ident $title:literal, $remedy:literal;)+) => {
        /// What went wrong, as programs tell it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $($(#[doc = $meaning])+ $name,)+ }

        impl Code {
            /// All codes.
            pub(crate) const ALL: &[Code] = &[$(Code::$name,)+];

            /// Stable text.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)+ }
            }

            /// HTTP status.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)+ }
            }

            /// Short text, the same for every occurrence.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }

            /// What it means.
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($meaning,)+).trim_ascii_start(),)+ }
            }

            /// What to do about it.
            pub(crate) fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy,)+ }
            }
        }
    };
}

codes! {
    /// The request breaks a rule of HTTP or of this API that has no code of its own.
    BadRequest = "bad_request" BAD_REQUEST "The request is not understood", "Read the detail; correct the request.";
    /// The body is no JSON, lacks a field, has one too many, or a value has the wrong form.
    InvalidBody = "invalid_body" BAD_REQUEST "The body is not as it should be", "The detail names the field; the document at /api/v1/openapi.json has the form.";
    /// A query parameter or a part of the path has the wrong form.
    InvalidParameter = "invalid_parameter" BAD_REQUEST "A parameter is not as it should be", "The detail names the parameter and what it may be.";
    /// The cursor was not made by this route.
    InvalidCursor = "invalid_cursor" BAD_REQUEST "The cursor is not valid", "Use `next` of the page before as it is, or begin without a cursor.";
    /// No token, or one that is not accepted. Which fault it has is not told.
    Unauthenticated = "unauthenticated" UNAUTHORIZED "A valid token is needed", "Sign in at /api/v1/login or use an API key: `Authorization: Bearer …`.";
    /// The principal's role does not suffice for this route.
    Forbidden = "forbidden" FORBIDDEN "The role does not suffice", "The detail names the role that is needed; an admin can give it.";
    /// There is no such route, or nothing of this name.
    NotFound = "not_found" NOT_FOUND "There is nothing here", "Check the name; the list beside it shows what there is.";
    /// The route exists, for other methods.
    MethodNotAllowed = "method_not_allowed" METHOD_NOT_ALLOWED "The method is not allowed here", "The header `Allow` lists the methods.";
    /// The request took longer than it may.
    Timeout = "timeout" REQUEST_TIMEOUT "The request took too long", "Send the body at once; try again.";
    /// What is asked contradicts what is there.
    Conflict = "conflict" CONFLICT "It contradicts what is there", "Read what is there now, then decide again.";
    /// There is one of this name already.
    Exists = "exists" CONFLICT "The name is taken", "Choose another name, or change the one that is there.";
    /// A request with the same Idempotency-Key is still under way.
    IdempotencyUnderWay = "idempotency_under_way" CONFLICT "The same request is under way", "Wait for its answer, then ask again with the same key.";
    /// The first answer to this Idempotency-Key carried a secret, which is shown once.
    IdempotencySecret = "idempotency_secret" CONFLICT "The answer is not shown again", "It was done. If the secret was lost, revoke it and make a new one.";
    /// The body is larger than the route takes.
    TooLarge = "too_large" PAYLOAD_TOO_LARGE "The body is too large", "The detail has the limit.";
    /// The body has no Content-Length, or comes in chunks.
    LengthRequired = "length_required" LENGTH_REQUIRED "The body needs a Content-Length", "Send the body whole, with its Content-Length.";
    /// The body is not `application/json`.
    MediaType = "media_type" UNSUPPORTED_MEDIA_TYPE "The media type is not taken", "Send `Content-Type: application/json`.";
    /// The Host header names no address of this machine: a rebound DNS name, or a name that is not configured.
    WrongHost = "wrong_host" MISDIRECTED_REQUEST "The request is for another host", "Use the address, or add the name to api.hosts.";
    /// What is asked is well formed and cannot be.
    Unprocessable = "unprocessable" UNPROCESSABLE_ENTITY "It cannot be done", "The detail names the field, its fault and what would be right.";
    /// An Idempotency-Key was used for another request before.
    IdempotencyReused = "idempotency_reused" UNPROCESSABLE_ENTITY "The key belongs to another request", "Use a fresh key for each request that differs.";
    /// The configuration that was given cannot work.
    InvalidConfig = "invalid_config" UNPROCESSABLE_ENTITY "The configuration cannot work", "Each entry of `errors` names a field, its fault and the remedy.";
    /// The resource has changed since the version that the request names.
    PreconditionFailed = "precondition_failed" PRECONDITION_FAILED "It has changed meanwhile", "Read it again; its ETag is the version to name.";
    /// A change needs `If-Match` with the version that it is based on.
    PreconditionRequired = "precondition_required" PRECONDITION_REQUIRED "The version is missing", "Read it first and send its ETag as If-Match.";
    /// More requests than this principal or address may send.
    RateLimited = "rate_limited" TOO_MANY_REQUESTS "Too many requests", "Wait as long as Retry-After says.";
    /// A bug of Millrace.
    Internal = "internal" INTERNAL_SERVER_ERROR "A bug of Millrace", "Please report it with the log line of the same moment.";
    /// The store's disk is full. The data plane does not notice.
    StoreFull = "store_full" INSUFFICIENT_STORAGE "The store is full", "Free space on the disk of api.store; nothing needs a restart.";
    /// Too many calls wait for the store.
    StoreBusy = "store_busy" SERVICE_UNAVAILABLE "The store is busy", "Try again in a moment.";
    /// There is no store: it could not be opened. The data plane does not notice.
    StoreUnavailable = "store_unavailable" SERVICE_UNAVAILABLE "There is no store", "The log line `store_unavailable` says why; mend it and restart.";
    /// The data plane does not take the command now.
    DataPlaneBusy = "data_plane_busy" SERVICE_UNAVAILABLE "The data plane does not answer", "Look at /readyz; try again.";
    /// The data plane is ending.
    Draining = "draining" CONFLICT "The appliance is draining", "It is about to end; start it again first.";
    /// These keys of the configuration cannot change while the appliance runs.
    NeedsRestart = "needs_restart" CONFLICT "It needs a restart", "Each entry of `errors` names a key; write the file and restart, or leave these keys as they are.";
    /// Too many look at Kafka at a time.
    KafkaBusy = "kafka_busy" SERVICE_UNAVAILABLE "Too many calls to Kafka", "Try again in a moment.";
    /// The other side refuses: login, certificate or rights.
    UpstreamRefuses = "upstream_refuses" BAD_GATEWAY "The other side refuses", "The detail names the right or the setting.";
    /// The other side cannot be reached.
    Upstream = "upstream" BAD_GATEWAY "The other side does not answer", "The detail has its words.";
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldFault {
    /// Path of the field.
    #[schema(example = "pipeline.orders.queue.wait_time")]
    pub(crate) field: String,
    /// What is wrong with it and what would be right.
    pub(crate) text: String,
}

/// The body of every error. Source: RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// Page that explains the code.
    #[schema(example = "/api/v1/problems/not_found")]
    r#type: String,
    /// Short text, the same for every occurrence.
    title: String,
    /// HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// Stable code for programs.
    #[schema(example = "not_found")]
    code: String,
    /// What is wrong this time.
    detail: String,
    /// Faults by field, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    errors: Vec<FieldFault>,
}

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldFault>,
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem with what is wrong this time. The detail never holds a secret.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// The same answer for every fault of a token, so that no fault is told from another.
    pub(crate) fn unauthenticated() -> Problem {
        Problem::new(Code::Unauthenticated, "there is no token, or it is not valid")
    }

    /// With faults by field.
    pub(crate) fn with_errors(mut self, errors: Vec<FieldFault>) -> Problem {
        self.errors = errors;
        self
    }

    /// With the seconds to wait.
    pub(crate) fn after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// Its code.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// What is wrong this time.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Faults by field.
    #[cfg(test)]
    pub(crate) fn errors(&self) -> &[FieldFault] {
        &self.errors
    }

    /// Seconds to wait, if it is worth it.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Gives an error that was made without a body (by the router) the form of a problem.
    pub(crate) fn instead_of_bare(response: Response) -> Response {
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        if !is_error || response.extensions().get::<Code>().is_some() {
            return response;
        }
        let code = Code::ALL.iter().copied().find(|code| code.status() == status).unwrap_or(Code::BadRequest);
        let (old, _) = response.into_parts();
        let mut response = Problem::new(code, code.meaning()).into_response();
        if let Some(allow) = old.headers.get(header::ALLOW) {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
        response
    }

    fn body(&self) -> ProblemBody {
        ProblemBody {
            r#type: format!("/api/v1/problems/{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            code: self.code.as_str().to_owned(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Plain strings and numbers: this cannot fail.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\""));
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let text = error.to_string();
        match error {
            StoreError::Full => Problem::new(Code::StoreFull, text),
            StoreError::Busy => Problem::new(Code::StoreBusy, text).after(1),
            StoreError::Unavailable(_) | StoreError::Corrupt(_) => {
                tracing::warn!(event = error.code(), reason = text, "the store refuses a call");
                // The reason has paths of this machine: it is for the log.
                Problem::new(Code::StoreUnavailable, "the store cannot be used; its log line says why")
            }
            StoreError::Exists => Problem::new(Code::Exists, text),
            StoreError::Missing => Problem::new(Code::NotFound, text),
            StoreError::Refused(_) => Problem::new(Code::Unprocessable, text),
            StoreError::Sql(_) => {
                tracing::error!(
                    event = "store_refused",
                    reason = text,
                    "a statement of the store is refused"
                );
                Problem::new(Code::Internal, "the store refuses a statement; its log line says why")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_explained_and_in_snake_case() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} twice");
            assert!(text.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{text}");
            assert!(code.meaning().ends_with('.') && code.remedy().ends_with('.'), "{text}");
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{text}");
        }
    }

    #[test]
    fn a_bare_error_gets_a_body_and_keeps_allow() {
        let mut bare = StatusCode::METHOD_NOT_ALLOWED.into_response();
        bare.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        let told = Problem::instead_of_bare(bare);
        assert_eq!(told.extensions().get::<Code>(), Some(&Code::MethodNotAllowed));
        assert_eq!(told.headers()["allow"], "GET");
        assert_eq!(told.headers()["content-type"], "application/problem+json");
    }
}
