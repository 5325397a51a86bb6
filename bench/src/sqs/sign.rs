//! Checks request signatures as AWS does, so that clients meet wrong keys, expired tokens and wrong clocks.
//!
//! Source: IAM user guide, "Create a signed AWS API request"; SQS API reference, "Common Errors".

use ring::{digest, hmac};

use super::error::ApiError;
use super::http;
use super::message::hex;

/// A signature's date may be off by so much.
const SKEW_S_MAX: u64 = 900;

/// Keys that requests must be signed with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token, if the keys are temporary.
    pub session_token: Option<String>,
    /// When temporary keys end, in seconds since 1970 on the server's clock.
    pub expires_s: Option<u64>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key: &'a str,
    /// `date/region/service/aws4_request`.
    scope: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

/// A request head and what of it is signed.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(String, &'a str)>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(bytes: &'a [u8]) -> Option<Request<'a>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(bytes).ok()? else { return None };
        let headers = request.headers.iter().filter_map(|header| {
            Some((header.name.to_ascii_lowercase(), std::str::from_utf8(header.value).ok()?))
        });
        Some(Request {
            method: request.method?,
            path: request.path?,
            headers: headers.collect(),
            body: &bytes[head..],
        })
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    fn canonical(&self, signed: &[&str]) -> String {
        let (path, query) = self.path.split_once('?').unwrap_or((self.path, ""));
        let mut parameters: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
        parameters.sort_unstable();
        let mut text = format!("{}\n{path}\n{}\n", self.method, parameters.join("&"));
        for name in signed {
            let value = self.header(name).unwrap_or_default();
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            text.push_str(&format!("{name}:{}\n", words.join(" ")));
        }
        let hash = match self.header("x-amz-content-sha256") {
            Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD".to_owned(),
            _ => hex(digest::digest(&digest::SHA256, self.body).as_ref()),
        };
        text + &format!("\n{}\n{hash}", signed.join(";"))
    }
}

/// Checks one whole request against the keys that the server knows, at this time of its clock.
///
/// # Errors
/// What AWS answers: the client's fault each time.
pub(crate) fn verify(request: &[u8], known: &[Keys], clock_s: u64) -> Result<(), ApiError> {
    check(request, known, clock_s, "sqs")
}

