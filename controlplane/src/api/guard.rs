//! The guard of each route: who asks, may it, how often; and for changes also: was this asked before, and what came
//! of it.
//!
//! A route gets its guard when it is registered and cannot be registered without ([`super::registry`]). A change
//! runs to its end even if its caller has gone, so that its audit entry says what became of it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::audit::{Change, Entry};
use super::extract::LONG_INPUT_BYTES_MAX;
use super::idempotency::{self, Begun};
use super::{Code, Ctx, Principal, Problem, Role};
use crate::http::Peer;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody: signing in, and pages that explain.
    Open,
    /// Who has this role, or a higher one.
    Role(Role),
}

/// What the guard knows about the routes of one path.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) access: Access,
    /// Whether what is no GET changes something.
    pub(super) changes: bool,
    /// Operation by method, as the document names it.
    pub(super) operations: Arc<[(Method, String)]>,
}

impl Post {
    fn operation(&self, method: &Method) -> &str {
        // HEAD is answered by the route of GET.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|(known, _)| known == method).map_or("", |(_, operation)| operation)
    }

    /// Lets a request pass, or refuses it.
    pub(super) async fn pass(self, mut request: Request, next: Next) -> Response {
        let Some(ctx) = request.extensions().get::<Ctx>().cloned() else {
            return Problem::new(Code::Internal, "the route was reached around its door").into_response();
        };
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_else(Peer::here);
        let Access::Role(needed) = self.access else { return next.run(request).await };
        let headers = request.headers().clone();
        let principal = match ctx.accounts().authenticate(&headers).await {
            Ok(principal) => principal,
            Err(problem) => return problem.into_response(),
        };
        if let Err(problem) = ctx.rates().of_principal(&principal.name) {
            return problem.into_response();
        }
        // A method that the path has not got changes nothing: the router refuses it.
        let is_known = !self.operation(request.method()).is_empty();
        let is_change = self.changes && is_known && !matches!(*request.method(), Method::GET | Method::HEAD);
        let about = About {
            operation: self.operation(request.method()).to_owned(),
            target: request.uri().path().to_owned(),
            address: peer.address,
        };
        if principal.role < needed {
            let text = format!("this needs the role {needed}; {} has {}", principal.name, principal.role);
            let response = Problem::new(Code::Forbidden, text).into_response();
            if is_change {
                record(&ctx, entry(&principal, &about, &response)).await;
            }
            return response;
        }
        request.extensions_mut().insert(principal.clone());
        if !is_change {
            return next.run(request).await;
        }
        let changing = tokio::spawn(async move {
            let response = once(&ctx, &principal, &headers, request, next).await;
            let entry = entry(&principal, &about, &response);
            record(&ctx, entry).await;
            response
        });
        changing.await.unwrap_or_else(|_| Problem::new(Code::Internal, "the change panicked").into_response())
    }
}

struct About {
    operation: String,
    target: String,
    address: IpAddr,
}

async fn record(ctx: &Ctx, entry: Option<Entry>) {
    if let Some(entry) = entry {
        super::audit::record(ctx.store(), entry).await;
    }
}

/// What is recorded of an answer. One that was given before is in the log already.
fn entry(principal: &Principal, about: &About, response: &Response) -> Option<Entry> {
    if response.headers().contains_key(idempotency::REPLAYED) {
        return None;
    }
    let change = response.extensions().get::<Change>().cloned().unwrap_or_default();
    Some(Entry {
        principal: principal.name.clone(),
        role: Some(principal.role),
        address: about.address.to_string(),
        operation: about.operation.clone(),
        target: about.target.clone(),
        status: response.status().as_u16(),
        code: response.extensions().get::<Code>().map(|code| code.as_str().to_owned()),
        before: change.before,
        after: change.after,
    })
}

/// Runs a change, or gives the answer that the same key got before.
async fn once(
    ctx: &Ctx,
    principal: &Principal,
    headers: &HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let key = match idempotency::key(headers) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, LONG_INPUT_BYTES_MAX).await else {
        let text = format!("the body is larger than {LONG_INPUT_BYTES_MAX} bytes");
        return Problem::new(Code::TooLarge, text).into_response();
    };
    let fingerprint = idempotency::fingerprint(&parts.method, &parts.uri, &bytes);
    let whose = idempotency::Whose { principal: principal.name.clone(), key };
    match idempotency::begin(ctx.store(), whose.clone(), fingerprint).await {
        Err(problem) => problem.into_response(),
        Ok(Begun::Before(stored)) => stored.into_response(),
        Ok(Begun::Fresh) => {
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            idempotency::end(ctx.store(), whose, response).await
        }
    }
}
