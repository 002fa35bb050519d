//! `X-User-ID` with `X-User-Signature`.

use super::minting::*;
use super::*;

fn signed(user: &str, signature: &str) -> Identity {
    let settings = IdentitySettings::default();
    who_makes(&headers(&[(USER, user), (SIGNATURE, signature)]), &settings, &keys(HMAC))
}

#[test]
fn a_signed_header_proves_a_user() {
    let signature = sign(&hmac(7), &alice(), 1_800_000_000);
    assert_eq!(signed("alice", &signature), proven("alice"));
    assert_eq!(signed("bob", &signature), Identity::Rejected(IdentityFault::Signature));
    let stranger = sign(&hmac(8), &alice(), 1_800_000_000);
    assert_eq!(signed("alice", &stranger), Identity::Rejected(IdentityFault::Signature));
    let rotating = format!("{stranger},v1={}", signature.split("v1=").nth(1).unwrap());
    assert_eq!(signed("alice", &rotating), proven("alice"));
    assert_eq!(signed("alice", &format!("{signature}, v2=what-ever")), proven("alice"));
}

#[test]
fn any_of_several_keys_proves_a_user() {
    let document = json!([
        { "alg": "HS256", "secret": STANDARD.encode([1; 32]) },
        { "alg": "HS256", "secret": STANDARD.encode([2; 16]) },
    ]);
    let keys = keys(document.to_string());
    for (key, user) in [(MacKey::new(&[1; 32]), true), (MacKey::new(&[2; 16]), true), (MacKey::new(&[3; 32]), false)] {
        let signature = sign(&key.unwrap(), &alice(), 1_800_000_000);
        let request = headers(&[(USER, "alice"), (SIGNATURE, &signature)]);
        let identity = who_makes(&request, &IdentitySettings::default(), &keys);
        assert_eq!(identity.user().is_some(), user);
    }
}

#[test]
fn every_bit_of_a_header_signature_counts() {
    let signature = sign(&hmac(7), &alice(), 1_800_000_000);
    let mut accepted = 0;
    for place in 0..signature.len() {
        for bit in 0..7 {
            let mut bytes = signature.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let Ok(value) = HeaderValue::from_bytes(&bytes) else {
                continue;
            };
            let mut request = headers(&[(USER, "alice")]);
            request.insert(SIGNATURE, value);
            let identity = who_makes(&request, &IdentitySettings::default(), &keys(HMAC));
            // The other case of a hexadecimal digit is the same digit.
            let same = bytes.eq_ignore_ascii_case(signature.as_bytes());
            accepted += usize::from(identity.user().is_some() && !same);
        }
        accepted += usize::from(signed("alice", &signature[..place]).user().is_some());
    }
    assert_eq!(accepted, 0);
}

#[test]
fn a_header_signature_ages() {
    for (time, expected) in [
        (NOW - 300, proven("alice")),
        (NOW + 300, proven("alice")),
        (NOW - 301, Identity::Rejected(IdentityFault::Expired)),
        (NOW + 301, Identity::Rejected(IdentityFault::NotYet)),
        (0, Identity::Rejected(IdentityFault::Expired)),
        (99_999_999_999, Identity::Rejected(IdentityFault::NotYet)),
    ] {
        let signature = sign(&hmac(7), &alice(), time.unsigned_abs());
        assert_eq!(signed("alice", &signature), expected, "{time}");
    }
    for time in ["-1", "+1", "", "1e9", "18446744073709551616", "9223372036854775808", " 1"] {
        let tag = base16ct::lower::encode_string(&hmac(7).tag(&[time.as_bytes(), b".alice"]));
        assert_eq!(signed("alice", &format!("t={time},v1={tag}")), Identity::Rejected(IdentityFault::Malformed));
    }
}

#[test]
fn a_header_without_its_proof_proves_nothing() {
    let settings = IdentitySettings::default();
    let signature = sign(&hmac(7), &alice(), 1_800_000_000);
    let who = |pairs: &[(&'static str, &str)]| who_makes(&headers(pairs), &settings, &keys(HMAC));
    assert_eq!(who(&[]), Identity::Anonymous);
    assert_eq!(who(&[(SIGNATURE, &signature)]), Identity::Anonymous);
    assert_eq!(who(&[(USER, "alice")]), Identity::Rejected(IdentityFault::Unsigned));
    let twice = [(USER, "alice"), (USER, "bob"), (SIGNATURE, signature.as_str())];
    assert_eq!(who(&twice), Identity::Rejected(IdentityFault::UserId), "two of a kind prove nothing");
    for malformed in ["", "t=1", "v1=00", "t=1,t=1,v1=00", "t=1,v1=0", "nonsense", &"v1=00,".repeat(300)] {
        assert_eq!(
            who(&[(USER, "alice"), (SIGNATURE, malformed)]),
            Identity::Rejected(IdentityFault::Malformed),
            "{malformed}"
        );
    }
    assert_eq!(signed("a/../b", &signature), Identity::Rejected(IdentityFault::UserId));
    let off = IdentitySettings { header: false, ..IdentitySettings::default() };
    let request = headers(&[(USER, "alice"), (SIGNATURE, &signature)]);
    assert_eq!(who_makes(&request, &off, &keys(HMAC)), Identity::Anonymous);
    assert_eq!(who_makes(&request, &settings, &IdentityKeys::default()), Identity::Rejected(IdentityFault::NoKey));
}