/// Checks who asks, then when, then whether the signature is theirs: AWS's order, so that a client with
/// several mistakes meets the same one first.
fn check(request: &[u8], known: &[Keys], clock_s: u64, service: &str) -> Result<(), ApiError> {
    let request = Request::read(request).ok_or_else(incomplete)?;
    let header = request.header("authorization").ok_or_else(|| {
        refuse(
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    let given = authorization(header).ok_or_else(incomplete)?;
    let keys = owner(&request, &given, known, clock_s)?;
    let date = request.header("x-amz-date").ok_or_else(incomplete)?;
    let signed_s = unix_s(date).ok_or_else(incomplete)?;
    check_scope(&given, date, service)?;
    check_clock(date, signed_s, clock_s)?;
    let complete = ["host", "x-amz-date"].iter().all(|name| given.signed.contains(name));
    if !complete || signature(&request, &given, &keys.secret_key, date) != given.signature {
        return Err(mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    Ok(())
}

/// The keys that the request names: the server knows them, and they have not ended.
fn owner<'k>(
    request: &Request<'_>,
    given: &Authorization<'_>,
    known: &'k [Keys],
    clock_s: u64,
) -> Result<&'k Keys, ApiError> {
    let token = request.header("x-amz-security-token");
    let is_named =
        |keys: &&Keys| given.access_key == keys.access_key && token == keys.session_token.as_deref();
    let keys = known.iter().find(is_named).ok_or_else(|| {
        let text = "The security token included in the request is invalid.";
        refuse("UnrecognizedClientException", "InvalidClientTokenId", text)
    })?;
    if keys.expires_s.is_some_and(|expires_s| clock_s >= expires_s) {
        let text = "The security token included in the request is expired";
        return Err(refuse("ExpiredTokenException", "ExpiredToken", text));
    }
    Ok(keys)
}

/// `date/region/service/aws4_request`: of this day and this service. Any region will do.
fn check_scope(given: &Authorization<'_>, date: &str, service: &str) -> Result<(), ApiError> {
    let mut parts = given.scope.split('/');
    let (day, _region) = (parts.next().unwrap_or_default(), parts.next());
    if !date.starts_with(day) || day.len() != 8 {
        let text = format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}' != '{}', from '{date}'.",
            &date[..8]
        );
        return Err(mismatch(&text));
    }
    if parts.next() != Some(service) {
        return Err(mismatch(&format!("Credential should be scoped to correct service: '{service}'. ")));
    }
    if parts.next() != Some("aws4_request") {
        return Err(mismatch("Credential should be scoped with a valid terminator: 'aws4_request'."));
    }
    Ok(())
}

/// AWS tells a wrong clock under the code of a wrong signature: clients read the words and the times.
fn check_clock(date: &str, signed_s: u64, clock_s: u64) -> Result<(), ApiError> {
    if signed_s.abs_diff(clock_s) <= SKEW_S_MAX {
        return Ok(());
    }
    let now = stamp(clock_s);
    Err(mismatch(&if signed_s < clock_s {
        let edge = stamp(clock_s - SKEW_S_MAX);
        format!("Signature expired: {date} is now earlier than {edge} ({now} - 15 min.)")
    } else {
        let edge = stamp(clock_s + SKEW_S_MAX);
        format!("Signature not yet current: {date} is still later than {edge} ({now} + 15 min.)")
    }))
}

fn signature(request: &Request<'_>, given: &Authorization<'_>, secret: &str, date: &str) -> String {
    let canonical = request.canonical(&given.signed);
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hash}", given.scope);
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in given.scope.split('/') {
        key = mac(&key, part.as_bytes());
    }
    hex(&mac(&key, text.as_bytes()))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn authorization(header: &str) -> Option<Authorization<'_>> {
    let mut fields = header.strip_prefix("AWS4-HMAC-SHA256")?.split(',').map(str::trim);
    let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
    let (access_key, scope) = field("Credential")?.split_once('/')?;
    let signed = field("SignedHeaders")?.split(';').collect();
    let signature = field("Signature")?;
    (scope.split('/').count() == 4).then_some(Authorization { access_key, scope, signed, signature })
}

