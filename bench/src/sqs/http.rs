//! HTTP/1.1 requests on the server's side: strict where a request ends, simple elsewhere.

use super::error::ApiError;

/// Largest request: a full batch of messages, escaped and in base64.
const BODY_BYTES_MAX: usize = 8 << 20;
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;

/// A parsed request: positions in its connection's input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    /// Operation of `X-Amz-Target`.
    pub operation: Option<String>,
    /// The body is a form, as the query protocol has it.
    pub is_form: bool,
    pub body: std::ops::Range<usize>,
    /// All bytes of the request.
    pub len: usize,
    pub close: bool,
}

/// Reads one request. `None`: not all there yet.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Request>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Ok(None),
        _ => return Err("bad request head"),
    };
    let mut length = None;
    let mut operation = None;
    let mut is_form = false;
    let mut close = request.version == Some(0);
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            // A sign is no digit, though Rust would take one. Source: RFC 9110, section 8.6.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let told = text.parse::<usize>().ok().filter(|_| digits).ok_or("bad content-length")?;
            if length.is_some_and(|before| before != told) {
                return Err("two lengths");
            }
            length = Some(told);
        } else if is("transfer-encoding") {
            return Err("chunked requests are not taken");
        } else if is("x-amz-target") {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            operation = text.strip_prefix("AmazonSQS.").map(str::to_owned);
        } else if is("content-type") {
            is_form = header.value.starts_with(b"application/x-www-form-urlencoded");
        } else if is("connection") {
            close |= header.value.eq_ignore_ascii_case(b"close");
        }
    }
    let length = length.unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err("the body is too large");
    }
    if input.len() < head + length {
        return Ok(None);
    }
    Ok(Some(Request {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        operation,
        is_form,
        body: head..head + length,
        len: head + length,
        close,
    }))
}

/// Appends an answer.
pub(crate) fn answer(
    out: &mut Vec<u8>,
    status: u16,
    date: &str,
    extra: &str,
    content_type: &str,
    body: &[u8],
) {
    let reason = match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Answer",
    };
    out.reserve(body.len() + 256);
    for part in [
        "HTTP/1.1 ",
        &status.to_string(),
        " ",
        reason,
        "\r\nContent-Type: ",
        content_type,
        "\r\nDate: ",
        date,
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\r\nx-amzn-RequestId: 00000000-0000-0000-0000-000000000000");
    out.extend_from_slice(extra.as_bytes());
    out.extend_from_slice(b"\r\nContent-Length: ");
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
}

/// Appends a refusal in the JSON protocol's shape.
pub(crate) fn refusal(out: &mut Vec<u8>, date: &str, error: &ApiError) {
    let extra = format!("\r\nx-amzn-query-error: {};Sender", error.query_code);
    answer(out, error.status, date, &extra, "application/x-amz-json-1.0", error.to_json().as_bytes());
}

/// A time as HTTP writes it. Source: RFC 9110, section 5.6.7.
pub(crate) fn date(unix_s: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = unix_s / 86_400;
    let (year, month, day) = civil(days);
    let second = unix_s % 86_400;
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize - 1],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month from 1, and day from 1, so many days after the first of 1970.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, left + 1)
}
