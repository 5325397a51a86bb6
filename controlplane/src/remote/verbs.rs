//! What each verb asks, and how its answer becomes output and an exit code.

use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::api::{Api, every_page, in_path, kept_of, show, told};
use super::client::{Question, Target};
use super::tables::{self, with_times};
use super::{
    Asked, AuditArgs, BackupArgs, KeyVerb, KeysArgs, LoginArgs, Remote, RestoreArgs, UserVerb, UsersArgs,
    alerts, configs, figures, pipelines, rejected, session, topics,
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
            Asked::Pipelines(args) => pipelines::run(args, output).await,
            Asked::Users(args) => users(args, output).await,
            Asked::Keys(args) => keys(args, output).await,
            Asked::Audit(args) => audit(args, output).await,
            Asked::Backup(args) => backup(args, output).await,
            Asked::Restore(args) => restore(args, output).await,
            Asked::Topics(args) => topics::run(args, output).await,
            Asked::Groups(args) => topics::groups(args, output).await,
            Asked::Queues(args) => figures::queues(args, output).await,
            Asked::Rejected(args) => rejected::run(args, output).await,
            Asked::Tap(args) => rejected::tap(args, output).await,
            Asked::Config(asked) => configs::run(asked, output).await,
            Asked::Alerts(args) => alerts::run(args, output).await,
            Asked::Latency(args) => figures::latency(args, output).await,
            Asked::Cost(remote) => figures::cost(&remote, output).await,
            Asked::Instances(args) => figures::instances(args, output).await,
            Asked::Shards(remote) => figures::shards(&remote, output).await,
            Asked::Sessions(args) => figures::sessions(args, output).await,
        }
    })
}

async fn login(args: LoginArgs) -> Result<u8, Failure> {
    let target = Target::parse(&args.remote.api, args.remote.api_ca.as_deref())?;
    let password = session::password(&format!("password of {} at {}", args.name, target.base()))?;
    let body = json!({ "name": args.name, "password": *password });
    let json =
        told(target.send(&Question::new(Method::POST, "/api/v1/login", Some(&body)), None).await?)?.json;
    let file = session::file()?;
    session::keep(&kept_of(&target, &json), &file)?;
    term::note(&format!("signed in as {}; the session is kept in {}", args.name, file.display()));
    Ok(exit::OK)
}

async fn logout(remote: &Remote) -> Result<u8, Failure> {
    let mut api = Api::open(remote)?;
    let Some(file) = api.session_file().map(Path::to_owned) else {
        return Err(Failure::new(exit::USAGE, "the token is of no session", "unset MILLRACE_TOKEN"));
    };
    let ended = api.ask(Method::POST, "/api/v1/logout", None).await;
    // The tokens are of no use any more, whatever the other side says.
    let _gone = std::fs::remove_file(file);
    ended.map(|_| exit::OK)
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
