//! Signatures, judged by a signer that this project did not write: the AWS SDK's calls pass with the right
//! keys, and are refused in AWS's words with wrong ones. JSON only: the SDK speaks nothing else.

#![allow(clippy::unwrap_used, reason = "a panic is the failure that it should be")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use bench::sqs::{Keys, Server, ServerConfig};

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "secret/with+signs=";

fn server(change: impl Fn(&mut Keys)) -> Server {
    let mut keys =
        Keys { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned(), ..Keys::default() };
    change(&mut keys);
    let server = Server::start(ServerConfig { keys: Some(keys), ..ServerConfig::default() }).unwrap();
    server.create_queue("q", &[]).unwrap();
    server
}

fn client(server: &Server, access_key: &str, secret_key: &str, token: Option<&str>) -> Client {
    let credentials = Credentials::new(access_key, secret_key, token.map(str::to_owned), None, "tests");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.endpoint())
        .region(Region::new("eu-central-1"))
        .credentials_provider(credentials)
        // Retries would hide refusals.
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// Sends, receives and deletes one message; code and words of the first refusal.
fn round(server: &Server, client: &Client) -> Result<(), (String, String)> {
    fn told(error: &impl ProvideErrorMetadata) -> (String, String) {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (text(error.code()), text(error.message()))
    }
    let url = server.queue_url("q");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let body = "grün \"quoted\" \\ \n";
        client
            .send_message()
            .queue_url(&url)
            .message_body(body)
            .send()
            .await
            .map_err(|error| told(&error))?;
        let received = client.receive_message().queue_url(&url).send().await.map_err(|error| told(&error))?;
        let message = &received.messages()[0];
        assert_eq!(message.body(), Some(body));
        let delete =
            client.delete_message().queue_url(&url).receipt_handle(message.receipt_handle().unwrap());
        delete.send().await.map_err(|error| told(&error))?;
        Ok(())
    })
}

fn code(server: &Server, client: &Client) -> String {
    round(server, client).map_or_else(|(code, _)| code, |()| "none".to_owned())
}

#[test]
fn calls_with_the_right_keys_are_done() {
    let server = server(|_| {});
    assert_eq!(round(&server, &client(&server, ACCESS_KEY, SECRET_KEY, None)), Ok(()));
    assert_eq!(server.depth("q"), Some(bench::sqs::Depth::default()));
}

#[test]
fn calls_with_wrong_keys_are_refused_and_change_nothing() {
    let server = server(|_| {});
    let unknown = client(&server, "AKIDOTHER", SECRET_KEY, None);
    assert_eq!(code(&server, &unknown), "InvalidClientTokenId");
    let wrong = client(&server, ACCESS_KEY, "other", None);
    assert_eq!(code(&server, &wrong), "SignatureDoesNotMatch");
    assert_eq!(server.depth("q"), Some(bench::sqs::Depth::default()));
    assert!(server.stats().calls.is_empty(), "{:?}", server.stats());
}

#[test]
fn temporary_keys_need_their_token_and_end() {
    let ends = SystemTime::now() + Duration::from_secs(600);
    let ends_s = ends.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let server = server(|keys| {
        keys.session_token = Some("token".to_owned());
        keys.expires_s = Some(ends_s);
    });
    let right = client(&server, ACCESS_KEY, SECRET_KEY, Some("token"));
    assert_eq!(round(&server, &right), Ok(()));
    let without = client(&server, ACCESS_KEY, SECRET_KEY, None);
    assert_eq!(code(&server, &without), "InvalidClientTokenId");
    server.set_clock_offset(660);
    assert_eq!(code(&server, &right), "ExpiredToken");
}

#[test]
fn clocks_may_differ_by_a_quarter_of_an_hour() {
    for (offset_s, words) in
        [(0, None), (840, None), (-840, None), (960, Some("expired: ")), (-960, Some("not yet current: "))]
    {
        let server = server(|_| {});
        server.set_clock_offset(offset_s);
        let told = round(&server, &client(&server, ACCESS_KEY, SECRET_KEY, None));
        match words {
            None => assert_eq!(told, Ok(()), "{offset_s} s"),
            Some(words) => {
                let (code, text) = told.unwrap_err();
                assert_eq!(code, "SignatureDoesNotMatch", "{offset_s} s");
                assert!(text.starts_with(&format!("Signature {words}")), "{text}");
            }
        }
    }
}

#[test]
fn a_rotation_lets_new_keys_in_and_old_ones_out() {
    let server = server(|_| {});
    let (old, new) =
        (client(&server, ACCESS_KEY, SECRET_KEY, None), client(&server, "AKIDNEW", SECRET_KEY, None));
    let keys = |access_key: &str| Keys {
        access_key: access_key.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        ..Keys::default()
    };
    server.set_keys(vec![keys(ACCESS_KEY), keys("AKIDNEW")]);
    assert_eq!((round(&server, &old), round(&server, &new)), (Ok(()), Ok(())));
    server.set_keys(vec![keys("AKIDNEW")]);
    assert_eq!((code(&server, &old).as_str(), round(&server, &new)), ("InvalidClientTokenId", Ok(())));
}
