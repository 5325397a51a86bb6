//! Claims about signatures: AWS's published vectors, and agreement with AWS's own signer on anything else.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const DATE_UNIX_S: u64 = 1_440_938_160;

fn credentials(token: Option<&str>) -> Credentials {
    Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Zeroizing::new(SECRET.to_owned()),
        session_token: token.map(|token| Zeroizing::new(token.to_owned())),
    }
}

/// Source: IAM user guide, "Examples of how to derive a signing key", and the ListUsers example.
#[test]
fn the_key_of_a_day_is_the_published_one() {
    // `hmac::Key` does not show its bytes: the same chain, step by step, ends at the published key, and
    // signing with it gives what `SigningKey` gives.
    for (date, published) in [
        ("20120215", "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"),
        ("20150830", "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"),
    ] {
        let mut bytes = format!("AWS4{SECRET}").into_bytes();
        for part in [date, "us-east-1", "iam", "aws4_request"] {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
            bytes = hmac::sign(&key, part.as_bytes()).as_ref().to_vec();
        }
        assert_eq!(hex(&bytes), published.as_bytes());
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"x");
        let key = SigningKey::new(SECRET, 0, date, "us-east-1", "iam").key;
        assert_eq!(hmac::sign(&key, b"x").as_ref(), expected.as_ref());
    }
}

/// One case of AWS's test suite (aws-sig-v4-test-suite, "Signature Version 4 test suite"): those without a
/// query and without a path to normalise, which no request of ours has.
struct Vector {
    name: &'static str,
    method: &'static str,
    headers: &'static [(&'static str, Option<&'static str>)],
    body: &'static str,
    /// SHA-256 of the canonical request, where the suite's string to sign was at hand.
    canonical_sha256: Option<&'static str>,
    signature: &'static str,
}

const HOST: (&str, Option<&str>) = ("host", Some("example.amazonaws.com"));
const X_AMZ_DATE: (&str, Option<&str>) = ("x-amz-date", Some(DATE));
/// The suite's session token, from the read-me of `post-sts-token`.
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

const VECTORS: &[Vector] = &[
    Vector {
        name: "get-vanilla",
        method: "GET",
        headers: &[HOST, X_AMZ_DATE],
        body: "",
        canonical_sha256: Some("bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63"),
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "post-vanilla",
        method: "POST",
        headers: &[HOST, X_AMZ_DATE],
        body: "",
        canonical_sha256: Some("553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87"),
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-header-key-sort",
        method: "POST",
        headers: &[HOST, ("my-header1", Some("value1")), X_AMZ_DATE],
        body: "",
        canonical_sha256: None,
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    },
    Vector {
        name: "get-header-value-multiline",
        method: "GET",
        headers: &[HOST, ("my-header1", Some("value1,value2,value3")), X_AMZ_DATE],
        body: "",
        canonical_sha256: None,
        signature: "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
    },
    Vector {
        name: "get-header-key-duplicate",
        method: "GET",
        headers: &[HOST, ("my-header1", Some("value2,value2,value1")), X_AMZ_DATE],
        body: "",
        canonical_sha256: None,
        signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    },
    Vector {
        name: "post-x-www-form-urlencoded",
        method: "POST",
        headers: &[("content-type", Some("application/x-www-form-urlencoded")), HOST, X_AMZ_DATE],
        body: "Param1=value1",
        canonical_sha256: Some("42a5e5bb34198acb3e84da4f085bb7927f2bc277ca766e6d19c73c2154021281"),
        signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    },
    Vector {
        name: "post-x-www-form-urlencoded-parameters",
        method: "POST",
        headers: &[
            ("content-type", Some("application/x-www-form-urlencoded; charset=utf8")),
            HOST,
            X_AMZ_DATE,
        ],
        body: "Param1=value1",
        canonical_sha256: None,
        signature: "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    },
    Vector {
        name: "post-sts-header-before",
        method: "POST",
        headers: &[HOST, X_AMZ_DATE, ("x-amz-security-token", Some(TOKEN))],
        body: "",
        canonical_sha256: None,
        signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    },
];

#[test]
fn the_published_vectors_are_met() {
    let key = SigningKey::new(SECRET, 0, "20150830", "us-east-1", "service");
    assert_eq!(key.scope, "20150830/us-east-1/service/aws4_request");
    for vector in VECTORS {
        let names: Vec<&str> = vector.headers.iter().map(|(name, _)| *name).collect();
        let mut canonical = Vec::new();
        canonical_request(
            &mut canonical,
            vector.method,
            "/",
            vector.headers,
            &names.join(";"),
            vector.body.as_bytes(),
        );
        if let Some(published) = vector.canonical_sha256 {
            let hash = hex(digest::digest(&digest::SHA256, &canonical).as_ref());
            assert_eq!(hash, published.as_bytes(), "{}: canonical request", vector.name);
        }
        let signature = key.signature(DATE, &canonical);
        assert_eq!(signature, vector.signature.as_bytes(), "{}", vector.name);
    }
}

/// The request that a head describes, header by header; panics on a head that is not whole.
fn headers(head: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(head).unwrap();
    let (lines, rest) = text.split_once("\r\n\r\n").unwrap();
    assert!(rest.is_empty(), "the head ends at its empty line");
    let mut lines = lines.split("\r\n");
    assert_eq!(lines.next(), Some("POST / HTTP/1.1"));
    lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} is sent once");
    value
}

