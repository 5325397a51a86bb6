//! What routes take: JSON bodies, query parameters, parts of the path; refused with a problem that names the fault.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::{Code, Problem};

/// Largest JSON body.
const INPUT_BYTES_MAX: usize = 256 << 10;
/// Largest configuration in a body: the largest file, and its quotes.
pub(crate) const LONG_INPUT_BYTES_MAX: usize = (4 << 20) + (64 << 10);

/// A JSON body of at most 256 KiB.
#[derive(Debug)]
pub(crate) struct Input<T>(pub(crate) T);

/// A JSON body of at most 4 MiB.
#[derive(Debug)]
pub(crate) struct LongInput<T>(pub(crate) T);

/// Query parameters.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

/// Parts of the path.
#[derive(Debug)]
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Input<T>, Problem> {
        read(request, INPUT_BYTES_MAX).await.map(Input)
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for LongInput<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<LongInput<T>, Problem> {
        read(request, LONG_INPUT_BYTES_MAX).await.map(LongInput)
    }
}

async fn read<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(Problem::new(Code::MediaType, "the body must be application/json"));
    }
    let too_large = || Problem::new(Code::TooLarge, format!("the body is larger than {bytes_max} bytes"));
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > bytes_max) {
        return Err(too_large());
    }
    let bytes = to_bytes(body, bytes_max).await.map_err(|_| too_large())?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::InvalidBody, format!("the body: {error}")))
}

/// `application/json`, with parameters or without.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked<T>, Problem> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(asked)| Asked(asked))
            .map_err(|error| Problem::new(Code::InvalidParameter, error.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<At<T>, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(at)| At(at))
            .map_err(|error| Problem::new(Code::InvalidParameter, error.body_text()))
    }
}
