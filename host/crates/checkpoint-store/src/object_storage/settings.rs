//! From an URL and the usual `AWS_*` variables to a client.

use std::time::Duration;

use gristmill_ports::PortError;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

/// Until a connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until an answer begins, upload included, and then from one piece of it to the next.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The caller tries again itself, and says so; here only a hiccup is bridged.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 },
    max_retries: 3,
    retry_timeout: Duration::from_secs(20),
};
const NO_RETRIES: RetryConfig = RetryConfig { max_retries: 0, ..RETRIES };

/// A place in a bucket, and how it is reached.
#[derive(Debug)]
pub(super) struct Settings {
    /// The bucket's name.
    pub(super) bucket: String,
    /// The folder in it; empty for the bucket itself.
    pub(super) prefix: Path,
    builder: AmazonS3Builder,
}

impl Settings {
    /// Reads `s3://bucket/prefix`, and from the variables those that begin with `AWS_`, such as `AWS_ENDPOINT_URL`,
    /// `AWS_REGION` and `AWS_ACCESS_KEY_ID`. An endpoint that begins with `http://` is spoken to without encryption.
    ///
    /// # Errors
    /// `Fatal` if the URL or a variable makes no sense.
    pub(super) fn read(url: &Url, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, PortError> {
        let refused =
            |why: &str| PortError::fatal(format!("`{}` {why}; write it as s3://bucket/prefix", without_secrets(url)));
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("has credentials in it; they belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
        if url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Err(refused("has more than a bucket and a prefix; an endpoint belongs into AWS_ENDPOINT_URL"));
        }
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("names no bucket"))?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| refused(&format!("has a bad prefix: {error}")))?;
        Ok(Self { bucket: bucket.to_owned(), prefix, builder: builder(bucket, variables) })
    }

    /// A client, and one that sends each request once.
    ///
    /// What is put only where nothing stands must be sent once: if the answer to the first request is lost, a second
    /// one finds what the first has put, and calls it somebody else's.
    pub(super) fn clients(&self) -> Result<(AmazonS3, AmazonS3), PortError> {
        let build = |retries: &RetryConfig| {
            self.builder.clone().with_retry(retries.clone()).build().map_err(|error| {
                PortError::fatal(format!("`s3://{}` cannot be used: {error}; look at the AWS_* variables", self.bucket))
            })
        };
        Ok((build(&RETRIES)?, build(&NO_RETRIES)?))
    }
}

fn builder(bucket: &str, variables: impl IntoIterator<Item = (String, String)>) -> AmazonS3Builder {
    // A file of any size may take its time; a server that falls silent may not.
    let timeouts = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT);
    let mut builder = AmazonS3Builder::new().with_client_options(timeouts);
    for (name, value) in variables {
        if name.starts_with("AWS_")
            && let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
        {
            builder = builder.with_config(key, value);
        }
    }
    if builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    builder
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Each upload, and each part of one, goes with the SHA-256 of its bytes, which the server checks.
        .with_unsigned_payload(false)
        // A request for each deletion: some servers have no other.
        .with_disable_bulk_delete(true)
}

fn without_secrets(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, variables: &[(&str, &str)]) -> Result<Settings, PortError> {
        let variables = variables.iter().map(|(name, value)| (String::from(*name), String::from(*value)));
        Settings::read(&url.parse().unwrap(), variables)
    }

    fn value(settings: &Settings, key: &str) -> Option<String> {
        settings.builder.get_config_value(&key.parse().unwrap())
    }

    #[test]
    fn a_bucket_and_a_prefix_are_read() {
        for (url, bucket, prefix) in [
            ("s3://checkpoints", "checkpoints", ""),
            ("s3://checkpoints/", "checkpoints", ""),
            ("s3://check.points/team-a/prod/", "check.points", "team-a/prod"),
        ] {
            let settings = read(url, &[]).unwrap();
            assert_eq!((&*settings.bucket, settings.prefix.as_ref()), (bucket, prefix), "{url}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (url, words) in [
            ("s3:///prefix", "names no bucket"),
            ("s3://key:secret@bucket/", "has credentials in it"),
            ("s3://bucket/?region=x", "has more than a bucket and a prefix"),
            ("s3://bucket:9000/", "an endpoint belongs into AWS_ENDPOINT_URL"),
        ] {
            let error = read(url, &[]).unwrap_err();
            assert!(error.message.contains(words) && !error.message.contains("secret@"), "{url}: {error}");
        }
    }

    #[test]
    fn variables_of_aws_are_taken_and_no_others() {
        let variables = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "me"),
            ("AWS_UNSIGNED_PAYLOAD", "true"),
            ("AWS_CONDITIONAL_PUT", "disabled"),
            ("REGION", "nowhere"),
        ];
        let settings = read("s3://bucket", &variables).unwrap();
        for (key, expected) in [
            ("region", "eu-central-1"),
            ("access_key_id", "me"),
            ("allow_http", "true"),
            ("unsigned_payload", "false"),
            ("conditional_put", "etag"),
        ] {
            assert_eq!(value(&settings, key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(value(&read("s3://bucket", &[]).unwrap(), "allow_http").as_deref(), Some("false"));
    }
}
