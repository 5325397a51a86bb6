//! Issues short-lived AWS credentials as AWS does it on a machine: the endpoint of a container (ECS, EKS), and
//! STS with AssumeRole and AssumeRoleWithWebIdentity. Every fetch brings other keys, and whoever checks
//! signatures is told all that were issued.
//!
//! Sources: ECS developer guide, "Task IAM role"; STS API reference.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use bench::sqs::{Keys, Server};

/// Longest time for one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// One fetch of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Path of a GET, action of a form.
    pub what: String,
    /// Value of the `Authorization` header.
    pub authorization: String,
    /// Fields of a form.
    pub form: HashMap<String, String>,
}

/// What a fetch must bring with it to be answered.
pub type Rule = fn(&Fetch) -> bool;

struct Shared {
    stop: AtomicBool,
    life: Duration,
    rule: Rule,
    fetches: Mutex<Vec<Fetch>>,
    issued: Mutex<Vec<Keys>>,
    server: Arc<Server>,
}

/// A server of credentials; it ends when dropped.
pub struct Issuer {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Issuer {
    /// Starts it. Its keys live for `life`, are given to fetches that keep `rule`, and are the only ones that
    /// `server` knows from now on.
    ///
    /// # Errors
    /// No port is left.
    pub fn start(server: &Arc<Server>, life: Duration, rule: Rule) -> Result<Issuer> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            life,
            rule,
            fetches: Mutex::default(),
            issued: Mutex::default(),
            server: Arc::clone(server),
        });
        let shared_too = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&listener, &shared_too));
        let issuer = Issuer { shared, address, thread: Some(thread) };
        issuer.revoke();
        Ok(issuer)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Fetches so far, refused ones too.
    pub fn fetches(&self) -> Vec<Fetch> {
        lock(&self.shared.fetches).clone()
    }

    /// Ends all keys that were issued, before their time.
    pub fn revoke(&self) {
        lock(&self.shared.issued).clear();
        // Without any key the server would ask nobody for a signature.
        let nobody = Keys { access_key: "NOBODY".to_owned(), ..Keys::default() };
        self.shared.server.set_keys(vec![nobody]);
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _it_had_panicked = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        // A client that leaves early is its own affair.
        let _left_early = answer(&stream, shared);
    }
}

fn answer(mut stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let fetch = read(stream)?;
    let granted = (shared.rule)(&fetch);
    let text = if granted { shape(&fetch, &issue(shared)?)? } else { refusal(&fetch) };
    lock(&shared.fetches).push(fetch);
    let status = if granted { "200 OK" } else { "403 Forbidden" };
    let kind = if text.starts_with('<') { "text/xml" } else { "application/json" };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )?;
    Ok(())
}

fn read(stream: &TcpStream) -> Result<Fetch> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).context("no request line")?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let form: HashMap<String, String> = String::from_utf8_lossy(&body)
        .split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (name.to_owned(), decode(value)))
        .collect();
    let what = form.get("Action").cloned().unwrap_or(path);
    Ok(Fetch { what, authorization: headers.remove("authorization").unwrap_or_default(), form })
}

/// Undoes the encoding of a form's value.
fn decode(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes fresh keys and tells the server all that are good.
fn issue(shared: &Shared) -> Result<Keys> {
    let mut issued = lock(&shared.issued);
    let number = lock(&shared.fetches).len();
    let expires = SystemTime::now() + shared.life;
    let keys = Keys {
        access_key: format!("ASIA{number:016}"),
        secret_key: format!("canary-of-issued-secret-{number}"),
        session_token: Some(format!("token/{number}+with=signs")),
        expires_s: Some(expires.duration_since(UNIX_EPOCH)?.as_secs()),
    };
    issued.push(keys.clone());
    shared.server.set_keys(issued.clone());
    Ok(keys)
}

/// The answer in the form of whoever was asked.
fn shape(fetch: &Fetch, keys: &Keys) -> Result<String> {
    let Keys { access_key, secret_key, session_token, expires_s } = keys;
    let token = session_token.as_deref().unwrap_or_default();
    let expires =
        DateTime::from_secs(i64::try_from(expires_s.unwrap_or(0))?).fmt(DateTimeFormat::DateTime)?;
    let action = &fetch.what;
    if action.starts_with('/') {
        let answer = serde_json::json!({
            "AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": token, "Expiration": expires,
        });
        return Ok(answer.to_string());
    }
    Ok(format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><Arn>arn:aws:sts::000000000000:assumed-role/r/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>\
         <Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
         </{action}Result></{action}Response>"
    ))
}

fn refusal(fetch: &Fetch) -> String {
    if fetch.what.starts_with('/') {
        return r#"{"code":"AccessDenied","message":"the token is not the container's"}"#.to_owned();
    }
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
         <Message>not authorized to perform: sts:{}</Message></Error></ErrorResponse>",
        fetch.what
    )
}

#[cfg(test)]
mod tests {
    use bench::sqs::ServerConfig;

    use super::*;

    fn post(issuer: &Issuer, request: &str) -> String {
        let mut stream = TcpStream::connect(issuer.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn every_fetch_brings_other_keys_and_a_refused_one_brings_none() {
        let server = Arc::new(Server::start(ServerConfig::default()).unwrap());
        let rule: Rule = |fetch| fetch.authorization == "right";
        let issuer = Issuer::start(&server, Duration::from_secs(60), rule).unwrap();
        let get = |token| post(&issuer, &format!("GET /c HTTP/1.1\r\nAuthorization: {token}\r\n\r\n"));
        let (first, second) = (get("right"), get("right"));
        assert!(first.contains("ASIA0000000000000000") && first.contains("Expiration"), "{first}");
        assert!(second.contains("ASIA0000000000000001"), "{second}");
        assert!(get("wrong").starts_with("HTTP/1.1 403"));
        assert_eq!(issuer.fetches().len(), 3);
    }

    #[test]
    fn a_form_is_read_whole() {
        let server = Arc::new(Server::start(ServerConfig::default()).unwrap());
        let issuer = Issuer::start(&server, Duration::from_secs(60), |_| true).unwrap();
        let form = "Action=AssumeRole&ExternalId=a%2Fb+c";
        let answer =
            post(&issuer, &format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{form}", form.len()));
        assert!(answer.contains("<AssumeRoleResult>"), "{answer}");
        assert_eq!(issuer.fetches()[0].form["ExternalId"], "a/b c");
    }
}
