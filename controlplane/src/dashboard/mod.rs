//! The dashboard, as `npm run build` left it in `dashboard/dist`, embedded into this binary.
//!
//! Files whose names carry a hash of their content may be kept for ever; the page itself carries a fresh nonce in every
//! answer and is never kept. A binary that was built without the dashboard has no files, and the door draws its own page
//! instead. Nothing here is secret: figures come through the API, to who may see them.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};

/// The files that are served; an extension of each request.
#[derive(Clone, Copy)]
pub(crate) struct Dashboard(&'static [File]);

/// A file with its compressed forms, if it has them.
struct File {
    path: &'static str,
    kind: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// The page.
const PAGE: &str = "index.html";
/// What stands in the page where the nonce belongs.
const NONCE: &str = "MILLRACE_NONCE";
/// Bytes of a nonce: not to be guessed. Source: CSP Level 3, "Nonces".
const NONCE_BYTES: usize = 16;

/// Marks an answer that has a policy and a caching rule of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served;

impl Dashboard {
    /// That of a binary which was built without it.
    #[cfg(test)]
    pub(crate) const NONE: Dashboard = Dashboard(&[]);

    /// That of this binary.
    pub(crate) fn embedded() -> Dashboard {
        Dashboard(FILES)
    }

    /// Whether there is one.
    pub(crate) fn is_built(self) -> bool {
        self.page().is_some()
    }

    fn page(self) -> Option<&'static str> {
        std::str::from_utf8(self.find(PAGE)?.plain).ok()
    }

    fn find(self, path: &str) -> Option<&'static File> {
        self.0.iter().find(|file| file.path == path)
    }
}

/// Answers with the page, whatever stands behind `/ui`: the page itself knows its places.
pub(crate) async fn show(Extension(dashboard): Extension<Dashboard>) -> Response {
    let Some(page) = dashboard.page() else { return nowhere() };
    let mut bytes = [0; NONCE_BYTES];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the kernel gives no random numbers\n").into_response();
    }
    let nonce = STANDARD.encode(bytes);
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let mut response = Response::new(Body::from(page.replace(NONCE, &nonce)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        response.extensions_mut().insert(Served);
    }
    response
}

/// Answers with a file of the dashboard.
pub(crate) async fn file(Extension(dashboard): Extension<Dashboard>, uri: Uri, asked: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let Some(file) = dashboard.find(path).filter(|file| file.path != PAGE) else { return nowhere() };
    let etag = HeaderValue::from_static(file.etag);
    let has_it = asked.get_all(header::IF_NONE_MATCH).iter().any(|known| holds(known, file.etag));
    let (body, encoding) = chosen(file, asked.get(header::ACCEPT_ENCODING));
    let mut response = if has_it {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(Bytes::from_static(body)))
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching(file.path)));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    if !has_it {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
    }
    response.extensions_mut().insert(Served);
    response
}

fn nowhere() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

/// Whether a list of entity tags holds one.
fn holds(known: &HeaderValue, etag: &str) -> bool {
    let tags = known.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|tag| tag.trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
}

/// A name with the hash of its content is never used for another content. Source: RFC 8246.
fn caching(path: &str) -> &'static str {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let hashed = stem.rsplit_once('-').is_some_and(|(_, hash)| hash.len() >= 8);
    if hashed { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// The smallest form that is accepted.
fn chosen(file: &File, accepted: Option<&HeaderValue>) -> (&'static [u8], Option<&'static str>) {
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let takes = |name: &str| {
        accepted.split(',').any(|one| {
            let (coding, quality) = one.split_once(';').unwrap_or((one, "q=1"));
            coding.trim() == name && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    };
    match (file.brotli, file.gzip) {
        (Some(brotli), _) if takes("br") => (brotli, Some("br")),
        (_, Some(gzip)) if takes("gzip") => (gzip, Some("gzip")),
        _ => (file.plain, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: File = File {
        path: "assets/index-AbCd1234.js",
        kind: "text/javascript; charset=utf-8",
        etag: "\"abc\"",
        plain: b"plain",
        brotli: Some(b"br"),
        gzip: Some(b"gz"),
    };

    fn form(accepted: &'static str) -> (&'static [u8], Option<&'static str>) {
        chosen(&SAMPLE, Some(&HeaderValue::from_static(accepted)))
    }

    #[test]
    fn the_smallest_form_that_is_accepted_is_sent() {
        assert_eq!(form("gzip, deflate, br"), (b"br".as_slice(), Some("br")));
        assert_eq!(form("gzip;q=0.5"), (b"gz".as_slice(), Some("gzip")));
        assert_eq!(form("br;q=0, gzip"), (b"gz".as_slice(), Some("gzip")));
        assert_eq!(form("identity"), (b"plain".as_slice(), None));
        assert_eq!(chosen(&SAMPLE, None), (b"plain".as_slice(), None));
        let plain = File { brotli: None, gzip: None, ..SAMPLE };
        assert_eq!(chosen(&plain, Some(&HeaderValue::from_static("br"))), (b"plain".as_slice(), None));
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        assert!(caching("assets/index-AbCd1234.js").contains("immutable"));
        assert_eq!(caching("assets/icon.svg"), "no-cache");
        assert_eq!(caching("assets/two-part.svg"), "no-cache");
    }

    #[test]
    fn tags_are_compared_one_by_one_and_weakly() {
        for (known, has) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"ab\"", false),
            ("", false),
        ] {
            assert_eq!(holds(&HeaderValue::from_static(known), "\"abc\""), has, "{known}");
        }
    }

    #[test]
    fn every_embedded_file_is_whole() {
        for file in FILES {
            assert!(!file.plain.is_empty() && file.etag.len() == 34, "{}", file.path);
            assert!(file.brotli.is_none_or(|packed| packed.len() < file.plain.len()), "{}", file.path);
        }
        if let Some(page) = Dashboard::embedded().page() {
            assert!(page.matches(NONCE).count() >= 3, "script, style sheet and meta carry the nonce");
            assert!(!page.contains("http://") && !page.contains("https://"), "no other host");
        }
    }

    fn answer(future: impl Future<Output = Response>) -> Response {
        futures_lite::future::block_on(future)
    }

    #[test]
    fn each_answer_has_a_nonce_of_its_own() {
        let embedded = Extension(Dashboard::embedded());
        if !embedded.is_built() {
            return;
        }
        let policy = || {
            let response = answer(show(embedded));
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let (one, other) = (policy(), policy());
        assert!(
            one != other && one.contains("script-src 'self' 'nonce-") && !one.contains("unsafe"),
            "{one}"
        );
    }

    #[test]
    fn a_file_that_the_reader_has_is_not_sent_again() {
        let Some(script) = FILES.iter().find(|file| file.path.ends_with(".js")) else { return };
        let uri: Uri = format!("/{}", script.path).parse().unwrap();
        let embedded = Extension(Dashboard::embedded());
        let first = answer(file(embedded, uri.clone(), HeaderMap::new()));
        assert_eq!(first.status(), StatusCode::OK);
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let again = answer(file(embedded, uri, asked));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(!again.headers().contains_key(header::CONTENT_TYPE));
        let other = answer(file(embedded, Uri::from_static("/assets/../index.html"), HeaderMap::new()));
        assert_eq!(other.status(), StatusCode::NOT_FOUND);
    }
}
