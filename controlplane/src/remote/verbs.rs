//! What each verb asks, and how its answer becomes output and an exit code.

use hyper::Method;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use super::client::{Answer, Target};
use super::session::{self, Kept, Token};
use super::tables::{self, with_times};
use super::{
    Asked, AuditArgs, BackupArgs, KeyVerb, KeysArgs, LoginArgs, PipelineVerb, PipelinesArgs, Remote,
    RestoreArgs, UserVerb, UsersArgs,
};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::store::now_ms;
use crate::term;

/// Does what a verb says; returns the exit code.
///
/// # Errors
/// The other side is unreachable (69), refuses (77), or says no (1).
pub(crate) fn run(asked: Asked, output: Output) -> Result<u8, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::bug(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(async {
        match asked {
            Asked::Login(args) => login(args).await,
            Asked::Logout(remote) => logout(&remote).await,
            Asked::Pipelines(args) => pipelines(args, output).await,
            Asked::Users(args) => users(args, output).await,
            Asked::Keys(args) => keys(args, output).await,
            Asked::Audit(args) => audit(args, output).await,
            Asked::Backup(args) => backup(args, output).await,
            Asked::Restore(args) => restore(args, output).await,
        }
    })
}

/// An API and the token for it.
pub(crate) struct Api {
    target: Target,
    token: Token,
}

impl Api {
    /// Reads where it is and the token for it; connects nowhere yet.
    ///
    /// # Errors
    /// The URL is none (2), or there is no token (77).
    pub(crate) fn open(remote: &Remote) -> Result<Api, Failure> {
        let target = Target::parse(&remote.api, remote.api_ca.as_deref())?;
        let token = session::token(&target.base(), remote.token_file.as_deref())?;
        Ok(Api { target, token })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// The other side is unreachable (69), refuses (77), or says no (1).
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks; renews the session once if its access token has ended.
    async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let answer = self.target.send(method.clone(), path, Some(self.token()), body).await?;
        if answer.status == StatusCode::UNAUTHORIZED && self.renew().await? {
            return told(self.target.send(method, path, Some(self.token()), body).await?);
        }
        told(answer)
    }

    fn token(&self) -> &str {
        match &self.token {
            Token::Given(token) => token,
            Token::Session(kept, _) => &kept.access_token,
        }
    }

    async fn renew(&mut self) -> Result<bool, Failure> {
        let Token::Session(kept, file) = &mut self.token else { return Ok(false) };
        let body = json!({ "refresh_token": &*kept.refresh_token });
        let answer = self.target.send(Method::POST, "/api/v1/refresh", None, Some(&body)).await?;
        if answer.status != StatusCode::OK {
            return Ok(false);
        }
        *kept = kept_of(&self.target, &answer.json);
        session::keep(kept, file)?;
        Ok(true)
    }
}

fn kept_of(target: &Target, json: &Value) -> Kept {
    let secret = |name: &str| Zeroizing::new(json[name].as_str().unwrap_or_default().to_owned()).into();
    Kept { api: target.base(), access_token: secret("access_token"), refresh_token: secret("refresh_token") }
}

/// The body of a good answer; a problem as a failure with the exit code that fits.
fn told(answer: Answer) -> Result<Value, Failure> {
    if answer.status.is_success() {
        return Ok(answer.json);
    }
    let code = match answer.status.as_u16() {
        401 | 403 => exit::REFUSED,
        500.. => exit::UNREACHABLE,
        _ => exit::CHECK_FAILED,
    };
    let text = |name: &str| answer.json[name].as_str().unwrap_or_default().to_owned();
    let remedy = match answer.status.as_u16() {
        401 => "millrace login NAME; or set MILLRACE_TOKEN to an API key".to_owned(),
        _ => format!("GET {} explains the code", text("type")),
    };
    Err(Failure::new(code, format!("{}: {}", text("code"), text("detail")), remedy))
}

/// Writes an answer: as it is for programs, as text for people.
fn show(output: Output, json: &Value, text: impl FnOnce(&Value) -> String) {
    match output {
        Output::Json => term::line(&format!("{json:#}")),
        Output::Text => term::out(&text(json)),
    }
}

async fn login(args: LoginArgs) -> Result<u8, Failure> {
    let target = Target::parse(&args.remote.api, args.remote.api_ca.as_deref())?;
    let password = session::password(&format!("password of {} at {}", args.name, target.base()))?;
    let body = json!({ "name": args.name, "password": *password });
    let json = told(target.send(Method::POST, "/api/v1/login", None, Some(&body)).await?)?;
    let file = session::file()?;
    session::keep(&kept_of(&target, &json), &file)?;
    term::note(&format!("signed in as {}; the session is kept in {}", args.name, file.display()));
    Ok(exit::OK)
}

