//! From what object storage answers to what a person can act on, and whether waiting helps.

use std::error::Error as _;

use gristmill_ports::PortError;
use object_store::Error;
use object_store::client::HttpError;

/// What was tried, for sentences.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempted<'a> {
    /// Such as `store`.
    pub(super) action: &'static str,
    /// What it was done to.
    pub(super) path: &'a str,
    /// Such as `s3://bucket/prefix`.
    pub(super) storage: &'a str,
    /// Such as `bucket`.
    pub(super) bucket: &'a str,
}

impl Attempted<'_> {
    /// Says what could not be done, why, and what to do about it.
    pub(super) fn failed(&self, error: &Error) -> PortError {
        let Self { action, path, storage, bucket } = self;
        let what = format!("cannot {action} `{path}` in {storage}: {}", reason(error));
        if is_bucket_missing(error) {
            return PortError::fatal(format!("{what}; make the bucket `{bucket}`, or choose another"));
        }
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => self.not_allowed(&what),
            Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. } => {
                PortError::fatal(format!("{what}; use storage that speaks the S3 protocol"))
            }
            // Of an upload that the server no longer knows, or of two at once: the same again will do.
            Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::JoinError { .. } => PortError::retry(what),
            // Others, and those that the library adds later.
            _ => match status_of(error) {
                Some(401 | 403) => self.not_allowed(&what),
                Some(status) if (300..500).contains(&status) && !MAY_PASS.contains(&status) => {
                    PortError::fatal(format!("{what}; look at AWS_ENDPOINT_URL, AWS_REGION and the bucket"))
                }
                Some(_) | None => PortError::retry(format!("{what}; look after the network and the storage")),
            },
        }
    }

    fn not_allowed(&self, what: &str) -> PortError {
        PortError::fatal(format!(
            "{what}; allow these credentials to get, put, list and delete there, or set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY to others"
        ))
    }
}

/// Refusals that another time may not be: a request that took too long, and too many at once.
const MAY_PASS: [u16; 2] = [408, 429];

/// Whether it is the bucket that does not exist, not the object: both are answered by 404.
pub(super) fn is_bucket_missing(error: &Error) -> bool {
    error.to_string().contains("NoSuchBucket")
}

/// What the server has answered. The library shows it in its text only; `None` if nothing has come back.
fn status_of(error: &Error) -> Option<u16> {
    let text = error.to_string();
    if text.contains("redirect without LOCATION") {
        return Some(301);
    }
    text.split("status code: ").nth(1).filter(|_| !is_transport(error))?.get(..3)?.parse().ok()
}

fn is_transport(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<HttpError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The server's own words if it has said any, else the last of the causes, which is the nearest to what happened.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(content, _)| content.to_owned())
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        (None, _) => {
            let mut cause = error.source();
            let mut last = text.clone();
            while let Some(error) = cause {
                last = error.to_string();
                cause = error.source();
            }
            last
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_ports::ErrorKind::{self, Fatal, Retry};

    use super::*;

    fn failed(error: &Error) -> PortError {
        Attempted { action: "store", path: "jobs/a", storage: "s3://b/p", bucket: "b" }.failed(error)
    }

    fn answer(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn what_the_server_refuses_stays_and_the_rest_may_pass() {
        let status = |status: &str| format!("Server returned non-2xx status code: {status}: <Code>X</Code>");
        let cases: [(String, ErrorKind); 7] = [
            (status("403 Forbidden"), Fatal),
            (status("400 Bad Request"), Fatal),
            (status("408 Request Timeout"), Retry),
            (status("429 Too Many Requests"), Retry),
            (status("503 Service Unavailable"), Retry),
            ("connection refused".to_owned(), Retry),
            ("Received redirect without LOCATION, this normally".to_owned(), Fatal),
        ];
        for (text, expected) in cases {
            assert_eq!(failed(&answer(&text)).kind, expected, "{text}");
        }
    }

    #[test]
    fn the_sentence_has_the_servers_words_and_what_to_do() {
        let body = "status code: 404 Not Found: <Error><Code>NoSuchBucket</Code><Message>no such</Message></Error>";
        let error = failed(&Error::NotFound { path: "p/jobs/a".to_owned(), source: body.into() });
        assert_eq!(error.kind, Fatal);
        assert_eq!(
            error.message,
            "cannot store `jobs/a` in s3://b/p: NoSuchBucket: no such; make the bucket `b`, or choose another"
        );
        let error = failed(&Error::PermissionDenied { path: "x".to_owned(), source: "forbidden".into() });
        assert_eq!(error.kind, Fatal);
        assert!(error.message.contains("forbidden; allow these credentials to get, put, list and delete"), "{error}");
    }

    #[test]
    fn an_upload_that_the_server_forgot_is_made_again() {
        let body = "status code: 404 Not Found: <Error><Code>NoSuchUpload</Code></Error>";
        assert_eq!(failed(&Error::NotFound { path: "x".to_owned(), source: body.into() }).kind, Retry);
    }
}
