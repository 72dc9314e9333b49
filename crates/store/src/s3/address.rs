//! Where a bucket is, and the URLs of what is in it.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::settings::{S3Settings, S3SettingsError};

/// What a signature wants to be encoded in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path, slashes stay.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Where a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BucketAddress {
    /// `https://host:port`.
    pub(super) endpoint: String,
    /// What the header `host` says.
    pub(super) host: String,
    /// In front of each key, without a slash at its end.
    base: String,
}

impl BucketAddress {
    /// A path of the endpoint that was named; a host of AWS otherwise.
    pub(super) fn new(bucket: &str, settings: &S3Settings) -> Result<Self, S3SettingsError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !((3..=63).contains(&bucket.len()) && bucket.bytes().all(fits)) {
            return Err(S3SettingsError::Bucket(bucket.to_owned()));
        }
        if let Some(endpoint) = &settings.endpoint {
            return Self::below(endpoint, bucket);
        }
        let region = &settings.region;
        let country = if region.starts_with("cn-") { ".cn" } else { "" };
        let aws = format!("s3.{region}.amazonaws.com{country}");
        // A certificate of AWS covers one label in front of its name.
        if bucket.contains('.') {
            return Self::below(&format!("https://{aws}"), bucket);
        }
        Self::below(&format!("https://{bucket}.{aws}"), "")
    }

    fn below(endpoint: &str, bucket: &str) -> Result<Self, S3SettingsError> {
        let unfit = |why| Err(S3SettingsError::Endpoint(why));
        let Ok(uri) = endpoint.parse::<Uri>() else { return unfit("it is no URL") };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return unfit("it has no scheme or no host");
        };
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return unfit("it has another scheme"),
        };
        if authority.as_str().contains('@') {
            return unfit("it holds a login, which belongs to AWS_ACCESS_KEY_ID");
        }
        if uri.query().is_some() {
            return unfit("it has a query");
        }
        // As clients write it: a signature covers it.
        let host = match authority.port_u16() {
            Some(port) if port != usual => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        let base = uri.path().trim_end_matches('/');
        let base = if bucket.is_empty() { base.to_owned() } else { format!("{base}/{bucket}") };
        Ok(Self { endpoint: format!("{scheme}://{host}"), host, base })
    }

    /// The path of an object, as it is signed and sent; the empty key is the bucket.
    pub(super) fn path(&self, key: &str) -> String {
        let base = &self.base;
        if key.is_empty() && !base.is_empty() {
            return base.clone();
        }
        format!("{base}/{}", utf8_percent_encode(key, PATH))
    }
}

/// A query, as it is signed and sent: in order.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let encoded = |text| utf8_percent_encode(text, QUERY);
    let mut pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::s3::S3Credentials;

    fn address(
        bucket: &str,
        region: &str,
        endpoint: Option<&str>,
    ) -> Result<BucketAddress, S3SettingsError> {
        let credentials = S3Credentials {
            access_key: String::new(),
            secret_key: String::new(),
            session_token: None,
        };
        let (region, endpoint) = (region.to_owned(), endpoint.map(str::to_owned));
        let silence = Duration::from_secs(1);
        let settings = S3Settings { endpoint, region, credentials, ca: None, silence };
        BucketAddress::new(bucket, &settings)
    }

    #[test]
    fn a_bucket_is_a_host_of_aws_and_a_path_of_a_named_endpoint() {
        for (bucket, region, endpoint, expected) in [
            ("sale", "eu-west-1", None, "https://sale.s3.eu-west-1.amazonaws.com/a%20b/c%2B"),
            ("sale.x", "eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/sale.x/a%20b/c%2B"),
            ("sale", "cn-north-1", None, "https://sale.s3.cn-north-1.amazonaws.com.cn/a%20b/c%2B"),
            ("sale", "r", Some("http://[::1]:9000/"), "http://[::1]:9000/sale/a%20b/c%2B"),
            ("sale", "r", Some("https://h:443/s3/"), "https://h/s3/sale/a%20b/c%2B"),
        ] {
            let found = address(bucket, region, endpoint).unwrap();
            assert_eq!(format!("{}{}", found.endpoint, found.path("a b/c+")), expected);
        }
        assert_eq!(address("sale", "r", None).unwrap().path(""), "/");
        assert_eq!(address("sale", "r", Some("http://h")).unwrap().path(""), "/sale");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_without_its_secrets() {
        for endpoint in ["", "h:9000", "ftp://h", "http://", "http://u:secret@h", "http://h/?a"] {
            let refused = address("sale", "r", Some(endpoint)).unwrap_err().to_string();
            assert!(refused.contains("endpoint") && !refused.contains("secret"), "{refused}");
        }
        for bucket in ["", "ab", "a/b", "a b c", "a?b"] {
            let refused = address(bucket, "r", None).unwrap_err();
            assert_eq!(refused, S3SettingsError::Bucket(bucket.to_owned()));
        }
    }

    #[test]
    fn a_query_is_in_order_and_encoded() {
        let sent = query(&[("uploads", ""), ("prefix", "a/b c~ü"), ("list-type", "2")]);
        assert_eq!(sent, "list-type=2&prefix=a%2Fb%20c~%C3%BC&uploads=");
    }
}
