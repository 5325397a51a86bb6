//! How one queue is reached through the SDK: HTTPS client, region, credential provider.
//!
//! The HTTPS client is rustls on ring, as in the shards; the trust store is the machine's, or the file that the
//! configuration names.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use dataplane::config::Queue;

use super::QueueName;
use crate::exit::Failure;

/// A connection or an answer that takes longer is given up; nothing here is on a message's way.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Session name of an assumed role, shown in CloudTrail.
const SESSION_NAME: &str = "millrace";

/// How one queue is reached.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// URL of the queue.
    pub(crate) url: String,
    /// What the URL says.
    pub(crate) name: QueueName,
    /// Region that requests are signed for.
    pub(crate) region: String,
    /// Profile of the shared config files, if one is named.
    pub(crate) profile: Option<String>,
    /// Role that is assumed, if any.
    pub(crate) role: Option<String>,
    endpoint: Option<String>,
    fips: bool,
    dual_stack: bool,
    sdk: SdkConfig,
    provider: SharedCredentialsProvider,
}

impl Access {
    /// Puts the SDK's configuration together; connects nowhere but to find a region.
    ///
    /// # Errors
    /// Exit code 78: no region, or a certificate file or proxy that cannot be used.
    pub(crate) async fn new(queue: &Queue) -> Result<Access, Failure> {
        let name = QueueName::parse(&queue.url);
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(queue)?).timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(CALL_TIMEOUT)
                    .build(),
            );
        if let Some(region) = queue.region.clone().or_else(|| name.region.clone()) {
            loader = loader.region(Region::new(region));
        }
        if let Some(profile) = &queue.aws.profile {
            loader = loader.profile_name(profile);
        }
        let sdk = loader.load().await;
        let region = sdk.region().map(ToString::to_string).ok_or_else(|| {
            Failure::config(
                format!("no AWS region: asked queue.region, the URL `{}`, AWS_REGION, AWS_DEFAULT_REGION, profile, instance metadata", queue.url),
                "set queue.region or AWS_REGION",
            )
        })?;
        let chain =
            sdk.credentials_provider().ok_or_else(|| Failure::bug("the SDK has no credential chain"))?;
        let provider = match &queue.aws.role_arn {
            None => chain,
            Some(role) => {
                let mut assume = AssumeRoleProvider::builder(role)
                    .session_name(queue.aws.session_name.as_deref().unwrap_or(SESSION_NAME))
                    .configure(&sdk);
                if let Some(id) = &queue.aws.external_id {
                    assume = assume.external_id(id);
                }
                SharedCredentialsProvider::new(assume.build().await)
            }
        };
        let own = (!name.on_aws).then(|| name.origin.clone());
        Ok(Access {
            url: queue.url.clone(),
            region,
            profile: queue.aws.profile.clone(),
            role: queue.aws.role_arn.clone(),
            endpoint: queue.endpoint.clone().or(own),
            fips: queue.fips,
            dual_stack: queue.dual_stack,
            name,
            sdk,
            provider,
        })
    }

    /// Asks the provider for credentials.
    ///
    /// # Errors
    /// What the last provider of the chain said.
    pub(crate) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        self.provider.provide_credentials().await
    }

    /// An SQS client that uses these credentials and no others.
    pub(crate) fn sqs(&self, credentials: Credentials) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.sdk)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .use_fips(self.fips)
            .use_dual_stack(self.dual_stack);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// An STS client that uses these credentials, for asking who they are.
    pub(crate) fn sts(&self, credentials: Credentials) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(&self.sdk)
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// ARN of the queue.
    pub(crate) fn arn(&self) -> String {
        self.name.arn(&self.region)
    }
}

/// The SDK's HTTPS client with the machine's trust store and no proxy, for calls that belong to no queue.
pub(crate) fn https_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn http_client(queue: &Queue) -> Result<SharedHttpClient, Failure> {
    let mut trust = TrustStore::default();
    if let Some(file) = &queue.ca_file {
        let pem = std::fs::read(file).map_err(|error| {
            Failure::config(format!("queue.ca_file {}: {error}", file.display()), "name a readable PEM file")
        })?;
        trust = TrustStore::empty().with_pem_certificate(pem);
    }
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let tls = tls.map_err(|error| {
        Failure::config(format!("queue.ca_file: {error}"), "name a PEM file with certificates")
    })?;
    let proxy = match &queue.proxy {
        // As the shards do: both go one way, the one that the config names.
        None => ProxyConfig::disabled(),
        Some(url) => ProxyConfig::all(url.as_str())
            .map_err(|error| Failure::config(format!("queue.proxy: {error}"), "write http://host:port"))?,
    };
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(aws_sdk_sqs::config::RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(proxy.clone()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls.clone()).build()
    }))
}
