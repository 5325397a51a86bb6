//! Who may sign in: users, sessions, API keys, other issuers, and the token of the first start.
//!
//! What is asked with each request is remembered for some seconds; every change here forgets all of it, so that a
//! revocation holds at once. A fault of a token is never told: all of them get the same answer.

mod crypto;
mod issuers;
mod keys;
mod passwords;
mod secrets;
mod sessions;
#[cfg(test)]
mod token_edits_tests;
#[cfg(test)]
mod token_tests;
mod tokens;
mod users;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, HeaderMap};
use dataplane::config::Api;
use zeroize::Zeroizing;

use super::{Code, Principal, Problem, Proof, Role};
use crate::exit::Failure;
use crate::store::{Store, StoreError, now_ms};
use issuers::Issuers;
pub(crate) use keys::ApiKey;
use secrets::SigningKeys;
use sessions::Rotated;
pub(crate) use sessions::Session;
pub(crate) use users::User;
use users::UserChange;

/// How long a principal is remembered. A change by another process (there should be none) holds after this.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Principals remembered.
const REMEMBERED_MAX: usize = 4_096;
/// How API keys begin.
const KEY_PREFIX: &str = "mk_";
/// How the token of the first start begins.
const BOOTSTRAP_PREFIX: &str = "mb_";
/// How refresh tokens begin.
const REFRESH_PREFIX: &str = "mr_";
/// Letters of an API key that are shown.
const SHOWN: usize = 11;

/// All who may sign in.
pub(crate) struct Accounts {
    store: Store,
    signing: SigningKeys,
    issuers: Issuers,
    access_life: Duration,
    session_life: Duration,
    /// Hash of the token of the first start, while there is no admin.
    bootstrap: Mutex<Option<Vec<u8>>>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    restored: u64,
    known: HashMap<String, (Instant, Principal)>,
}

/// Tokens of a session, shown once.
pub(crate) struct Tokens {
    /// For the header `Authorization`.
    pub(crate) access: Zeroizing<String>,
    /// Seconds that it is valid.
    pub(crate) access_life_s: u64,
    /// For the next pair; used once.
    pub(crate) refresh: Zeroizing<String>,
    /// Id of the session.
    pub(crate) session: String,
}

impl Accounts {
    /// Reads the signing key and the keys of other issuers.
    ///
    /// # Errors
    /// A key is weak, readable to others, or not there. Exit code 78.
    pub(crate) fn new(api: &Api, store: Store) -> Result<Accounts, Failure> {
        crypto::install();
        Ok(Accounts {
            signing: SigningKeys::load(store.folder())?,
            issuers: Issuers::new(&api.issuer)?,
            access_life: api.session.access_token_life.0,
            session_life: api.session.life.0,
            store,
            bootstrap: Mutex::default(),
            remembered: Mutex::default(),
        })
    }

    /// Makes the token of the first start if nobody could sign in as an admin. It is good until somebody can.
    pub(crate) async fn bootstrap(&self) -> Option<Zeroizing<String>> {
        let has_admin = self.store.call(|connection| users::has_admin(connection)).await;
        if has_admin != Ok(false) {
            return None;
        }
        let token = Zeroizing::new(format!("{BOOTSTRAP_PREFIX}{}", *secrets::random(32)));
        *lock(&self.bootstrap) = Some(secrets::hash(&token));
        Some(token)
    }