/// Seconds since 1970 of `20130524T000000Z`.
fn unix_s(text: &str) -> Option<u64> {
    if text.len() != 16 || !text.is_ascii() || &text[8..9] != "T" || &text[15..] != "Z" {
        return None;
    }
    let digits = text.bytes().enumerate().all(|(at, byte)| at == 8 || at == 15 || byte.is_ascii_digit());
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok().filter(|_| digits);
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    if !(1970..3000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days before a date of the proleptic Gregorian calendar, years beginning in March.
    let (shifted, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(days * 86_400 + number(9, 11)? * 3600 + number(11, 13)? * 60 + number(13, 15)?)
}

/// The reverse of [`unix_s`].
fn stamp(unix_s: u64) -> String {
    let (year, month, day) = http::civil(unix_s / 86_400);
    let second = unix_s % 86_400;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

fn incomplete() -> ApiError {
    refuse("IncompleteSignatureException", "IncompleteSignature", "Authorization header is incomplete.")
}

fn mismatch(text: &str) -> ApiError {
    refuse("InvalidSignatureException", "SignatureDoesNotMatch", text)
}

fn refuse(code: &'static str, query_code: &'static str, text: &str) -> ApiError {
    ApiError { code, query_code, message: text.to_owned(), status: 403 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "get-vanilla" of AWS's signature version 4 test suite.
    const VANILLA: &str = "GET / HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n\r\n";
    const VANILLA_S: u64 = 1_440_938_160;

    fn keys() -> Keys {
        Keys {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            ..Keys::default()
        }
    }

    /// The example is signed for a service named `service`.
    fn refusal(request: &str, keys: &Keys, clock_s: u64) -> Option<ApiError> {
        check(request.as_bytes(), std::slice::from_ref(keys), clock_s, "service").err()
    }

    fn code(request: &str, keys: &Keys, clock_s: u64) -> Option<&'static str> {
        refusal(request, keys, clock_s).map(|error| error.query_code)
    }

    #[test]
    fn the_example_of_aws_is_accepted() {
        assert_eq!(unix_s("20150830T123600Z"), Some(VANILLA_S));
        assert_eq!(refusal(VANILLA, &keys(), VANILLA_S), None);
    }

    #[test]
    fn a_wrong_clock_is_told_in_awss_words() {
        let said = |clock_s| refusal(VANILLA, &keys(), clock_s).map(|error| error.message);
        assert_eq!(said(VANILLA_S + 900), None);
        assert_eq!(said(VANILLA_S - 900), None);
        let late = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)";
        assert_eq!(said(VANILLA_S + 901).as_deref(), Some(late));
        let early = "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)";
        assert_eq!(said(VANILLA_S - 901).as_deref(), Some(early));
    }

    #[test]
    fn a_scope_names_the_day_sqs_and_the_version() {
        let said = |from: &str, to: &str| {
            refusal(&VANILLA.replace(from, to), &keys(), VANILLA_S)
                .map(|error| error.message)
                .unwrap_or_default()
        };
        assert!(said("/20150830/", "/20150829/").starts_with("Date in Credential scope does not match"));
        assert!(said("/service/", "/s3/").contains("scoped to correct service: 'service'"));
        assert!(said("/aws4_request", "/aws5_request").contains("valid terminator"));
        assert!(verify(VANILLA.as_bytes(), &[keys()], VANILLA_S).is_err(), "the example is not for SQS");
    }

    #[test]
    fn dates_that_are_none_are_refused_without_a_panic() {
        for date in
            ["", "20150830", "2015083ÄT123600Z", "+0150830T123600Z", "20151330T123600Z", "20150830T123600+"]
        {
            assert_eq!(unix_s(date), None, "{date}");
        }
        for unix_s_of in [0, 951_782_400, VANILLA_S, 4_102_444_799] {
            assert_eq!(unix_s(&stamp(unix_s_of)), Some(unix_s_of));
        }
    }

    #[test]
    fn whatever_is_wrong_gets_its_own_code() {
        let with = |set: fn(&mut Keys)| {
            let mut keys = keys();
            set(&mut keys);
            code(VANILLA, &keys, VANILLA_S)
        };
        assert_eq!(with(|keys| keys.access_key.push('X')), Some("InvalidClientTokenId"));
        assert_eq!(with(|keys| keys.session_token = Some("t".to_owned())), Some("InvalidClientTokenId"));
        assert_eq!(with(|keys| keys.secret_key.push('X')), Some("SignatureDoesNotMatch"));
        assert_eq!(with(|keys| keys.expires_s = Some(VANILLA_S)), Some("ExpiredToken"));
        assert_eq!(code(VANILLA, &keys(), VANILLA_S + 901), Some("SignatureDoesNotMatch"));
        assert_eq!(code(VANILLA, &keys(), VANILLA_S - 901), Some("SignatureDoesNotMatch"));
        assert_eq!(
            code(&VANILLA.replace("GET / ", "GET /x "), &keys(), VANILLA_S),
            Some("SignatureDoesNotMatch")
        );
        let unsigned = VANILLA.replace("Authorization", "Other");
        assert_eq!(code(&unsigned, &keys(), VANILLA_S), Some("MissingAuthenticationToken"));
        let partial = VANILLA.replace(", Signature", ", S");
        assert_eq!(code(&partial, &keys(), VANILLA_S), Some("IncompleteSignature"));
    }

    #[test]
    fn a_request_may_be_signed_with_any_key_that_is_known() {
        let other = Keys { access_key: "AKIDOTHER".to_owned(), ..keys() };
        let said = |known: &[Keys]| check(VANILLA.as_bytes(), known, VANILLA_S, "service").err();
        assert_eq!(said(&[other.clone(), keys()]), None);
        assert_eq!(said(&[other]).map(|error| error.query_code), Some("InvalidClientTokenId"));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", keys()).contains("wJalr"));
    }
}
