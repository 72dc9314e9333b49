//! Signature version 4, of what is sent, too.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::fmt::Write as _;

use jiff::Timestamp;
use ring::digest;
use ring::hmac;

use super::settings::S3Credentials;

/// What is signed.
pub(super) struct SignedCall<'a> {
    pub(super) method: &'a str,
    /// Encoded.
    pub(super) path: &'a str,
    /// Encoded and in order.
    pub(super) query: &'a str,
    pub(super) host: &'a str,
    pub(super) body: &'a [u8],
    pub(super) region: &'a str,
    pub(super) at: Timestamp,
}

impl SignedCall<'_> {
    /// The headers that carry the signature. The client adds `host`.
    pub(super) fn headers(&self, credentials: &S3Credentials) -> Vec<(&'static str, String)> {
        let Self { method, path, query, host, region, .. } = self;
        let time = self.at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = &time[..8];
        let digest = hex(digest::digest(&digest::SHA256, self.body).as_ref());
        let mut headers =
            vec![("x-amz-content-sha256", digest.clone()), ("x-amz-date", time.clone())];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token.clone()));
        }
        // In the order of their names.
        let (mut lines, mut names) = (format!("host:{host}\n"), "host".to_owned());
        for (name, value) in &headers {
            writeln!(lines, "{name}:{value}").ok();
            write!(names, ";{name}").ok();
        }
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{digest}");
        let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let scope = format!("{date}/{region}/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
        let mut key = format!("AWS4{}", credentials.secret_key).into_bytes();
        for part in [date, region, "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        let signature = hex(&hmac(&key, &text));
        let who = &credentials.access_key;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={who}/{scope}, SignedHeaders={names}, \
             Signature={signature}"
        );
        headers.push(("authorization", authorization));
        headers
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The examples of AWS's documentation.
    #[test]
    fn the_examples_of_aws_have_their_signatures() {
        let credentials = S3Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        for (query, signature) in [
            ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            (
                "max-keys=2&prefix=J",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let call = SignedCall {
                method: "GET",
                path: "/",
                query,
                host: "examplebucket.s3.amazonaws.com",
                body: b"",
                region: "us-east-1",
                at: "2013-05-24T00:00:00Z".parse().unwrap(),
            };
            let headers = call.headers(&credentials);
            let (name, value) = headers.last().unwrap();
            assert_eq!(*name, "authorization");
            assert!(value.ends_with(&format!("Signature={signature}")), "{query}: {value}");
            assert!(value.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,"));
        }
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let credentials = S3Credentials {
            access_key: "id".to_owned(),
            secret_key: "key".to_owned(),
            session_token: Some("token".to_owned()),
        };
        let (method, path, query, host, region) = ("PUT", "/a", "", "h", "r");
        let at = Timestamp::UNIX_EPOCH;
        let call = SignedCall { method, path, query, host, body: b"text", region, at };
        let headers = call.headers(&credentials);
        assert!(headers.contains(&("x-amz-security-token", "token".to_owned())));
        assert!(headers.last().unwrap().1.contains(";x-amz-security-token, "));
    }
}
