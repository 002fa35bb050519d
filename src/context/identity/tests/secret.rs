//! The secret: its keys, and what they are used for.

use super::minting::*;
use super::*;

#[test]
fn keys_come_as_base64_pem_and_jwk() {
    let spki = [
        &[
            0x30u8, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
            1, 7, 3, 0x42, 0,
        ][..],
        &p256_point(),
    ]
    .concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let point = p256_point();
    let token = es256(&json!({ "alg": "ES256" }), &good_claims());
    let settings = jwt_settings(ALL);
    for key in [
        json!({ "alg": "ES256", "public": pem }),
        json!({ "alg": "ES256", "public": STANDARD.encode(&spki) }),
        json!({ "alg": "ES256", "public": URL_SAFE_NO_PAD.encode(&point) }),
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) }),
    ] {
        let keys = keys(json!({ "keys": [key] }).to_string());
        assert!(jwt::verify(&token, &keys, settings.jwt.as_ref().unwrap(), &[], NOW).is_ok(), "{key}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_and_the_others_serve() {
    let short = STANDARD.encode([1; 15]);
    let document = json!([
        { "alg": "HS256", "secret": short },
        { "alg": "RS256", "public": "AAAA" },
        { "alg": "HS256", "public": STANDARD.encode([1; 32]) },
        { "alg": "ES256", "secret": STANDARD.encode([1; 32]) },
        { "alg": "ES256", "public": STANDARD.encode([4; 65]) },
        { "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([0; 32]) },
        { "kty": "OKP", "crv": "Ed25519", "x": "", "d": "AAAA" },
        { "alg": "HS256", "secret": STANDARD.encode(HMAC) },
        { "alg": "HS256", "secret": STANDARD.encode([9; 32]) },
    ]);
    let (keys, faults) = IdentityKeys::parse(document.to_string().as_bytes());
    let named: Vec<_> = faults.iter().map(|fault| fault.index).collect();
    assert_eq!(named, [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)]);
    assert!(faults.iter().all(|fault| !fault.to_string().contains(&short)));
    assert_eq!(keys.hmac().count(), 1);
    for nothing in [&b""[..], b"  ", b"short", b"{}", b"[", b"{\"keys\":1}", b"[1]", b"[null]", b"\xff"] {
        let (keys, faults) = IdentityKeys::parse(nothing);
        assert_eq!(keys.hmac().count(), 0);
        assert!(!faults.is_empty(), "{nothing:?}");
    }
}

#[test]
fn an_hmac_key_too_short_for_tokens_still_signs_headers() {
    let keys = keys([7; 16]);
    assert_eq!(keys.hmac().count(), 1);
    assert_eq!(keys.candidates(Algorithm::Hs256, None).count(), 0);
}

#[test]
fn logs_name_ids_by_a_keyed_hash() {
    let keys = all_keys();
    let key = keys.log_key().unwrap();
    let name = pseudonym(key, "user", "alice");
    assert_eq!(name.len(), 32);
    assert_eq!(name, pseudonym(key, "user", "alice"));
    assert_ne!(name, pseudonym(key, "visitor", "alice"));
    assert_ne!(name, pseudonym(self::keys([8; 32]).log_key().unwrap(), "user", "alice"));
    let public = json!([{ "alg": "ES256", "public": STANDARD.encode(p256_point()) }]);
    assert!(self::keys(public.to_string()).log_key().is_none(), "a public key hides nothing");
    let given = json!({ "keys": public, "log": STANDARD.encode([3; 32]) });
    assert!(self::keys(given.to_string()).log_key().is_some());
}
