//! Any token, any signature, any secret: no panic, and nobody is proven who doesn't have the key.
//!
//! The public keys are the examples of RFC 7515 and RFC 8037, appendix A.
//!
//! The first line is the secret as it is stored, the second a token, the third `X-User-ID`, the fourth `X-User-Signature`.

use edge_personalizer::admit::Claims;
use edge_personalizer::context::identity::{Identity, IdentityKeys, IdentitySettings, JwtSettings, identify};
use edge_personalizer::context::preview;
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;

/// One input.
pub fn run(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (secret, token, user, signature) = (line(), line(), line(), line());
    // What a fuzzer writes can be read, or not; it proves nothing under a key that it doesn't have.
    let (own, _) = IdentityKeys::parse(secret);
    let (keys, faults) = IdentityKeys::parse(
        br#"{"keys":[{"kid":"a","kty":"oct","k":"YS1rZXktb2YtdGhpcnR5LXR3by1ieXRlcy1vci1tb3JlIQ"},
        {"kid":"b","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kid":"c","kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kid":"d","kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}"#,
    );
    assert!(faults.is_empty(), "{faults:?}");
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, bytes: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(bytes) {
            headers.insert(name, value);
        }
    };
    set("authorization", &[b"Bearer ", token].concat());
    set("cookie", &[b"jwt=", token].concat());
    set("x-user-id", user);
    set("x-user-signature", signature);
    let jwt: JwtSettings =
        serde_json::from_str(r#"{"algorithms":["HS256","ES256","EdDSA","RS256"],"cookie":"jwt","bearer":true}"#)
            .unwrap();
    let settings = IdentitySettings { jwt: Some(jwt), ..IdentitySettings::default() };
    // Within the life of the seeds' tokens.
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let claims = Claims::of(&headers);
    let _ = identify(&claims, &headers, &settings, &[], &own, now);
    assert!(!matches!(identify(&claims, &headers, &settings, &[], &keys, now), Identity::Proven(_)));
    let token = String::from_utf8_lossy(token);
    assert!(preview::verify(&token, &preview::keys(b"a-preview-key-of-32-bytes-or-more"), now).is_err());
    let _ = preview::verify(&token, &preview::keys(secret), now);
}