async fn logout(remote: &Remote) -> Result<u8, Failure> {
    let mut api = Api::open(remote)?;
    let Token::Session(_, file) = &api.token else {
        return Err(Failure::new(exit::USAGE, "the token is of no session", "unset MILLRACE_TOKEN"));
    };
    let file = file.clone();
    let ended = api.ask(Method::POST, "/api/v1/logout", None).await;
    // The tokens are of no use any more, whatever the other side says.
    let _gone = std::fs::remove_file(file);
    ended.map(|_| exit::OK)
}

async fn pipelines(args: PipelinesArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    let (name, verb) = match args.verb {
        PipelineVerb::List => {
            let json = api.get("/api/v1/pipelines").await?;
            show(output, &json, |json| {
                let columns = [
                    ("PIPELINE", "/name"),
                    ("STATE", "/state"),
                    ("RECEIVED", "/totals/received"),
                    ("DELIVERED", "/totals/delivered"),
                    ("REJECTED", "/totals/rejected"),
                    ("IN FLIGHT", "/totals/in_flight"),
                    ("IN QUEUE", "/queue/visible"),
                    ("UNACCOUNTED", "/unaccounted"),
                    ("REASON", "/reason"),
                ];
                tables::list(&json["items"], &columns)
            });
            return Ok(exit::OK);
        }
        PipelineVerb::Pause(named) => (named.name, "pause"),
        PipelineVerb::Resume(named) => (named.name, "resume"),
        PipelineVerb::Drain(named) => (named.name, "drain"),
    };
    let path = format!("/api/v1/pipelines/{}/{verb}", in_path(&name));
    let json = api.ask(Method::POST, &path, None).await?;
    let whole = json["shards_applied"] == json["shards"];
    show(output, &json, |json| {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        format!(
            "{}: {}, on {} of {} shards; {} in flight\n",
            text("name"),
            text("state"),
            json["shards_applied"],
            json["shards"],
            json["in_flight"]
        )
    });
    Ok(if whole { exit::OK } else { exit::CHECK_FAILED })
}

async fn users(args: UsersArgs, output: Output) -> Result<u8, Failure> {
    const COLUMNS: [(&str, &str); 4] =
        [("NAME", "/name"), ("ROLE", "/role"), ("DISABLED", "/disabled"), ("CHANGED", "/changed_ms")];
    let mut api = Api::open(&args.remote)?;
    let one = |json: &Value| tables::list(&with_times(json!([json])), &COLUMNS);
    match args.verb {
        UserVerb::List => {
            let json = every_page(&mut api, "/api/v1/users?").await?;
            show(output, &json, |json| tables::list(&with_times(json["items"].clone()), &COLUMNS));
        }
        UserVerb::Add { name, role } => {
            let password = session::password(&format!("password of the new user {name}"))?;
            let body = json!({ "name": name, "password": *password, "role": role.as_str() });
            let json = api.ask(Method::POST, "/api/v1/users", Some(&body)).await?;
            show(output, &json, one);
        }
        UserVerb::Change { name, role, password, disable, enable } => {
            let mut body = json!({});
            if let Some(role) = role {
                body["role"] = role.as_str().into();
            }
            if disable || enable {
                body["disabled"] = disable.into();
            }
            if password {
                body["password"] = session::password(&format!("new password of {name}"))?.as_str().into();
            }
            let path = format!("/api/v1/users/{}", in_path(&name));
            let json = api.ask(Method::PATCH, &path, Some(&body)).await?;
            show(output, &json, one);
        }
        UserVerb::Remove { name, yes } => {
            session::confirm(&format!("The user {name} and all its sessions will be removed."), yes)?;
            api.ask(Method::DELETE, &format!("/api/v1/users/{}", in_path(&name)), None).await?;
        }
    }
    Ok(exit::OK)
}

