//! The Content-Security-Policy of the page: its own script and styles by hash, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// A source expression that allows exactly this inline script or style.
pub(crate) fn inline_hash(inline: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, inline.as_bytes())))
}

/// The policy. `logo` is the logo's URL; forms may go to `return_origins`.
pub(super) fn policy(
    script: &str,
    styles: [&str; 2],
    logo: Option<&str>,
    return_origins: impl IntoIterator<Item = String>,
) -> String {
    let logo = logo.and_then(origin_of).map_or(String::new(), |origin| format!(" {origin}"));
    let mut targets = String::new();
    for origin in return_origins {
        targets += " ";
        targets += &origin;
    }
    format!(
        "default-src 'none'; script-src {}; style-src {} {}; img-src 'self' data:{logo}; \
         connect-src 'self'; worker-src blob:; form-action 'self'{targets}; base-uri 'none'; \
         frame-ancestors 'none'",
        inline_hash(script),
        inline_hash(styles[0]),
        inline_hash(styles[1]),
    )
}

/// `https://host` of a URL; `None` for a path.
fn origin_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = &rest[..end];
    // Anything that would end the directive is no host.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    (!host.is_empty() && host.chars().all(plain)).then(|| &url[.."https://".len() + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_allowed_by_hash_and_forms_by_origin() {
        let policy = policy(
            "alert(1)",
            ["a", "b"],
            Some("https://cdn.example/x.svg"),
            ["https://a.example".to_owned()],
        );
        // echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64
        assert!(
            policy.contains("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';"),
            "{policy}"
        );
        assert!(policy.contains("img-src 'self' data: https://cdn.example;"), "{policy}");
        assert!(policy.contains("form-action 'self' https://a.example;"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a_logo_cannot_add_a_directive() {
        assert_eq!(origin_of("https://a.example; script-src *"), None);
        assert_eq!(origin_of("/logo.svg"), None);
        assert_eq!(origin_of("https://a.example:8443/x"), Some("https://a.example:8443"));
    }
}