    /// Who sent a request.
    ///
    /// # Errors
    /// No token or one that is not valid: the same answer for each fault. Or the store cannot be asked.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let token = bearer(headers).ok_or_else(Problem::unauthenticated)?;
        let principal = if token.starts_with(BOOTSTRAP_PREFIX) {
            self.by_bootstrap(token)
        } else if token.starts_with(KEY_PREFIX) {
            self.by_key(token).await?
        } else {
            self.by_jwt(token).await?
        };
        principal.ok_or_else(Problem::unauthenticated)
    }

    fn by_bootstrap(&self, token: &str) -> Option<Principal> {
        // Hashes are compared, so that time says nothing about the token.
        let is_it = lock(&self.bootstrap).as_ref().is_some_and(|hash| *hash == secrets::hash(token));
        is_it.then(|| Principal { name: "bootstrap".to_owned(), role: Role::Admin, proof: Proof::Bootstrap })
    }

    async fn by_key(&self, token: &str) -> Result<Option<Principal>, Problem> {
        let hash = secrets::hash(token);
        let name = format!("k{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        if let Some(principal) = self.remembered(&name) {
            return Ok(Some(principal));
        }
        let found = self.store.call(move |connection| keys::valid(connection, &hash)).await?;
        let principal = found.map(|(id, key, role)| Principal {
            name: format!("key:{key}"),
            role,
            proof: Proof::Key(id),
        });
        self.remember(name, principal.as_ref());
        Ok(principal)
    }

    async fn by_jwt(&self, token: &str) -> Result<Option<Principal>, Problem> {
        let Some(seen) = tokens::look(token) else { return Ok(None) };
        if seen.issuer != tokens::ISSUER {
            return Ok(self.issuers.verify(token, &seen).await);
        }
        let Some((user, session)) = tokens::verify_own(&self.signing, token, &seen) else { return Ok(None) };
        let name = format!("s{session}");
        if let Some(principal) = self.remembered(&name).filter(|principal| principal.name == user) {
            return Ok(Some(principal));
        }
        let (id, whose) = (session.clone(), user.clone());
        let role = self.store.call(move |connection| sessions::role(connection, &id, &whose)).await?;
        let principal = role.map(|role| Principal { name: user, role, proof: Proof::Session(session) });
        self.remember(name, principal.as_ref());
        Ok(principal)
    }

    fn remembered(&self, name: &str) -> Option<Principal> {
        let mut remembered = lock(&self.remembered);
        if remembered.restored != self.store.restored() {
            *remembered = Remembered { restored: self.store.restored(), known: HashMap::new() };
        }
        let (at, principal) = remembered.known.get(name)?;
        (at.elapsed() < REMEMBERED).then(|| principal.clone())
    }

    /// Only what is valid is remembered: inventions of a guesser take no room.
    fn remember(&self, name: String, principal: Option<&Principal>) {
        let Some(principal) = principal else { return };
        let mut remembered = lock(&self.remembered);
        if remembered.known.len() >= REMEMBERED_MAX {
            remembered.known.clear();
        }
        remembered.known.insert(name, (Instant::now(), principal.clone()));
    }

    fn forget(&self) {
        lock(&self.remembered).known.clear();
    }

    /// Runs a change of the store, then forgets who was remembered.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let changed = self.store.call(work).await;
        self.forget();
        changed.map_err(|error| match error {
            StoreError::Refused(text) => Problem::new(Code::Conflict, text),
            other => other.into(),
        })
    }

    /// Begins a session of a user.
    ///
    /// # Errors
    /// Name or password is wrong, which of them is not told; or the store cannot be asked.
    pub(crate) async fn login(
        &self,
        name: &str,
        password: Zeroizing<String>,
        address: IpAddr,
    ) -> Result<Tokens, Problem> {
        let whose = name.to_owned();
        let hash = self.store.call(move |connection| users::password(connection, &whose)).await?;
        if !passwords::verify(password, hash).await? {
            return Err(Problem::new(Code::Unauthenticated, "name or password is wrong"));
        }
        let refresh = Zeroizing::new(format!("{REFRESH_PREFIX}{}", *secrets::random(32)));
        let now = now_ms();
        let session = Session {
            id: secrets::random_name("n"),
            user: name.to_owned(),
            address: address.to_string(),
            created_ms: now,
            used_ms: now,
            expires_ms: now + i64::try_from(self.session_life.as_millis()).unwrap_or(i64::MAX / 2),
        };
        let (begun, hash) = (session.clone(), secrets::hash(&refresh));
        self.store.call(move |connection| sessions::begin(connection, &begun, &hash)).await?;
        self.tokens(name, session.id, refresh)
    }

    /// Renews a session; the refresh token is used up. One that was used long before ends the session: it was stolen.
    ///
    /// # Errors
    /// The token is not valid, or the store cannot be asked.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, Problem> {
        if !token.starts_with(REFRESH_PREFIX) || token.len() > tokens::TOKEN_BYTES_MAX {
            return Err(Problem::unauthenticated());
        }
        let fresh = Zeroizing::new(format!("{REFRESH_PREFIX}{}", *secrets::random(32)));
        let (old, new) = (secrets::hash(token), secrets::hash(&fresh));
        match self.change(move |connection| sessions::rotate(connection, &old, &new)).await? {
            Rotated::Renewed { user, session } => self.tokens(&user, session, fresh),
            Rotated::Reused { user, session } => {
                tracing::warn!(
                    event = "refresh_token_reused",
                    user,
                    session,
                    "a refresh token came twice: it may have been stolen, and its session was ended"
                );
                Err(Problem::unauthenticated())
            }
            Rotated::Refused => Err(Problem::unauthenticated()),
        }
    }

    fn tokens(&self, user: &str, session: String, refresh: Zeroizing<String>) -> Result<Tokens, Problem> {
        let access_life_s = self.access_life.as_secs();
        let access = tokens::sign(&self.signing, user, &session, access_life_s)
            .map_err(|_| Problem::new(Code::Internal, "the token could not be signed"))?;
        Ok(Tokens { access: Zeroizing::new(access), access_life_s, refresh, session })
    }

    /// Sessions that live, of one user or of all, newest first; one more than the limit if there are more.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub(crate) async fn sessions(
        &self,
        user: Option<String>,
        before: Option<(i64, String)>,
        limit: usize,
    ) -> Result<Vec<Session>, Problem> {
        let work = move |connection: &mut rusqlite::Connection| {
            sessions::list(connection, user.as_deref(), before.as_ref(), limit)
        };
        Ok(self.store.call(work).await?)
    }

    /// Ends a session; of one user only, if one is given.
    ///
    /// # Errors
    /// There is none of this id, or the store refuses.
    pub(crate) async fn revoke_session(
        &self,
        id: String,
        user: Option<String>,
        reason: &'static str,
    ) -> Result<Session, Problem> {
        self.change(move |connection| sessions::revoke(connection, &id, user.as_deref(), reason)).await
    }

    /// Users by name; one more than the limit if there are more.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub(crate) async fn users(&self, after: String, limit: usize) -> Result<Vec<User>, Problem> {
        Ok(self.store.call(move |connection| users::list(connection, &after, limit)).await?)
    }

    /// One user.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) async fn user(&self, name: String) -> Result<User, Problem> {
        Ok(self.store.call(move |connection| users::find(connection, &name)).await?)
    }

    /// Adds a user. The first admin ends the token of the first start.
    ///
    /// # Errors
    /// Name or password cannot be used, or there is one of this name.
    pub(crate) async fn add_user(
        &self,
        name: String,
        password: Zeroizing<String>,
        role: Role,
    ) -> Result<User, Problem> {
        if !users::is_name(&name) {
            let text = "name: it is 1 to 64 of a-z, 0-9, '.', '_' and '-', begins with a letter or digit, and is not reserved";
            return Err(Problem::new(Code::Unprocessable, text));
        }
        passwords::check(&name, &password)?;
        let hash = passwords::hash(password).await?;
        let user = self.change(move |connection| users::add(connection, &name, &hash, role)).await?;
        if role == Role::Admin && lock(&self.bootstrap).take().is_some() {
            tracing::info!(
                event = "bootstrap_ended",
                user = user.name,
                "an admin can sign in; the first token is void"
            );
        }
        Ok(user)
    }

    /// Changes a user; gives it before and after.
    ///
    /// # Errors
    /// The password cannot be used, it would leave no admin, or there is none of this name.
    pub(crate) async fn change_user(
        &self,
        name: String,
        role: Option<Role>,
        disabled: Option<bool>,
        password: Option<Zeroizing<String>>,
    ) -> Result<(User, User), Problem> {
        let password = match password {
            None => None,
            Some(password) => {
                passwords::check(&name, &password)?;
                Some(passwords::hash(password).await?)
            }
        };
        let change = UserChange { role, disabled, password };
        self.change(move |connection| users::change(connection, &name, &change)).await
    }

    /// Changes the password of a user who knows the present one.
    ///
    /// # Errors
    /// The present one is wrong, or the new one cannot be used.
    pub(crate) async fn change_password(
        &self,
        name: String,
        present: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> Result<(User, User), Problem> {
        let whose = name.clone();
        let hash = self.store.call(move |connection| users::password(connection, &whose)).await?;
        if !passwords::verify(present, hash).await? {
            return Err(Problem::new(Code::Unprocessable, "present: the password is wrong"));
        }
        self.change_user(name, None, None, Some(new)).await
    }

    /// Removes a user and the sessions.
    ///
    /// # Errors
    /// It would leave no admin, or there is none of this name.
    pub(crate) async fn remove_user(&self, name: String) -> Result<User, Problem> {
        self.change(move |connection| users::remove(connection, &name)).await
    }

    /// API keys by name; one more than the limit if there are more.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub(crate) async fn keys(&self, after: String, limit: usize) -> Result<Vec<ApiKey>, Problem> {
        Ok(self.store.call(move |connection| keys::list(connection, &after, limit)).await?)
    }

    /// Makes an API key; the key itself is shown once.
    ///
    /// # Errors
    /// The name cannot be used or is taken.
    pub(crate) async fn add_key(
        &self,
        name: String,
        role: Role,
        expires_ms: Option<i64>,
        created_by: String,
    ) -> Result<(ApiKey, Zeroizing<String>), Problem> {
        if !users::is_name(&name) {
            let text = "name: it is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit";
            return Err(Problem::new(Code::Unprocessable, text));
        }
        let now = now_ms();
        if expires_ms.is_some_and(|at| at <= now) {
            return Err(Problem::new(Code::Unprocessable, "expires_ms: it has passed"));
        }
        let secret = Zeroizing::new(format!("{KEY_PREFIX}{}", *secrets::random(32)));
        let prefix = secret.chars().take(SHOWN).collect();
        let id = secrets::random_name("k");
        let key =
            ApiKey { id, name, prefix, role, created_by, created_ms: now, expires_ms, revoked_ms: None };
        let (added, hash) = (key.clone(), secrets::hash(&secret));
        self.change(move |connection| keys::add(connection, &added, &hash)).await?;
        Ok((key, secret))
    }

    /// Revokes an API key; gives it before and after.
    ///
    /// # Errors
    /// There is none of this id.
    pub(crate) async fn revoke_key(&self, id: String) -> Result<(ApiKey, ApiKey), Problem> {
        self.change(move |connection| keys::revoke(connection, &id)).await
    }
}

/// Removes sessions that have ended.
///
/// # Errors
/// The store refuses.
pub(super) async fn prune(store: &Store) -> Result<usize, StoreError> {
    store.call(sessions::prune).await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each value is replaced whole, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The token of the one header `Authorization`, if it has the form of one. Never from the URL.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= tokens::TOKEN_BYTES_MAX
        && token.chars().all(legal);
    fits.then_some(token)
}
