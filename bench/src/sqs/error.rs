//! Refusals in AWS's words and shapes.
//!
//! Source: SQS API reference, the errors of each action.

/// A refused call or entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Code of the JSON protocol, without its namespace.
    pub code: &'static str,
    /// Code of the query protocol, as in `x-amzn-query-error`.
    pub query_code: &'static str,
    /// One sentence.
    pub message: String,
    /// HTTP status.
    pub status: u16,
}

impl ApiError {
    /// A refusal whose two codes are the same.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { code, query_code: code, message: message.into(), status: 400 }
    }

    pub(crate) fn no_queue() -> ApiError {
        ApiError {
            code: "QueueDoesNotExist",
            query_code: "AWS.SimpleQueueService.NonExistentQueue",
            message: "The specified queue does not exist.".to_owned(),
            status: 400,
        }
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> ApiError {
        ApiError::new("InvalidParameterValue", message)
    }

    pub(crate) fn missing_parameter(name: &str) -> ApiError {
        ApiError::new("MissingParameter", format!("The request must contain the parameter {name}."))
    }

    pub(crate) fn bad_handle(handle: &str) -> ApiError {
        let shown: String = handle.chars().take(64).collect();
        ApiError::new(
            "ReceiptHandleIsInvalid",
            format!("The input receipt handle \"{shown}\" is not a valid receipt handle."),
        )
    }

    /// The body of the JSON protocol.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "__type": format!("com.amazonaws.sqs#{}", self.code), "message": self.message })
            .to_string()
    }
}
