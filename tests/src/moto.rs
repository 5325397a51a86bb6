//! moto's server, an SQS and STS server that this project did not write.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::{Result, ensure};
use bench::sqs::Keys;
use serde_json::Value;

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{http, ports, root, wait_until};

/// A session of a role, as moto remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its temporary keys.
    pub keys: Keys,
    /// External id that came with the request.
    pub external_id: String,
}

/// A running moto server.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    _process: Process,
    _scratch: Scratch,
}

impl Moto {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// The venv is missing, or it does not come up.
    pub fn start() -> Result<Moto> {
        let program = root().join("target/venv/bin/moto_server");
        ensure!(program.exists(), "moto is missing: run `make test`, which installs it");
        let scratch = Scratch::new("moto")?;
        let port = ports::free()?;
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = Process::start("moto", scratch.path(), command)?;
        wait_until("moto listens", 60, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(Moto { port, _process: process, _scratch: scratch })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sessions of all roles that were assumed.
    ///
    /// # Errors
    /// It does not answer.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let (_, body) = http::get(SocketAddr::from(([127, 0, 0, 1], self.port)), "/moto-api/data.json")?;
        let all: Value = serde_json::from_str(&body)?;
        let sessions = all["sts"]["AssumedRole"].as_array().cloned().unwrap_or_default();
        let text = |session: &Value, name: &str| session[name].as_str().unwrap_or_default().to_owned();
        let session = |session: &Value| Session {
            keys: Keys {
                access_key: text(session, "access_key_id"),
                secret_key: text(session, "secret_access_key"),
                session_token: Some(text(session, "session_token")),
                expires_s: None,
            },
            external_id: text(session, "external_id"),
        };
        Ok(sessions.iter().map(session).collect())
    }
}
