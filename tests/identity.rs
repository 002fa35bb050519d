//! Logins of an identity provider that signs RS256 and publishes its keys as a JWK set (RFC 7517), through the whole service.
#![cfg(feature = "rs256")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{Endpoint, StoreError};
use edge_personalizer::service::Sandbox;
use p256::ecdsa::signature::Signer as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, Pkcs1v15Sign, PrivateKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::sessions::{NOW, browser, codes, sent};
use support::{NEW_YORK, echo, shop};

/// The primes of a key that was made for these tests.
const PRIMES: [&str; 2] = [
    "6D4JWECZxr5W4gCcOEPVWmZqGyq8l_fySei-5stX_8TC9zUzRDfOfJlFMdOUJ7gBZS1gUH5_zVY91ITapQjm_pKrjRiGvNhFt4JzFUu3VsHgTrdivlJFe3FUTcj9\
     96UyN-zzg75SNtdGpWErZm1xkdg0Esflckfs4TlfCI6El6s",
    "zsnkX85_S5e7i6k0YWP4g7uF8sp9bNvI6Y4zrCIiFpw-nv10xIx8gh4Rjh9XNA2aSum1Qu-ml5svjJYAIbEqRKII6G1gy_xwQy_iJ97lEQDcDfFKvdaZQ5GYv5PF\
     FqtPzf0l7T1xuh2vfow7V8zVGqqxKI2yEnwTsk4WTVqbYc0",
];
/// DER before a SHA-256 and before a SHA-1 (RFC 8017, section 9.2, note 1).
const SHA256: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];

fn prime(text: &str) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(&URL_SAFE_NO_PAD.decode(text).unwrap())
}

/// The provider's key, and a stranger's: the same primes, another exponent.
fn key(exponent: u64) -> PrivateKey {
    PrivateKey::from_p_q(prime(PRIMES[0]), prime(PRIMES[1]), BoxedUint::from(exponent)).unwrap()
}

fn ec_key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap()
}

fn modulus() -> Vec<u8> {
    key(65_537).n().to_be_bytes().to_vec()
}

/// The provider's public key as it publishes it.
fn jwk(kid: &str) -> Value {
    json!({ "kty": "RSA", "use": "sig", "kid": kid, "n": URL_SAFE_NO_PAD.encode(modulus()), "e": "AQAB",
        "x5t": "ignored", "x5c": ["ignored"] })
}

fn set() -> Value {
    let point = ec_key().verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.unwrap());
    json!({ "keys": [
        jwk("rsa-1"),
        { "kty": "EC", "crv": "P-256", "kid": "ec-1", "x": coordinate(point.x()), "y": coordinate(point.y()) },
        { "kty": "oct", "alg": "HS256", "kid": "mac-1", "k": URL_SAFE_NO_PAD.encode([7; 32]) },
        { "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "enc-1", "n": URL_SAFE_NO_PAD.encode(modulus()), "e": "AQAB" },
    ] })
}

/// A shop that takes tokens of all algorithms, with this secret `identity`.
fn shop_with(secret: &Value) -> Memory {
    let host = shop(echo);
    host.clock.set(Some(time::OffsetDateTime::from_unix_timestamp(NOW).unwrap()));
    host.secrets.borrow_mut().insert("identity".to_owned(), secret.to_string().into_bytes());
    let algorithms = ["RS256", "ES256", "EdDSA", "HS256"];
    host.set("settings", &json!({ "identity": { "jwt": {
        "cookie": "login", "bearer": true, "algorithms": algorithms, "issuer": "https://id.example/", "audience": ["shop"] } } }));
    host.set(
        "routes",
        &json!({ "routes": [
        { "id": "hello", "path": "/hello", "request_headers": { "set": { "X-Hello": "{user.id|nobody}" } } }] }),
    );
    host
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW + 600, "iat": NOW, "iss": "https://id.example/", "aud": ["shop"] })
}

