//! How to reach S3: from the environment variables that its other clients read.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::PemSource;

/// Where AWS keeps buckets if nothing is said.
const REGION: &str = "us-east-1";

/// How to reach S3.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The URL of a server that is not AWS, to which buckets are paths; `None`: AWS.
    pub endpoint: Option<String>,
    /// The region, which is a part of each signature.
    pub region: String,
    /// Who calls.
    pub credentials: S3Credentials,
    /// The authorities that sign the server's certificate; `None`: those of the system.
    pub ca: Option<PemSource>,
    /// Longest time in which a call makes no progress.
    pub silence: Duration,
}

/// Who calls.
#[derive(Clone)]
pub struct S3Credentials {
    /// The name of the key. It is no secret.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// What belongs to a key that is valid for a time only.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("S3Credentials");
        shown.field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3SettingsError {
    /// A variable is not set.
    #[error("a bucket needs {0} in the environment")]
    Missing(&'static str),
    /// A variable is not a text.
    #[error("{0} in the environment is not UTF-8")]
    NotText(&'static str),
    /// The endpoint. Its text may hold a password, and is not repeated.
    #[error(
        "the endpoint of S3 cannot be used: {0}; allowed: http:// or https://, a host and a port"
    )]
    Endpoint(&'static str),
    /// The name of the bucket.
    #[error(
        "{0:?} is no name of a bucket; allowed: 3 to 63 letters, digits, dots, hyphens and \
         underscores"
    )]
    Bucket(String),
    /// The key in a bucket.
    #[error(
        "{0:?} is no name in a bucket; allowed: UTF-8 without control characters, whose parts \
         between slashes are not empty, \".\" or \"..\""
    )]
    Key(String),
    /// What a header of each call holds. The text is not repeated.
    #[error("{0} has a character that is not printable ASCII")]
    Header(&'static str),
    /// The certificates of the authorities.
    #[error("AWS_CA_BUNDLE: {0}")]
    Authorities(String),
    /// The client does not take them.
    #[error("S3 cannot be called with these settings: {0}")]
    Client(String),
}

impl S3Settings {
    /// Reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` (or
    /// `AWS_DEFAULT_REGION`), `AWS_ENDPOINT_URL_S3` (or `AWS_ENDPOINT_URL`) and `AWS_CA_BUNDLE`.
    /// `variable` returns the value of a name. An empty one counts as not set, and the line end
    /// that files bring with them does not count.
    ///
    /// # Errors
    /// [`S3SettingsError::Missing`] without an access key or its secret; the errors of `variable`.
    pub fn from_variables(
        variable: impl Fn(&'static str) -> Result<Option<String>, S3SettingsError>,
        silence: Duration,
    ) -> Result<Self, S3SettingsError> {
        let first = |names: &[&'static str]| {
            let mut values = names.iter().copied().map(&variable);
            let trimmed =
                |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            let set = |text: Option<String>| text.and_then(trimmed);
            values.find_map(|value| value.map(set).transpose()).transpose()
        };
        let needed = |name| first(&[name])?.ok_or(S3SettingsError::Missing(name));
        let credentials = S3Credentials {
            access_key: needed("AWS_ACCESS_KEY_ID")?,
            secret_key: needed("AWS_SECRET_ACCESS_KEY")?,
            session_token: first(&["AWS_SESSION_TOKEN"])?,
        };
        let region = first(&["AWS_REGION", "AWS_DEFAULT_REGION"])?;
        let ca = first(&["AWS_CA_BUNDLE"])?;
        Ok(Self {
            endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?,
            region: region.unwrap_or_else(|| REGION.to_owned()),
            credentials,
            ca: ca.map(|path| PemSource::File(PathBuf::from(path))),
            silence,
        })
    }

    /// Refuses what the library could not write into a header.
    pub(super) fn check_headers(&self) -> Result<(), S3SettingsError> {
        let S3Credentials { access_key, session_token, .. } = &self.credentials;
        let token = session_token.as_deref().unwrap_or_default();
        for (name, text) in [
            ("AWS_ACCESS_KEY_ID", &**access_key),
            ("AWS_SESSION_TOKEN", token),
            ("AWS_REGION", &*self.region),
        ] {
            HeaderValue::from_str(text).map_err(|_| S3SettingsError::Header(name))?;
        }
        Ok(())
    }

    /// The server to whose URL each bucket is a path.
    pub(super) fn endpoint_url(&self) -> Result<Url, S3SettingsError> {
        let Self { region, .. } = self;
        let country = if region.starts_with("cn-") { ".cn" } else { "" };
        let aws = format!("https://s3.{region}.amazonaws.com{country}");
        let endpoint = self.endpoint.as_deref().unwrap_or(&aws);
        let unfit = |why| Err(S3SettingsError::Endpoint(why));
        let Ok(url) = Url::parse(endpoint) else { return unfit("it is no URL") };
        if !matches!(url.scheme(), "http" | "https") {
            return unfit("it has another scheme");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return unfit("it holds a login, which belongs to AWS_ACCESS_KEY_ID");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return unfit("it has a query");
        }
        Ok(url)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    fn read(set: &[(&str, &str)]) -> Result<S3Settings, S3SettingsError> {
        let value = |name: &str| {
            let found = set.iter().find(|(one, _)| *one == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        };
        S3Settings::from_variables(value, SILENCE)
    }

    #[test]
    fn the_usual_variables_are_read_and_empty_ones_are_not_set() {
        let key = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hidden")];
        let few = read(&key).unwrap();
        assert_eq!((few.endpoint, few.region.as_str()), (None, "us-east-1"));
        let rest = [
            ("AWS_REGION", ""),
            ("AWS_DEFAULT_REGION", "eu-central-1\n"),
            ("AWS_ENDPOINT_URL", "http://other"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
            ("AWS_SESSION_TOKEN", "hidden too"),
        ];
        let all = read(&[&key[..], &rest].concat()).unwrap();
        assert_eq!(all.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(all.region, "eu-central-1");
        let shown = format!("{all:?}");
        assert!(shown.contains("id") && !shown.contains("hidden"), "{shown}");
        for (missing, set) in [("AWS_ACCESS_KEY_ID", &key[1..]), (key[1].0, &key[..1])] {
            assert_eq!(read(set).unwrap_err(), S3SettingsError::Missing(missing));
        }
    }

    fn settings(region: &str, endpoint: Option<&str>) -> S3Settings {
        let set = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("AWS_REGION", region),
            ("AWS_ENDPOINT_URL", endpoint.unwrap_or_default()),
        ];
        read(&set).unwrap()
    }

    #[test]
    fn the_endpoint_is_that_of_the_region_or_the_one_that_is_named() {
        for (region, endpoint, expected) in [
            ("eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/"),
            ("cn-north-1", None, "https://s3.cn-north-1.amazonaws.com.cn/"),
            ("r", Some("http://[::1]:9000"), "http://[::1]:9000/"),
            ("r", Some("https://h:443/s3/"), "https://h/s3/"),
        ] {
            assert_eq!(settings(region, endpoint).endpoint_url().unwrap().as_str(), expected);
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused_without_its_secrets() {
        for endpoint in ["h:9000", "ftp://h", "http://", "http://u:secret@h", "http://h/?a"] {
            let refused = settings("r", Some(endpoint)).endpoint_url().unwrap_err().to_string();
            assert!(refused.contains("endpoint") && !refused.contains("secret"), "{refused}");
        }
        assert!(settings("a/b", None).check_headers().is_ok());
        let two_lines = settings("a\nb", None).check_headers();
        assert_eq!(two_lines, Err(S3SettingsError::Header("AWS_REGION")));
    }
}
