//! The token that a verb sends: from the environment, a file, or the session of `millrace login`.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exit::{self, Failure};
use crate::secret::Secret;

/// Longest file with a token.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A session as `millrace login` keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The API that it is for: its tokens go nowhere else.
    pub(super) api: String,
    pub(super) access_token: Secret,
    pub(super) refresh_token: Secret,
}

/// What a verb sends.
pub(super) enum Token {
    /// A token as it is.
    Given(Zeroizing<String>),
    /// A session that can be renewed, and its file.
    Session(Kept, PathBuf),
}

/// File of the session of this user.
///
/// # Errors
/// The user has no home. Exit code 78.
pub(super) fn file() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let folder = folder.ok_or_else(|| {
        Failure::config("there is no HOME to keep a session in", "set HOME, or MILLRACE_TOKEN to an API key")
    })?;
    Ok(folder.join("millrace/session.json"))
}

/// The token for an API.
///
/// # Errors
/// There is none, or others may read its file. Exit code 77.
pub(super) fn token(api: &str, token_file: Option<&Path>) -> Result<Token, Failure> {
    if let Some(token) = std::env::var("MILLRACE_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(Token::Given(Zeroizing::new(token)));
    }
    if let Some(file) = token_file {
        let text = read(file)?;
        return Ok(Token::Given(Zeroizing::new(text.trim().to_owned())));
    }
    let file = file()?;
    let nobody = || {
        let text = format!("nobody is signed in at {api}");
        Failure::new(exit::REFUSED, text, "millrace login NAME; or set MILLRACE_TOKEN to an API key")
    };
    if !file.exists() {
        return Err(nobody());
    }
    let kept: Kept = serde_json::from_str(&read(&file)?).map_err(|_| nobody())?;
    if kept.api == api { Ok(Token::Session(kept, file)) } else { Err(nobody()) }
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let refused = |fault: &str, remedy: String| {
        Failure::new(exit::REFUSED, format!("token file {}: {fault}", file.display()), remedy)
    };
    let about =
        fs::metadata(file).map_err(|error| refused(&error.to_string(), "name a readable file".to_owned()))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(refused("others may read it", format!("chmod 600 {}", file.display())));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(refused("it is too large for a token", String::new()));
    }
    let text = fs::read_to_string(file).map_err(|error| refused(&error.to_string(), String::new()))?;
    Ok(Zeroizing::new(text))
}

/// Keeps a session, readable to this user only.
///
/// # Errors
/// The file cannot be written. Exit code 78.
pub(super) fn keep(kept: &Kept, file: &Path) -> Result<(), Failure> {
    let refused = |error: io::Error| {
        Failure::config(
            format!("{}: {error}", file.display()),
            "make its folder writable, or use MILLRACE_TOKEN",
        )
    };
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
    }
    let text = Zeroizing::new(serde_json::to_string(kept).map_err(|error| Failure::bug(error.to_string()))?);
    let part = file.with_extension(format!("part-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut made| made.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&part, file));
    written.map_err(refused)
}

/// Asks for a password without showing it; without a terminal, reads a line from stdin.
///
/// # Errors
/// Neither gives one. Exit code 2.
pub(super) fn password(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let refused = |error: io::Error| {
        Failure::new(
            exit::USAGE,
            format!("no password could be read: {error}"),
            "type it, or give it on stdin",
        )
    };
    let read = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{prompt}: ")).map_err(refused)?
    } else {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(refused)?;
        line
    };
    let read = Zeroizing::new(read);
    let password = Zeroizing::new(read.trim_end_matches(['\r', '\n']).to_owned());
    if password.is_empty() {
        return Err(Failure::new(exit::USAGE, "the password is empty", "type it, or give it on stdin"));
    }
    Ok(password)
}

/// Asks whether to go on; without a terminal, refuses.
///
/// # Errors
/// No, or nobody to ask. Exit code 2.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !is_somebody_there() {
        return Err(Failure::new(
            exit::USAGE,
            format!("{question} Nobody can be asked"),
            "--yes, if you are sure",
        ));
    }
    typed(question, "yes")
}

/// Asks for a name to be typed again, where something is lost for good; without a terminal, refuses.
///
/// # Errors
/// Another name, or nobody to ask. Exit code 2.
pub(super) fn confirm_name(question: &str, name: &str, yes: bool) -> Result<(), Failure> {
    if yes || !is_somebody_there() {
        return confirm(question, yes);
    }
    typed(question, name)
}

fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn typed(question: &str, wanted: &str) -> Result<(), Failure> {
    crate::term::note(&format!("{question} Type `{wanted}` to go on:"));
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    if read.is_ok() && line.trim() == wanted {
        Ok(())
    } else {
        Err(Failure::new(exit::USAGE, "nothing was done", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_session_is_for_its_owner_only_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/session.json");
        let kept = Kept {
            api: "http://127.0.0.1:1".into(),
            access_token: Zeroizing::new("a".to_owned()).into(),
            refresh_token: Zeroizing::new("r".to_owned()).into(),
        };
        keep(&kept, &file).unwrap();
        keep(&kept, &file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again: Kept = serde_json::from_str(&read(&file).unwrap()).unwrap();
        assert_eq!(&*again.refresh_token, "r");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read(&file).unwrap_err();
        assert_eq!(refused.code, exit::REFUSED);
        assert!(refused.remedy.contains("chmod 600"), "{refused}");
    }
}