async fn keys(args: KeysArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        KeyVerb::List => {
            let json = every_page(&mut api, "/api/v1/keys?").await?;
            show(output, &json, |json| {
                let columns = [
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("BEGINS", "/prefix"),
                    ("ROLE", "/role"),
                    ("BY", "/created_by"),
                    ("CREATED", "/created_ms"),
                    ("EXPIRES", "/expires_ms"),
                    ("REVOKED", "/revoked_ms"),
                ];
                tables::list(&with_times(json["items"].clone()), &columns)
            });
        }
        KeyVerb::Create { name, role, expires } => {
            let mut body = json!({ "name": name, "role": role.as_str() });
            if let Some(life) = expires {
                let life_ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
                body["expires_ms"] = now_ms().saturating_add(life_ms).into();
            }
            let json = api.ask(Method::POST, "/api/v1/keys", Some(&body)).await?;
            show(output, &json, |json| format!("{}\n", json["secret"].as_str().unwrap_or_default()));
            term::note("this key is shown once; keep it now");
        }
        KeyVerb::Revoke { id, yes } => {
            session::confirm(&format!("The API key {id} will no longer be accepted, for good."), yes)?;
            api.ask(Method::DELETE, &format!("/api/v1/keys/{}", in_path(&id)), None).await?;
        }
    }
    Ok(exit::OK)
}

async fn audit(args: AuditArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    let mut path = format!("/api/v1/audit?limit={}", args.limit);
    for (name, value) in [("principal", &args.principal), ("operation", &args.operation)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", in_path(value)));
        }
    }
    let json = api.get(&path).await?;
    show(output, &json, |json| {
        let columns = [
            ("AT", "/at_ms"),
            ("WHO", "/principal"),
            ("FROM", "/address"),
            ("OPERATION", "/operation"),
            ("ON", "/target"),
            ("STATUS", "/status"),
            ("CODE", "/code"),
        ];
        tables::list(&with_times(json["items"].clone()), &columns)
    });
    Ok(exit::OK)
}

async fn backup(args: BackupArgs, output: Output) -> Result<u8, Failure> {
    const COLUMNS: [(&str, &str); 3] = [("NAME", "/name"), ("BYTES", "/bytes"), ("TAKEN", "/created_ms")];
    let mut api = Api::open(&args.remote)?;
    if args.list {
        let json = api.get("/api/v1/backups").await?;
        show(output, &json, |json| tables::list(&with_times(json["items"].clone()), &COLUMNS));
    } else {
        let json = api.ask(Method::POST, "/api/v1/backups", None).await?;
        show(output, &json, |json| tables::list(&with_times(json!([json])), &COLUMNS));
    }
    Ok(exit::OK)
}

async fn restore(args: RestoreArgs, output: Output) -> Result<u8, Failure> {
    const COLUMNS: [(&str, &str); 3] =
        [("TABLE", "/name"), ("ROWS NOW", "/rows_before"), ("ROWS THEN", "/rows_after")];
    let mut api = Api::open(&args.remote)?;
    let path = format!("/api/v1/backups/{}/restore", in_path(&args.name));
    let tried = api.ask(Method::POST, &format!("{path}?dry_run=true"), None).await?;
    let table = |json: &Value| tables::list(&json["tables"], &COLUMNS);
    if args.dry_run {
        show(output, &tried, table);
        return Ok(exit::OK);
    }
    // What would happen is shown before the question.
    term::note(table(&tried).trim_end());
    session::confirm("All sessions will end, and these tables will be as they were then.", args.yes)?;
    let json = api.ask(Method::POST, &path, None).await?;
    show(output, &json, |json| {
        let before = json["safety_backup"].as_str().unwrap_or_default();
        format!("restored {}; what was there before is in {before}\n", args.name)
    });
    Ok(exit::OK)
}

/// All pages of a list as one.
async fn every_page(api: &mut Api, path: &str) -> Result<Value, Failure> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut json = api.get(&format!("{path}limit=500{cursor}")).await?;
        if let Some(page) = json["items"].as_array_mut() {
            items.append(page);
        }
        match json["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", in_path(next)),
            None => return Ok(json!({ "items": items })),
        }
    }
}

/// Text as a part of a path or query. Source: RFC 3986, 2.3: unreserved characters stay.
fn in_path(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(in_path("a/../b?c=d#e%"), "a%2F..%2Fb%3Fc%3Dd%23e%25");
        assert_eq!(in_path("ordérs"), "ord%C3%A9rs");
    }

    #[test]
    fn problems_become_exit_codes_that_scripts_can_tell_apart() {
        let answer = |status: u16| {
            let json = json!({ "code": "some_code", "detail": "why", "type": "/api/v1/problems/some_code" });
            Answer { status: StatusCode::from_u16(status).unwrap(), json }
        };
        for (status, code) in [(401, 77), (403, 77), (404, 1), (409, 1), (422, 1), (429, 1), (503, 69)] {
            let failure = told(answer(status)).unwrap_err();
            assert_eq!(failure.code, code, "{status}");
            assert!(failure.text.contains("some_code: why"), "{failure}");
        }
        assert!(told(answer(200)).is_ok());
    }
}