fn input(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn finished(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signature(key: &PrivateKey, input: &str) -> Vec<u8> {
    let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256.into() };
    key.sign(scheme, &Sha256::digest(input)).unwrap()
}

fn rs256(header: &Value, claims: &Value) -> String {
    let input = input(header, claims);
    finished(&input, &signature(&key(65_537), &input))
}

/// Whom the origin hears of when this token comes in a cookie.
fn login(host: &Memory, sandbox: &mut Sandbox, token: &str) -> String {
    let answer = browser(NEW_YORK, "/hello").with("cookie", format!("login={token}")).send_in(host, sandbox);
    assert_eq!(answer.status, 200, "a token never costs the page");
    sent(host, "x-hello").unwrap()
}

#[test]
fn a_login_signed_rs256_is_known_by_cookie_and_by_bearer() {
    let host = shop_with(&set());
    for header in [json!({ "alg": "RS256", "kid": "rsa-1", "typ": "JWT" }), json!({ "alg": "RS256" })] {
        let token = rs256(&header, &claims());
        assert_eq!(login(&host, &mut Sandbox::default(), &token), "alice", "{header}");
        browser(NEW_YORK, "/hello").with("authorization", format!("Bearer {token}")).send(&host);
        assert_eq!(sent(&host, "x-hello").as_deref(), Some("alice"));
    }
    assert_eq!(codes(&host), [""; 0], "nothing is wrong, the key for encryption neither");
    // The provider's other keys go on working beside it.
    let header = json!({ "alg": "ES256", "kid": "ec-1" });
    let input = input(&header, &claims());
    let tag: p256::ecdsa::Signature = ec_key().sign(input.as_bytes());
    assert_eq!(login(&host, &mut Sandbox::default(), &finished(&input, &tag.to_bytes())), "alice");
}

#[test]
fn without_a_kid_the_keys_of_its_kind_are_tried_up_to_a_bound() {
    // The same size, another number: no signature of ours is its.
    let stranger = |index: usize| {
        let mut n = modulus();
        n[100] ^= 0x40;
        json!({ "kty": "RSA", "kid": format!("old-{index}"), "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB" })
    };
    let with = |strangers: usize| {
        let keys: Vec<_> = (0..strangers).map(stranger).chain([jwk("rsa-1")]).collect();
        shop_with(&json!({ "keys": keys }))
    };
    let token = |header: Value| rs256(&header, &claims());
    for (strangers, header, user) in [
        (3, json!({ "alg": "RS256" }), "alice"),
        (4, json!({ "alg": "RS256" }), "nobody"),
        (4, json!({ "alg": "RS256", "kid": "rsa-1" }), "alice"),
        (4, json!({ "alg": "RS256", "kid": "old-0" }), "nobody"),
    ] {
        assert_eq!(
            login(&with(strangers), &mut Sandbox::default(), &token(header.clone())),
            user,
            "{strangers} {header}"
        );
    }
}

/// Tokens that nobody may be taken for alice by, with their names.
fn forgeries() -> Vec<(&'static str, String)> {
    let headed = |header: Value| rs256(&header, &claims());
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        rs256(&json!({ "alg": "RS256", "kid": "rsa-1" }), &claims)
    };
    let header = json!({ "alg": "RS256", "kid": "rsa-1" });
    let good = input(&header, &claims());
    let signed = signature(&key(65_537), &good);
    let n = BoxedUint::from_be_slice_vartime(&modulus());
    // What RS256 is taken for HS256 by: the public key, as everybody has it, becomes the secret.
    let confused = |secret: &[u8], kid: Option<&str>| {
        let mut header = json!({ "alg": "HS256" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let input = input(&header, &claims());
        finished(&input, &MacKey::new(secret).unwrap().tag(&[input.as_bytes()]))
    };
    let padded = |prefix: &[u8], digest: &[u8]| {
        let scheme = Pkcs1v15Sign { hash_len: None, prefix: prefix.into() };
        finished(&good, &key(65_537).sign(scheme, digest).unwrap())
    };
    let digest = Sha256::digest(&good);
    let mut no_null = SHA256[..].to_vec();
    (no_null[1], no_null[3]) = (0x2f, 0x0b);
    no_null.drain(15..17);
    let other = |json: Value| {
        let (head, signature) = (input(&header, &claims()), finished(&good, &signed));
        let payload = URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{payload}.{}", head.split('.').next().unwrap(), signature.rsplit('.').next().unwrap())
    };
    let es = |header: Value| {
        let input = input(&header, &claims());
        let tag: p256::ecdsa::Signature = ec_key().sign(input.as_bytes());
        finished(&input, &tag.to_bytes())
    };
    let mut longer = vec![0];
    longer.extend(&signed);
    let plus_n = BoxedUint::from_be_slice_vartime(&signed).concatenating_add(&n);
    vec![
        ("alg none", format!("{}.", input(&json!({ "alg": "none" }), &claims()))),
        ("alg none, a good signature", headed(json!({ "alg": "none", "kid": "rsa-1" }))),
        ("RS384", headed(json!({ "alg": "RS384", "kid": "rsa-1" }))),
        ("RS512", headed(json!({ "alg": "RS512" }))),
        ("PS256", headed(json!({ "alg": "PS256", "kid": "rsa-1" }))),
        ("rs256", headed(json!({ "alg": "rs256", "kid": "rsa-1" }))),
        ("ES256 says the token, RSA is the key", headed(json!({ "alg": "ES256", "kid": "rsa-1" }))),
        ("HS256 says the token, RSA is the key", headed(json!({ "alg": "HS256", "kid": "rsa-1" }))),
        ("RS256 says the token, EC is the key", es(json!({ "alg": "RS256", "kid": "ec-1" }))),
        ("RS256 says the token, EC signed", es(json!({ "alg": "RS256" }))),
        ("an unknown kid", headed(json!({ "alg": "RS256", "kid": "rsa-2" }))),
        ("an empty kid", headed(json!({ "alg": "RS256", "kid": "" }))),
        ("a kid that is a list", headed(json!({ "alg": "RS256", "kid": ["rsa-1"] }))),
        ("the kid of the key for encryption", headed(json!({ "alg": "RS256", "kid": "enc-1" }))),
        ("a key of its own", headed(json!({ "alg": "RS256", "kid": "x", "jwk": jwk("x") }))),
        ("a key set of its own", headed(json!({ "alg": "RS256", "kid": "x", "jku": "https://evil.example/jwks" }))),
        ("crit", headed(json!({ "alg": "RS256", "kid": "rsa-1", "crit": ["exp"] }))),
        ("a token of another kind", headed(json!({ "alg": "RS256", "kid": "rsa-1", "typ": "logout+jwt" }))),
        ("confusion: modulus", confused(&modulus(), None)),
        ("confusion: modulus, its kid", confused(&modulus(), Some("rsa-1"))),
        ("confusion: modulus, the HMAC key's kid", confused(&modulus(), Some("mac-1"))),
        ("confusion: the JWK", confused(jwk("rsa-1").to_string().as_bytes(), Some("rsa-1"))),
        ("confusion: `n`", confused(URL_SAFE_NO_PAD.encode(modulus()).as_bytes(), None)),
        ("a stranger's key", finished(&good, &signature(&key(257), &good))),
        (
            "another payload",
            other(json!({ "sub": "root", "exp": NOW + 600, "iss": "https://id.example/", "aud": "shop" })),
        ),
        ("no signature", format!("{good}.")),
        ("zeros", finished(&good, &[0; 256])),
        (
            "one",
            finished(&good, &{
                let mut one = [0; 256];
                one[255] = 1;
                one
            }),
        ),
        ("the modulus", finished(&good, &modulus())),
        ("signature plus modulus", finished(&good, &plus_n.to_be_bytes())),
        ("a byte short", finished(&good, &signed[1..])),
        ("a byte long", finished(&good, &longer)),
        ("a tail", finished(&good, &[signed.clone(), vec![0]].concat())),
        ("padding of base64", format!("{}==", finished(&good, &signed))),
        ("no DigestInfo", padded(&[], &digest)),
        ("DigestInfo without NULL", padded(&no_null, &digest)),
        ("another hash's DigestInfo", padded(&[&SHA256[..14], &[2], &SHA256[15..]].concat(), &digest)),
        ("a tail inside the padding", padded(&SHA256, &[&digest[..], &[0; 8]].concat())),
        ("expired", with("exp", (NOW - 600).into())),
        ("not yet", with("nbf", (NOW + 600).into())),
        ("another issuer", with("iss", "https://evil.example/".into())),
        ("another audience", with("aud", "bank".into())),
        ("a path for a name", with("sub", "../admin".into())),
    ]
}

#[test]
fn no_forged_rs256_login_is_accepted() {
    let host = shop_with(&set());
    let mut sandbox = Sandbox::default();
    let forgeries = forgeries();
    let mut accepted = Vec::new();
    for (name, token) in &forgeries {
        if login(&host, &mut sandbox, token) != "nobody" {
            accepted.push(*name);
        }
        assert!(codes(&host).iter().any(|code| code.starts_with("identity-")), "{name}: {:?}", codes(&host));
    }
    // Every bit of a good signature.
    let good = rs256(&json!({ "alg": "RS256", "kid": "rsa-1" }), &claims());
    let (input, tag) = good.rsplit_once('.').unwrap();
    let tag = URL_SAFE_NO_PAD.decode(tag).unwrap();
    for bit in 0..tag.len() * 8 {
        let mut changed = tag.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if login(&host, &mut sandbox, &finished(input, &changed)) != "nobody" {
            accepted.push("a bit of the signature");
        }
    }
    println!("{} forged logins, {} accepted", forgeries.len() + tag.len() * 8, accepted.len());
    assert_eq!(accepted, [""; 0]);
    assert_eq!(login(&host, &mut sandbox, &good), "alice", "the same sandbox still knows the right one");
}

#[test]
fn a_broken_key_of_the_set_is_named_once_and_the_others_serve() {
    let mut keys = set();
    let n = URL_SAFE_NO_PAD.encode([0xff; 128]);
    keys["keys"]
        .as_array_mut()
        .unwrap()
        .extend([json!({ "kty": "RSA", "kid": "weak", "n": n, "e": "AQAB" }), json!(7)]);
    let host = shop_with(&keys);
    let mut sandbox = Sandbox::default();
    let good = rs256(&json!({ "alg": "RS256", "kid": "rsa-1" }), &claims());
    for _ in 0..3 {
        assert_eq!(login(&host, &mut sandbox, &good), "alice");
        host.age.set(host.age.get() + Duration::from_secs(61));
    }
    let named: Vec<_> = host
        .lines_of(Endpoint::Errors)
        .iter()
        .map(|line| {
            format!("{}{}", line["fault"]["dictionary"].as_str().unwrap(), line["fault"]["pointer"].as_str().unwrap())
        })
        .collect();
    assert_eq!(named, ["secret identity/keys/4", "secret identity/keys/5"]);
    assert_eq!(login(&host, &mut sandbox, &rs256(&json!({ "alg": "RS256", "kid": "weak" }), &claims())), "nobody");
}

#[test]
fn where_the_secret_store_fails_the_last_keys_stay() {
    let host = shop_with(&set());
    let mut sandbox = Sandbox::default();
    let good = rs256(&json!({ "alg": "RS256", "kid": "rsa-1" }), &claims());
    assert_eq!(login(&host, &mut sandbox, &good), "alice");
    host.secrets_fail.set(Some(StoreError::Failed));
    host.age.set(host.age.get() + Duration::from_secs(61));
    assert_eq!(login(&host, &mut sandbox, &good), "alice");
    assert_eq!(codes(&host), ["secret-store"]);
}
