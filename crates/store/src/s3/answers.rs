//! What S3 answers, in XML.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::S3Fault;

/// Characters of a foreign text that an error shows.
const SHOWN: usize = 300;

/// A page of ListObjectsV2.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectPage {
    #[serde(default)]
    pub(super) contents: Vec<ListedObject>,
    #[serde(default)]
    pub(super) is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
}

/// An object in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedObject {
    pub(super) key: String,
    pub(super) size: u64,
}

/// A page of ListMultipartUploads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UploadPage {
    #[serde(default, rename = "Upload")]
    pub(super) uploads: Vec<ListedUpload>,
    #[serde(default)]
    pub(super) is_truncated: bool,
    #[serde(default)]
    pub(super) next_key_marker: String,
    #[serde(default)]
    pub(super) next_upload_id_marker: String,
}

/// An upload that is not finished.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedUpload {
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) initiated: Timestamp,
}

/// The answer to CreateMultipartUpload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BegunUpload {
    pub(super) upload_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefusedCall {
    code: String,
    #[serde(default)]
    message: String,
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, S3Fault> {
    let text = std::str::from_utf8(body).map_err(|error| S3Fault::Unexpected(error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| S3Fault::Unexpected(error.to_string()))
}

/// Why S3 refused a call. A proxy in front of it may answer with something else.
pub(super) fn refused(status: u16, body: &[u8]) -> S3Fault {
    let RefusedCall { code, message } = read(body).unwrap_or_else(|_| RefusedCall {
        code: format!("status {status}"),
        message: String::from_utf8_lossy(body).trim().to_owned(),
    });
    let shown = message.chars().map(|char| if char.is_control() { ' ' } else { char });
    S3Fault::Refused { status, code, message: shown.take(SHOWN).collect() }
}

/// Whether an answer that says 200 is an error nevertheless: CompleteMultipartUpload begins its
/// answer before it knows.
pub(super) fn is_refusal(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    let text = text.trim_start();
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>").map_or("", |(_, rest)| rest).trim_start(),
        None => text,
    };
    text.starts_with("<Error>")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_what_they_leave_out() {
        let page: ObjectPage = read(
            br#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>sale</Name>
<Contents><Key>a &amp; &lt;b&gt;.rdb</Key><Size>7</Size><Owner><ID>x</ID></Owner></Contents>
<Contents><Key>c.json</Key><Size>0</Size></Contents><IsTruncated>true</IsTruncated>
<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>
<NextContinuationToken>t==</NextContinuationToken></ListBucketResult>"#,
        )
        .unwrap();
        let keys: Vec<_> = page.contents.iter().map(|found| (&*found.key, found.size)).collect();
        assert_eq!(keys, [("a & <b>.rdb", 7), ("c.json", 0)]);
        assert_eq!(
            (page.is_truncated, page.next_continuation_token.as_deref()),
            (true, Some("t=="))
        );
        let spaces: ObjectPage = read(
            b"<ListBucketResult><Contents><Key> a/ b.rdb </Key><Size>1</Size></Contents>\
              </ListBucketResult>",
        )
        .unwrap();
        assert_eq!(spaces.contents[0].key, " a/ b.rdb ");
        let none: ObjectPage = read(b"<ListBucketResult></ListBucketResult>").unwrap();
        assert!(none.contents.is_empty() && !none.is_truncated);
        let uploads: UploadPage = read(
            b"<ListMultipartUploadsResult><KeyMarker/><Upload><Key>k</Key><UploadId>i</UploadId>\
              <Initiated>2026-11-30T23:00:00.000Z</Initiated></Upload>\
              <IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
        )
        .unwrap();
        assert_eq!(uploads.uploads[0].upload_id, "i");
        assert_eq!(uploads.uploads[0].initiated, "2026-11-30T23:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_refusal_has_the_words_of_s3_and_nothing_that_is_signed() {
        let body = b"<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
                     <Message>It does not\nmatch.</Message><StringToSign>hidden</StringToSign></Error>";
        assert!(is_refusal(body) && is_refusal(b"  <Error>") && !is_refusal(b"<Other>"));
        let text = refused(403, body).to_string();
        assert_eq!(text, "SignatureDoesNotMatch: It does not match.");
        assert_eq!(refused(502, b"<html>Bad\n").to_string(), "status 502: <html>Bad");
        assert_eq!(refused(503, b"").to_string(), "status 503");
    }
}
