//! What stands between a running data plane and its API: the store, the accounts, the tasks beside them.
//!
//! Shared by `run` and `demo`. Nothing here can stop the data plane: a store that cannot be opened is logged, and
//! the API answers that there is none.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use dataplane::config::Api;

use crate::api::{self, Accounts, Ctx};
use crate::cli::LogFormat;
use crate::configs::versions::{self, Note};
use crate::exit::Failure;
use crate::store::{Store, default_folder};
use crate::term;

/// Opens the store that the configuration names, or the usual one.
pub(crate) fn store(api: &Api) -> Store {
    let variable = |name: &str| std::env::var(name).ok();
    let usual = || default_folder(variable, rustix::process::geteuid().is_root());
    let folder: PathBuf = api.store.clone().unwrap_or_else(usual);
    Store::open(&folder)
}

/// Reads the keys of accounts.
///
/// # Errors
/// A key is weak, readable to others, or not there. Exit code 78.
pub(crate) fn accounts(api: &Api, store: &Store) -> Result<Accounts, Failure> {
    Accounts::new(api, store.clone())
}

/// Starts the tasks beside the API, and shows the token of the first start if there is one.
pub(crate) async fn begin(ctx: &Ctx, url: &str, format: LogFormat) {
    tokio::spawn(api::feed(ctx.clone()));
    tokio::spawn(api::keep_up(ctx.clone()));
    tokio::spawn(ctx.watch().clone().run(Arc::clone(ctx.board()), ctx.configs().clone()));
    keep_version(ctx, "start", "the configuration of the start").await;
    if let Some(token) = ctx.accounts().bootstrap().await {
        term::note(&announcement(&token, url, is_text(format)));
    }
}

/// Reads the configuration again, and keeps it if it is another one.
pub(crate) async fn reload(ctx: Ctx) {
    if ctx.configs().reload().await {
        keep_version(&ctx, "reload", "the file was read again").await;
    }
}

async fn keep_version(ctx: &Ctx, origin: &'static str, comment: &str) {
    let note = Note { principal: "this process".to_owned(), origin, comment: comment.to_owned() };
    versions::keep(ctx.store(), &ctx.configs().current(), note).await;
}

fn is_text(format: LogFormat) -> bool {
    match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    }
}

/// The token, once, on stderr and not through the log: whoever collects log lines by their event never has it.
fn announcement(token: &str, url: &str, text: bool) -> String {
    if text {
        return format!(
            "nobody can sign in as an admin yet. This token can, until somebody can:\n\n    {token}\n\n\
             the first admin: MILLRACE_TOKEN={token} millrace users add NAME --role admin --api {url}"
        );
    }
    // A line of JSON among others.
    let line = serde_json::json!({
        "event": "first_token",
        "message": "nobody can sign in as an admin yet; this token can, until somebody can",
        "first_token": token,
        "api": url,
    });
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_shown_for_people_or_as_one_line_of_json() {
        let text = announcement("mb_x", "http://a/", true);
        assert!(text.contains("\n    mb_x\n") && text.contains("users add"), "{text}");
        let line = announcement("mb_x", "http://a/", false);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((json["event"].as_str(), line.lines().count()), (Some("first_token"), 1));
    }
}
