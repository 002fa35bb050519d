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
    ]);
    let many = vec![json!({ "alg": "HS256", "secret": STANDARD.encode(HMAC) }); 17];
    let (all, faults) = IdentityKeys::parse(json!(many).to_string().as_bytes());
    assert_eq!((all.hmac().count(), faults.len(), faults[0].index), (16, 1, None), "the first sixteen count");
    let (keys, faults) = IdentityKeys::parse(document.to_string().as_bytes());
    let named: Vec<_> = faults.iter().map(|fault| fault.index).collect();
    assert_eq!(named, [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)]);
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

#[test]
fn a_log_key_has_an_id_that_another_key_does_not_have() {
    let secret = STANDARD.encode([3; 32]);
    let id = |log: Value| {
        let (keys, faults) = IdentityKeys::parse(json!({ "keys": [], "log": log }).to_string().as_bytes());
        (keys.named_log_key().map(|key| key.id.clone()), faults.len())
    };
    let (plain, _) = id(json!(secret));
    assert_eq!(plain.as_ref().map(String::len), Some(8));
    assert_eq!(id(json!({ "secret": secret })), (plain.clone(), 0));
    assert_ne!(id(json!(STANDARD.encode([4; 32]))).0, plain);
    assert_eq!(id(json!({ "kid": "2026-11", "secret": secret })), (Some("2026-11".to_owned()), 0));
    let long = "k".repeat(65);
    for kid in [json!(7), json!(""), json!("a b"), json!(long)] {
        assert_eq!(id(json!({ "kid": kid, "secret": secret })), (None, 1), "{kid}");
    }
    assert_eq!(id(json!({ "kid": "x" })), (None, 1));
}

#[test]
fn keys_of_a_set_that_are_not_for_checking_signatures_are_no_fault_and_no_key() {
    let with = |members: Value| {
        let mut key = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(HMAC) });
        key.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let (keys, faults) = IdentityKeys::parse(json!({ "keys": [key] }).to_string().as_bytes());
        (keys.hmac().count(), faults.len())
    };
    for good in [json!({}), json!({ "use": "sig" }), json!({ "key_ops": ["sign", "verify"] })] {
        assert_eq!(with(good.clone()), (1, 0), "{good}");
    }
    for other in [json!({ "use": "enc" }), json!({ "use": "enc", "alg": "RSA-OAEP" }), json!({ "key_ops": ["sign"] })] {
        assert_eq!(with(other.clone()), (0, 0), "{other}");
    }
    for broken in [
        json!({ "use": "tls" }),
        json!({ "use": 1 }),
        json!({ "key_ops": "verify" }),
        json!({ "alg": 1 }),
        json!({ "kid": 7 }),
    ] {
        assert_eq!(with(broken.clone()), (0, 1), "{broken}");
    }
}

#[test]
#[cfg(feature = "rs256")]
fn an_rsa_key_out_of_bounds_is_named_and_never_tried() {
    let key = |bytes: usize, first: u8, last: u8, e: &[u8]| {
        let mut n = vec![0x5a; bytes];
        (n[0], n[bytes - 1]) = (first, last);
        json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e) })
    };
    let e = [1, 0, 1];
    for (name, key) in [
        ("1,024 bits", key(128, 0xff, 1, &e)),
        ("2,047 bits", key(256, 0x7f, 1, &e)),
        ("4,097 bits", key(513, 1, 1, &e)),
        ("even", key(256, 0xff, 2, &e)),
        ("exponent 0", key(256, 0xff, 1, &[])),
        ("exponent 1", key(256, 0xff, 1, &[1])),
        ("even exponent", key(256, 0xff, 1, &[1, 0])),
        ("exponent of 33 bits", key(256, 0xff, 1, &[1, 0, 0, 0, 1])),
        ("no modulus", json!({ "kty": "RSA", "e": "AQAB" })),
        ("no exponent", json!({ "kty": "RSA", "n": "AQAB" })),
        ("another algorithm", {
            let mut key = key(256, 0xff, 1, &e);
            key["alg"] = "RS512".into();
            key
        }),
        ("the algorithm of another kind", {
            let mut key = key(256, 0xff, 1, &e);
            key["alg"] = "HS256".into();
            key
        }),
        ("private", {
            let mut key = key(256, 0xff, 1, &e);
            key["p"] = "AQAB".into();
            key
        }),
    ] {
        let (keys, faults) = IdentityKeys::parse(json!([key]).to_string().as_bytes());
        assert_eq!((keys.candidates(Algorithm::Rs256, None).count(), faults.len()), (0, 1), "{name}: {faults:?}");
    }
    for good in [key(256, 0x80, 1, &e), key(512, 0xff, 1, &[3]), key(256, 0xff, 1, &[0, 1, 0, 1])] {
        assert_eq!(keys(json!([good]).to_string()).candidates(Algorithm::Rs256, None).count(), 1);
    }
    let set = vec![key(256, 0x80, 1, &e); 9];
    assert_eq!(keys(json!({ "keys": set }).to_string()).candidates(Algorithm::Rs256, None).count(), 4, "a bound");
}
