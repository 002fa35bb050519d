//! Keys, tokens and settings as the tests make them.

use super::*;

pub(super) fn hmac(byte: u8) -> MacKey {
    MacKey::new(&[byte; 32]).unwrap()
}

pub(super) fn p256_key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap()
}

pub(super) fn p256_point() -> Vec<u8> {
    p256_key().verifying_key().to_encoded_point(false).as_bytes().to_vec()
}

pub(super) fn ed25519_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[5; 32])
}

pub(super) fn all_keys() -> IdentityKeys {
    keys(
        json!({ "keys": [
            { "kid": "h", "alg": "HS256", "secret": STANDARD.encode(HMAC) },
            { "kid": "e", "alg": "ES256", "public": STANDARD.encode(p256_point()) },
            { "kid": "d", "alg": "EdDSA", "public": STANDARD.encode(ed25519_key().verifying_key().as_bytes()) },
        ] })
        .to_string(),
    )
}

pub(super) fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

pub(super) fn finished(input: String, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn hs256(header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", part(header), part(claims));
    let tag = hmac(7).tag(&[input.as_bytes()]);
    finished(input, &tag)
}

pub(super) fn es256(header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", part(header), part(claims));
    let signature: p256::ecdsa::Signature = p256_key().sign(input.as_bytes());
    finished(input, &signature.to_bytes())
}

pub(super) fn eddsa(header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", part(header), part(claims));
    let signature = ed25519_key().sign(input.as_bytes());
    finished(input, &signature.to_bytes())
}

pub(super) fn good_claims() -> Value {
    json!({ "sub": "alice", "exp": NOW + 60, "nbf": NOW - 60, "iss": "https://id.example", "aud": "shop" })
}

pub(super) fn jwt_settings(algorithms: &[Algorithm]) -> IdentitySettings {
    IdentitySettings {
        jwt: Some(JwtSettings {
            cookie: Some("session".to_owned()),
            bearer: true,
            algorithms: algorithms.to_vec(),
            issuer: Some("https://id.example".to_owned()),
            audience: vec!["shop".to_owned(), "other".to_owned()],
            ..JwtSettings::default()
        }),
        ..IdentitySettings::default()
    }
}

pub(super) const ALL: &[Algorithm] = &[Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa];
