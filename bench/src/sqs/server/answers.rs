//! How answers leave: at once, later, never, or spoilt by a fault.

use std::cmp::Reverse;

use super::Worker;
use super::connection::Pending;
use crate::sqs::error::ApiError;
use crate::sqs::faults::Action;
use crate::sqs::{http, query};

const XML: &str = "text/xml";

impl Worker {
    /// Faults that answer without doing anything.
    pub(super) fn refuse_before(&mut self, number: usize, fault: Option<&Action>) -> Option<bool> {
        let date = self.date();
        let json = "application/x-amz-json-1.0";
        let mut out = Vec::new();
        match fault? {
            Action::Error { status, code } => {
                let body = format!("{{\"__type\":\"com.amazonaws.sqs#{code}\",\"message\":\"injected\"}}");
                http::answer(
                    &mut out,
                    *status,
                    &date,
                    &format!("\r\nx-amzn-query-error: {code};Sender"),
                    json,
                    body.as_bytes(),
                );
            }
            Action::XmlError { status, code } => {
                let body = format!(
                    "<?xml version=\"1.0\"?><ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>injected</Message></Error></ErrorResponse>"
                );
                http::answer(&mut out, *status, &date, "", "text/xml", body.as_bytes());
            }
            Action::HeaderError { status, code } => {
                http::answer(
                    &mut out,
                    *status,
                    &date,
                    &format!("\r\nx-amzn-query-error: {code};Sender"),
                    json,
                    b"",
                );
            }
            Action::Html(status) => {
                http::answer(&mut out, *status, &date, "", "text/html", b"<html><body>busy</body></html>");
            }
            Action::Empty(status) => http::answer(&mut out, *status, &date, "", json, b""),
            Action::Redirect => {
                http::answer(&mut out, 307, &date, "\r\nLocation: http://127.0.0.1:1/", json, b"");
            }
            Action::NullMessages => http::answer(&mut out, 200, &date, "", json, b"{\"Messages\":null}"),
            Action::DropBefore => return Some(false),
            _ => return None,
        }
        Some(self.answer_now(number, out))
    }

    /// Answers a call that was done, with what its fault makes of the answer.
    pub(super) fn give(
        &mut self,
        number: usize,
        answer: Result<Vec<u8>, ApiError>,
        fault: Option<&Action>,
    ) -> bool {
        let mut out = self.shape(number, answer, fault);
        match fault {
            Some(Action::DropAfter) => false,
            Some(Action::NeverAnswer | Action::ApplyFirst { .. }) => {
                if let Some(Some(connection)) = self.connections.get_mut(number) {
                    connection.pending = Some(Pending::Never);
                }
                true
            }
            Some(Action::CutAfter(bytes)) => {
                out.truncate(*bytes);
                self.answer_last(number, out)
            }
            Some(Action::WrongLength) => {
                let text = String::from_utf8_lossy(&out).replacen("Content-Length: ", "Content-Length: 9", 1);
                self.answer_last(number, text.into_bytes())
            }
            Some(Action::LatencyMs(ms)) => self.answer_later(number, out, ms.saturating_mul(1_000_000)),
            _ if self.latency_ns > 0 => self.answer_later(number, out, self.latency_ns),
            _ => self.answer_now(number, out),
        }
    }

    /// The bytes of an answer in the protocol of its call.
    fn shape(&mut self, number: usize, answer: Result<Vec<u8>, ApiError>, fault: Option<&Action>) -> Vec<u8> {
        let date = self.date();
        let connection = self.connections.get_mut(number).and_then(Option::as_mut);
        let form_action = connection.and_then(|connection| connection.form_action.take());
        let mut out = Vec::new();
        match (answer, form_action) {
            (Err(error), None) => http::refusal(&mut out, &date, &error),
            (Err(error), Some(_)) => {
                http::answer(&mut out, error.status, &date, "", XML, &query::refusal(&error));
            }
            (Ok(body), Some(action)) => {
                http::answer(&mut out, 200, &date, "", XML, &query::answer(&action, &body));
            }
            (Ok(body), None) => {
                let whole = fault != Some(&Action::TruncateJson);
                let len = if whole { body.len() } else { body.len() / 2 };
                http::answer(&mut out, 200, &date, "", "application/x-amz-json-1.0", &body[..len]);
            }
        }
        out
    }

    pub(super) fn answer_now(&mut self, number: usize, out: Vec<u8>) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(number) else { return true };
        connection.queue(out).and_then(|()| connection.flush()).is_ok() && !connection.is_finished()
    }

    /// Answers, then closes.
    fn answer_last(&mut self, number: usize, out: Vec<u8>) -> bool {
        if let Some(Some(connection)) = self.connections.get_mut(number) {
            connection.close_after = true;
        }
        self.answer_now(number, out)
    }

    pub(super) fn answer_later(&mut self, number: usize, out: Vec<u8>, wait_ns: u64) -> bool {
        let at_ns = self.shared.state().now_ns().saturating_add(wait_ns);
        let Some(Some(connection)) = self.connections.get_mut(number) else { return true };
        self.serial += 1;
        connection.serial = self.serial;
        connection.pending = Some(Pending::Answer(out));
        self.later.push(Reverse((at_ns, number, self.serial)));
        true
    }

    pub(super) fn send_due(&mut self) {
        if self.later.is_empty() {
            return;
        }
        let now_ns = self.shared.state().now_ns();
        while let Some(&Reverse((at_ns, number, serial))) = self.later.peek() {
            if at_ns > now_ns {
                return;
            }
            self.later.pop();
            let Some(Some(connection)) = self.connections.get_mut(number) else { continue };
            if connection.serial != serial {
                continue;
            }
            if let Some(Pending::Answer(out)) = connection.pending.take() {
                if !self.answer_now(number, out) {
                    self.close(number);
                    continue;
                }
                self.process(number);
            }
        }
    }
}
