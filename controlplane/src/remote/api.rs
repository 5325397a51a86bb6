//! An appliance's API with the token for it: what is asked, what comes back, and what it means for the exit code.

use std::path::Path;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Answer, Pieces, Question, Target};
use super::session::{self, Kept, Token};
use super::{Remote, tables};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::term;

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

    /// Asks; the body of a good answer.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        Ok(self.put(&Question::new(method, path, body)).await?.json)
    }

    /// Asks; renews the session once if its access token has ended. A good answer.
    pub(super) async fn put(&mut self, question: &Question<'_>) -> Result<Answer, Failure> {
        let answer = self.target.send(question, Some(self.token())).await?;
        if answer.status == StatusCode::UNAUTHORIZED && self.renew().await? {
            return told(self.target.send(question, Some(self.token())).await?);
        }
        told(answer)
    }

    /// Asks for an answer that comes in pieces; renews the session once if its access token has ended.
    pub(super) async fn stream(&mut self, question: &Question<'_>) -> Result<Pieces, Failure> {
        let mut answer = self.target.stream(question, Some(self.token())).await?;
        let has_ended =
            answer.as_ref().err().is_some_and(|problem| problem.status == StatusCode::UNAUTHORIZED);
        if has_ended && self.renew().await? {
            answer = self.target.stream(question, Some(self.token())).await?;
        }
        match answer {
            Ok(pieces) => Ok(pieces),
            Err(problem) => {
                let status = problem.status;
                told(problem)?;
                Err(self.target.unreachable(&format!("it answers {status} and no stream")))
            }
        }
    }

    /// Why a stream broke off.
    pub(super) fn broken(&self, fault: &str) -> Failure {
        self.target.unreachable(fault)
    }

    /// File of the session, if the token is of one.
    pub(super) fn session_file(&self) -> Option<&Path> {
        match &self.token {
            Token::Given(_) => None,
            Token::Session(_, file) => Some(file),
        }
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
        let answer =
            self.target.send(&Question::new(Method::POST, "/api/v1/refresh", Some(&body)), None).await?;
        if answer.status != StatusCode::OK {
            return Ok(false);
        }
        *kept = kept_of(&self.target, &answer.json);
        session::keep(kept, file)?;
        Ok(true)
    }
}

pub(super) fn kept_of(target: &Target, json: &Value) -> Kept {
    let secret = |name: &str| Zeroizing::new(json[name].as_str().unwrap_or_default().to_owned()).into();
    Kept { api: target.base(), access_token: secret("access_token"), refresh_token: secret("refresh_token") }
}

/// A good answer; a problem as a failure with the exit code that fits.
pub(super) fn told(answer: Answer) -> Result<Answer, Failure> {
    if answer.status.is_success() {
        return Ok(answer);
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
    let mut why = format!("{}: {}", text("code"), text("detail"));
    for fault in answer.json["errors"].as_array().into_iter().flatten() {
        let part = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        why.push_str(&format!("\n  {}: {}", part("field"), part("text")));
    }
    Err(Failure::new(code, tables::plain(&why), remedy))
}

/// Writes an answer: as it is for programs, as text for people.
pub(super) fn show(output: Output, json: &Value, text: impl FnOnce(&Value) -> String) {
    match output {
        Output::Json => term::line(&format!("{json:#}")),
        Output::Text => term::out(&text(json)),
    }
}

/// All pages of a list as one.
pub(super) async fn every_page(api: &mut Api, path: &str) -> Result<Value, Failure> {
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
pub(super) fn in_path(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A path with the parts of a query that are there.
pub(super) fn with_query(path: &str, parts: &[(&str, Option<String>)]) -> String {
    let query: Vec<String> = parts
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", in_path(value.as_ref()?))))
        .collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
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
    fn parts_of_a_query_that_are_not_there_are_left_out() {
        let parts = [("a", Some("x y".to_owned())), ("b", None), ("c", Some("1".to_owned()))];
        assert_eq!(with_query("/p", &parts), "/p?a=x%20y&c=1");
        assert_eq!(with_query("/p", &parts[1..2]), "/p");
    }

    #[test]
    fn faults_are_told_by_field_and_move_no_cursor() {
        let json = json!({ "code": "c", "detail": "why", "type": "/t",
            "errors": [{ "field": "rate", "text": "is 0\u{1b}[2J" }] });
        let refused = Answer { status: StatusCode::UNPROCESSABLE_ENTITY, json, etag: None };
        assert_eq!(told(refused).unwrap_err().text, "c: why\n  rate: is 0\u{fffd}[2J");
    }

    #[test]
    fn problems_become_exit_codes_that_scripts_can_tell_apart() {
        let answer = |status: u16| {
            let json = json!({ "code": "some_code", "detail": "why", "type": "/api/v1/problems/some_code" });
            Answer { status: StatusCode::from_u16(status).unwrap(), json, etag: None }
        };
        for (status, code) in [(401, 77), (403, 77), (404, 1), (409, 1), (422, 1), (429, 1), (503, 69)] {
            let failure = told(answer(status)).unwrap_err();
            assert_eq!(failure.code, code, "{status}");
            assert!(failure.text.contains("some_code: why"), "{failure}");
        }
        assert!(told(answer(200)).is_ok());
    }
}