#[test]
fn a_head_is_one_request_with_everything_signed() {
    let mut out = Vec::new();
    let mut signer = Signer::new(credentials(Some("token")), "eu-west-1");
    signer.head(&mut out, "AmazonSQS.ReceiveMessage", "localhost:9324", "/", b"{}", DATE_UNIX_S);
    let headers = headers(&out);
    assert_eq!(value(&headers, "host"), Some("localhost:9324"));
    assert_eq!(value(&headers, "content-length"), Some("2"));
    assert_eq!(value(&headers, "content-type"), Some("application/x-amz-json-1.0"));
    assert_eq!(value(&headers, "x-amz-security-token"), Some("token"));
    assert_eq!(value(&headers, "x-amz-target"), Some("AmazonSQS.ReceiveMessage"));
    let authorization = value(&headers, "authorization").unwrap();
    assert!(authorization.contains("Credential=AKIDEXAMPLE/20150830/eu-west-1/sqs/aws4_request, "));
    assert!(authorization.contains("content-type;host;x-amz-date;x-amz-security-token;x-amz-target"));
}

#[test]
fn no_credential_can_end_or_add_a_header() {
    let hostile = Credentials {
        access_key: "AKID\r\nx-evil: 1\n".to_owned(),
        session_token: Some(Zeroizing::new("tok\r\n\r\nGET / en".to_owned())),
        ..credentials(None)
    };
    let mut out = Vec::new();
    Signer::new(hostile, "eu-west-1\r\nx: y").head(&mut out, "T", "h", "/", b"", DATE_UNIX_S);
    let headers = headers(&out);
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let usual = [
        "user-agent",
        "content-type",
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-target",
        "content-length",
        "authorization",
    ];
    assert_eq!(names, usual);
    let mut out = Vec::new();
    Signer::new(credentials(Some("")), "r").head(&mut out, "T", "h", "/", b"", DATE_UNIX_S);
    assert_eq!(value(&self::headers(&out), "x-amz-security-token"), None, "an empty token is none");
}

#[test]
fn the_key_changes_at_midnight_and_back() {
    let midnight = DATE_UNIX_S - DATE_UNIX_S % SECONDS_PER_DAY;
    let mut kept = Signer::new(credentials(None), "eu-west-1");
    for unix_s in [midnight - 1, midnight, midnight + 1, midnight - 1] {
        let (mut reused, mut fresh) = (Vec::new(), Vec::new());
        kept.head(&mut reused, "T", "h", "/", b"{}", unix_s);
        Signer::new(credentials(None), "eu-west-1").head(&mut fresh, "T", "h", "/", b"{}", unix_s);
        assert_eq!(reused, fresh, "at {unix_s}");
    }
}

/// What AWS's signer writes into `authorization` for the same request.
fn by_aws(
    (access_key, secret_key, token): (&str, &str, Option<&str>),
    region: &str,
    target: &str,
    host: &str,
    body: &[u8],
    unix_s: u64,
) -> String {
    let token = token.map(str::to_owned);
    let identity = AwsCredentials::new(access_key, secret_key, token, None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(UNIX_EPOCH + Duration::from_secs(unix_s))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let url = format!("https://{host}/");
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", target)];
    let request = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
    let (headers, _) = instructions.into_parts();
    headers.iter().find(|header| header.name() == "authorization").unwrap().value().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_signed_as_aws_would_sign_it(
        access_key in "[A-Z0-9]{16,20}",
        secret_key in "[A-Za-z0-9+/]{40}",
        token in proptest::option::of("[A-Za-z0-9+/=]{1,900}"),
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        target in "AmazonSQS\\.[A-Z][A-Za-z]{3,27}",
        host in "[a-z0-9][a-z0-9.-]{0,60}[a-z0-9](:[1-9][0-9]{3})?",
        body in proptest::collection::vec(any::<u8>(), 0..3000),
        unix_s in 0_u64..253_402_300_800,
    ) {
        let credentials = Credentials {
            access_key: access_key.clone(),
            secret_key: Zeroizing::new(secret_key.clone()),
            session_token: token.clone().map(Zeroizing::new),
        };
        let mut out = Vec::new();
        Signer::new(credentials, &region).head(&mut out, &target, &host, "/", &body, unix_s);
        let ours = headers(&out);
        let aws = by_aws((&access_key, &secret_key, token.as_deref()), &region, &target, &host, &body, unix_s);
        prop_assert_eq!(value(&ours, "authorization"), Some(aws.as_str()));
    }
}
