//! Signing in and out, and who one is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::audit::{self, Entry};
use crate::api::auth::Tokens;
use crate::api::{Changed, Code, Ctx, Input, Principal, Problem, Proof, Role, Routes};
use crate::http::Peer;
use crate::secret::Secret;

/// Longest name that is looked at.
const NAME_BYTES_MAX: usize = 64;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .open(routes!(login))
        .open(routes!(refresh))
        .at(Role::Viewer, routes!(logout))
        .at(Role::Viewer, routes!(me))
        .at(Role::Viewer, routes!(change_my_password))
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// Name of the user.
    #[schema(example = "ada", max_length = 64)]
    name: String,
    /// Password of the user.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The refresh token of the last answer; it is used up.
    #[schema(value_type = String, format = Password)]
    refresh_token: Secret,
}

/// Tokens of a session.
#[derive(Serialize, ToSchema)]
struct SignedIn {
    /// For the header `Authorization: Bearer …`.
    #[schema(value_type = String)]
    access_token: Secret,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token is valid.
    #[schema(example = 900)]
    expires_in: u64,
    /// For `/api/v1/refresh`, once.
    #[schema(value_type = String)]
    refresh_token: Secret,
    /// Id of the session.
    session: String,
}

/// Who one is.
#[derive(Serialize, ToSchema)]
struct Me {
    /// Name in the audit log.
    #[schema(example = "ada")]
    name: String,
    /// What one may do.
    role: Role,
    /// How one has shown who one is: `session`, `key`, `issuer` or `bootstrap`.
    #[schema(example = "session")]
    proof: &'static str,
}

/// Two passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The present password.
    #[schema(value_type = String, format = Password)]
    present: Secret,
    /// The new one, at least 12 characters.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 512)]
    new: Secret,
}

impl From<Tokens> for SignedIn {
    fn from(tokens: Tokens) -> SignedIn {
        SignedIn {
            access_token: tokens.access.into(),
            token_type: "Bearer",
            expires_in: tokens.access_life_s,
            refresh_token: tokens.refresh.into(),
            session: tokens.session,
        }
    }
}

/// Begins a session with name and password.
#[utoipa::path(post, path = "/api/v1/login", operation_id = "login", tag = "access", request_body = Login,
    responses((status = 200, description = "Tokens of the session.", body = SignedIn),
        (status = 401, description = "Name or password is wrong; which of them is not told.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn login(
    State(ctx): State<Ctx>,
    Extension(peer): Extension<Peer>,
    Input(login): Input<Login>,
) -> Result<Json<SignedIn>, Problem> {
    let name: String = login.name.chars().take(NAME_BYTES_MAX).collect();
    ctx.rates().of_login(peer.address, &name)?;
    let signed_in = ctx.accounts().login(&name, login.password.into_inner(), peer.address).await;
    let entry = Entry {
        principal: name,
        role: None,
        address: peer.address.to_string(),
        operation: "login".to_owned(),
        target: "/api/v1/login".to_owned(),
        status: signed_in.as_ref().map_or_else(Problem::status, |_| StatusCode::OK).as_u16(),
        code: signed_in.as_ref().err().map(|problem| problem.code().as_str().to_owned()),
        before: None,
        after: signed_in.as_ref().ok().map(|tokens| serde_json::json!({ "session": tokens.session })),
    };
    audit::record(ctx.store(), entry).await;
    Ok(Json(signed_in?.into()))
}

/// Renews the tokens of a session.
///
/// The refresh token is used up. For 30 seconds it may come again, because an answer was lost; what was given for it before
/// is void then. One that comes later was stolen from somebody: its session ends.
#[utoipa::path(post, path = "/api/v1/refresh", operation_id = "refresh", tag = "access", request_body = Refresh,
    responses((status = 200, description = "Fresh tokens of the session.", body = SignedIn),
        (status = 401, description = "The token is not valid.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn refresh(
    State(ctx): State<Ctx>,
    Extension(peer): Extension<Peer>,
    Input(refresh): Input<Refresh>,
) -> Result<Json<SignedIn>, Problem> {
    // 32 random bytes cannot be guessed; the limit of the address bounds the work.
    ctx.rates().of_address(peer.address)?;
    Ok(Json(ctx.accounts().refresh(&refresh.refresh_token).await?.into()))
}

/// Ends the session that asks.
#[utoipa::path(post, path = "/api/v1/logout", operation_id = "logout", tag = "access",
    responses((status = 204, description = "The session has ended.")))]
async fn logout(State(ctx): State<Ctx>, principal: Principal) -> Result<Changed<StatusCode>, Problem> {
    let Proof::Session(id) = principal.proof else {
        return Err(Problem::new(
            Code::Conflict,
            "only a session can be ended; keys are revoked at /api/v1/keys",
        ));
    };
    let ended = ctx.accounts().revoke_session(id, None, "signed out").await?;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &ended))
}

/// Says who asks.
#[utoipa::path(get, path = "/api/v1/me", operation_id = "me", tag = "access",
    responses((status = 200, description = "Who asks.", body = Me)))]
async fn me(principal: Principal) -> Json<Me> {
    let proof = match principal.proof {
        Proof::Session(_) => "session",
        Proof::Key(_) => "key",
        Proof::Issuer(_) => "issuer",
        Proof::Bootstrap => "bootstrap",
    };
    Json(Me { name: principal.name, role: principal.role, proof })
}

/// Changes the password of the user who asks.
///
/// All sessions of the user end, this one too.
#[utoipa::path(post, path = "/api/v1/me/password", operation_id = "me_password", tag = "access",
    request_body = NewPassword, responses((status = 204, description = "The password has changed.")))]
async fn change_my_password(
    State(ctx): State<Ctx>,
    Extension(peer): Extension<Peer>,
    principal: Principal,
    Input(passwords): Input<NewPassword>,
) -> Result<Changed<StatusCode>, Problem> {
    let Proof::Session(_) = principal.proof else {
        return Err(Problem::new(Code::Conflict, "only a user who has signed in has a password"));
    };
    ctx.rates().of_login(peer.address, &principal.name)?;
    let (before, after) = ctx
        .accounts()
        .change_password(principal.name, passwords.present.into_inner(), passwords.new.into_inner())
        .await?;
    Ok(Changed::new(StatusCode::NO_CONTENT, Some(&before), Some(&after)))
}
