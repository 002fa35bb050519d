mod header;
mod minting;
mod secret;
mod token;
mod wycheproof;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use p256::ecdsa::signature::Signer as _;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;
const HMAC: [u8; 32] = [7; 32];
const USER: &str = "x-user-id";
const SIGNATURE: &str = "x-user-signature";

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// Who makes a request with these headers at [`NOW`], as it arrives.
fn who_makes(request: &HeaderMap, settings: &IdentitySettings, keys: &IdentityKeys) -> Identity {
    identify(&Claims::of(request), request, settings, &[], keys, at(NOW))
}

fn keys(secret: impl AsRef<[u8]>) -> IdentityKeys {
    let (keys, faults) = IdentityKeys::parse(secret.as_ref());
    assert_eq!(faults, []);
    keys
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

fn proven(name: &str) -> Identity {
    Identity::Proven(Proof::of(UserId::parse(name).unwrap()))
}

#[test]
fn a_user_id_holds_what_real_ids_hold_and_nothing_that_breaks_out() {
    for good in ["1", "a.b@example.com", "auth0|507f1f77", "+4930123", "0d9f-11", &"x".repeat(128), "_a:b"] {
        assert!(UserId::parse(good).is_some(), "{good}");
    }
    for bad in ["", ".", "..", "a/b", "a b", "a\r\n", "é", "a%2e", "a#", "a?", "a;", "a^", &"x".repeat(129), "a,b"] {
        assert!(UserId::parse(bad).is_none(), "{bad:?}");
    }
    assert_eq!(format!("{:?}", proven("alice")), "Proven(Proof(…))");
}
