//! JSON Web Tokens.

use super::minting::*;
use super::*;

fn token(token: &str) -> Identity {
    let request = headers(&[("cookie", &format!("session={token}"))]);
    who_makes(&request, &jwt_settings(ALL), &all_keys())
}

#[test]
fn a_token_of_each_algorithm_proves_a_user_by_cookie_and_by_bearer() {
    for good in [
        hs256(&json!({ "alg": "HS256" }), &good_claims()),
        hs256(&json!({ "alg": "HS256", "kid": "h", "typ": "jwt", "jku": "https://evil" }), &good_claims()),
        es256(&json!({ "alg": "ES256", "kid": "e", "typ": "at+jwt" }), &good_claims()),
        eddsa(&json!({ "typ": "JWT", "alg": "EdDSA", "kid": "d" }), &good_claims()),
    ] {
        assert_eq!(token(&good), proven("alice"), "{good}");
        for scheme in ["Bearer", "bearer"] {
            let request = headers(&[("authorization", &format!("{scheme} {good}"))]);
            assert_eq!(who_makes(&request, &jwt_settings(ALL), &all_keys()), proven("alice"));
        }
        let off = IdentitySettings::default();
        let request = headers(&[("authorization", &format!("Bearer {good}")), ("cookie", &format!("session={good}"))]);
        assert_eq!(who_makes(&request, &off, &all_keys()), Identity::Anonymous);
    }
    let request = headers(&[("authorization", "Basic YTpi")]);
    assert_eq!(who_makes(&request, &jwt_settings(ALL), &all_keys()), Identity::Anonymous);
}

#[test]
fn the_tokens_of_the_standards_verify() {
    // RFC 7515, appendices A.1 and A.3; RFC 8037, appendix A.4.
    let keys = keys(
        json!([
            { "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" },
            { "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
              "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
            { "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
        ])
        .to_string(),
    );
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let a1 = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let a3 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let settings = JwtSettings { algorithms: ALL.to_vec(), claim: "iss".to_owned(), ..JwtSettings::default() };
    for token in [&a1, &a3] {
        assert_eq!(
            jwt::verify(token, &keys, &settings, &[], 1_300_819_379),
            Ok(Proof::of(UserId::parse("joe").unwrap()))
        );
        assert_eq!(jwt::verify(token, &keys, &settings, &[], 1_300_819_410), Err(IdentityFault::Expired));
    }
    let a4 = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(jws::verify(a4, &keys, ALL).unwrap(), b"Example of Ed25519 signing");
}

/// Tokens that must not count, each with its name and the fault expected.
fn attacks() -> Vec<(&'static str, String, IdentityFault)> {
    use IdentityFault::{Algorithm as Alg, Audience, Expired, Header, Issuer, Malformed, NoKey, NotYet, Signature};
    let claims = good_claims();
    let with = |name: &str, value: Value| {
        let mut claims = good_claims();
        claims[name] = value;
        hs256(&json!({ "alg": "HS256" }), &claims)
    };
    let without = |name: &str| {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(name);
        hs256(&json!({ "alg": "HS256" }), &claims)
    };
    let headed = |header: Value| hs256(&header, &claims);
    let raw = |header: &str| {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), part(&claims));
        let tag = hmac(7).tag(&[input.as_bytes()]);
        finished(input, &tag)
    };
    let good = hs256(&json!({ "alg": "HS256" }), &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let confused = |secret: &[u8], kid: Option<&str>| {
        let mut header = json!({ "alg": "HS256" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let input = format!("{}.{}", part(&header), part(&claims));
        let tag = MacKey::new(secret).unwrap().tag(&[input.as_bytes()]);
        finished(input, &tag)
    };
    let mut set = vec![
        ("none", format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims)), Alg),
        ("None", format!("{}.{}.", part(&json!({ "alg": "None" })), part(&claims)), Alg),
        ("none with a good tag", headed(json!({ "alg": "none" })), Alg),
        ("no alg", headed(json!({ "typ": "JWT" })), Malformed),
        ("alg null", headed(json!({ "alg": null })), Malformed),
        ("alg list", headed(json!({ "alg": ["HS256"] })), Malformed),
        ("lower-case alg", headed(json!({ "alg": "hs256" })), Alg),
        ("alg with a space", headed(json!({ "alg": "HS256 " })), Alg),
        ("HS512", headed(json!({ "alg": "HS512" })), Alg),
        ("RS256", headed(json!({ "alg": "RS256" })), Alg),
        ("ES256 header, HMAC tag", headed(json!({ "alg": "ES256" })), Signature),
        ("EdDSA header, HMAC tag", headed(json!({ "alg": "EdDSA" })), Signature),
        ("EdDSA header, ES256 signature", es256(&json!({ "alg": "EdDSA" }), &claims), Signature),
        ("ES256 header, EdDSA signature", eddsa(&json!({ "alg": "ES256" }), &claims), Signature),
        ("HS256 header, ES256 kid", headed(json!({ "alg": "HS256", "kid": "e" })), NoKey),
        ("unknown kid", headed(json!({ "alg": "HS256", "kid": "x" })), NoKey),
        ("kid that is a path", headed(json!({ "alg": "HS256", "kid": "../../dev/null" })), NoKey),
        ("kid too long", headed(json!({ "alg": "HS256", "kid": "k".repeat(300) })), NoKey),
        ("confusion: point as secret", confused(&p256_point(), None), Signature),
        ("confusion: point as secret, its kid", confused(&p256_point(), Some("e")), NoKey),
        ("confusion: base64 as secret", confused(STANDARD.encode(p256_point()).as_bytes(), None), Signature),
        ("confusion: Ed25519 as secret", confused(ed25519_key().verifying_key().as_bytes(), None), Signature),
        ("confusion: zeros as secret", confused(&[0; 32], None), Signature),
        ("crit", headed(json!({ "alg": "HS256", "crit": ["exp"], "exp": 1 })), Header),
        ("crit empty", headed(json!({ "alg": "HS256", "crit": [] })), Header),
        ("crit null", headed(json!({ "alg": "HS256", "crit": null })), Header),
        ("b64", headed(json!({ "alg": "HS256", "b64": false })), Header),
        ("typ of another proof", headed(json!({ "alg": "HS256", "typ": "logout+jwt" })), Header),
        ("alg twice", raw(r#"{"alg":"none","alg":"HS256"}"#), Malformed),
        ("header is an array", raw(r#"["HS256"]"#), Malformed),
        ("header is no JSON", raw(r#"{"alg":"HS256""#), Malformed),
        ("header with a tail", raw(r#"{"alg":"HS256"}{}"#), Malformed),
        ("kid deep", raw(&format!(r#"{{"alg":"HS256","kid":{}{}}}"#, "[".repeat(200), "]".repeat(200))), Malformed),
        ("two parts", format!("{}.{}", parts[0], parts[1]), Malformed),
        ("four parts", format!("{good}.{}", parts[2]), Malformed),
        ("five parts", format!("{good}.a.b"), Malformed),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), Signature),
        ("empty", ".".to_owned(), Malformed),
        ("dots", "..".to_owned(), Malformed),
        ("padding", format!("{good}="), Malformed),
        ("other alphabet", good.replacen('.', "+.", 1), Malformed),
        ("oversized", with("pad", "x".repeat(4096).into()), Malformed),
        ("expired", with("exp", (NOW - 30).into()), Expired),
        ("expired long ago", with("exp", i64::MIN.into()), Expired),
        ("expired, fraction", with("exp", json!(1.5e-300)), Expired),
        ("expired, huge negative", with("exp", json!(-1e300)), Expired),
        ("exp text", with("exp", "9999999999".into()), Malformed),
        ("exp null", with("exp", Value::Null), Malformed),
        ("no exp", without("exp"), Malformed),
        ("not yet", with("nbf", (NOW + 31).into()), NotYet),
        ("not for ages", with("nbf", json!(u64::MAX)), NotYet),
        ("nbf text", with("nbf", "0".into()), Malformed),
        ("other issuer", with("iss", "https://id.example.evil".into()), Issuer),
        ("issuer list", with("iss", json!(["https://id.example"])), Issuer),
        ("no issuer", without("iss"), Issuer),
        ("other audience", with("aud", "bank".into()), Audience),
        ("other audiences", with("aud", json!(["bank", "shop2", 1])), Audience),
        ("audience object", with("aud", json!({ "shop": 1 })), Audience),
        ("no audience", without("aud"), Audience),
        ("no sub", without("sub"), IdentityFault::UserId),
        ("sub number", with("sub", 7.into()), IdentityFault::UserId),
        ("sub empty", with("sub", "".into()), IdentityFault::UserId),
        ("sub path", with("sub", "../admin".into()), IdentityFault::UserId),
        ("sub line", with("sub", "a\r\nb".into()), IdentityFault::UserId),
        ("claims array", hs256(&json!({ "alg": "HS256" }), &json!([1])), Malformed),
        ("claims text", hs256(&json!({ "alg": "HS256" }), &json!("x")), Malformed),
    ];
    for (name, length) in [("ES256 short", 63), ("ES256 empty", 0), ("ES256 half", 32)] {
        let good = es256(&json!({ "alg": "ES256" }), &claims);
        let (input, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        set.push((name, finished(input.to_owned(), &signature[..length]), Signature));
    }
    for (name, header) in [("ES256 all zero", "ES256"), ("EdDSA all zero", "EdDSA")] {
        let input = format!("{}.{}", part(&json!({ "alg": header })), part(&claims));
        set.push((name, finished(input, &[0; 64]), Signature));
    }
    set
}

#[test]
fn no_attack_on_tokens_is_accepted() {
    let attacks = attacks();
    let mut accepted = 0;
    let mut wrong = Vec::new();
    for (name, attack, fault) in &attacks {
        let identity = token(attack);
        accepted += usize::from(identity.user().is_some());
        if identity != Identity::Rejected(*fault) {
            wrong.push(format!("{name}: expected {fault:?}, but found {identity:?}"));
        }
    }
    println!("{} invalid tokens, {accepted} accepted", attacks.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(accepted, 0);
}

#[test]
fn every_bit_and_every_truncation_of_a_token_is_refused() {
    let (keys, settings) = (all_keys(), jwt_settings(ALL).jwt.unwrap());
    let mut tried = 0;
    let mut accepted = 0;
    for good in [hs256(&json!({ "alg": "HS256" }), &good_claims()), eddsa(&json!({ "alg": "EdDSA" }), &good_claims())] {
        for place in 0..good.len() {
            for bit in 0..7 {
                let mut bytes = good.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                tried += 1;
                let result = jwt::verify(&changed, &keys, &settings, &[], NOW);
                accepted += usize::from(result.is_ok());
            }
            tried += 1;
            accepted += usize::from(jwt::verify(&good[..place], &keys, &settings, &[], NOW).is_ok());
        }
    }
    println!("{tried} changed tokens, {accepted} accepted");
    assert_eq!(accepted, 0);
}

#[test]
fn an_unknown_header_member_is_ignored_however_deep() {
    // RFC 7515, section 4: what isn't understood and isn't critical doesn't matter.
    let header = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), part(&good_claims()));
    let tag = hmac(7).tag(&[input.as_bytes()]);
    assert_eq!(token(&finished(input, &tag)), proven("alice"));
}

#[test]
fn only_the_algorithms_of_the_settings_count() {
    let token = es256(&json!({ "alg": "ES256" }), &good_claims());
    let request = headers(&[("cookie", &format!("session={token}"))]);
    let who = |algorithms| who_makes(&request, &jwt_settings(algorithms), &all_keys());
    assert_eq!(who(&[Algorithm::Es256]), proven("alice"));
    assert_eq!(who(&[Algorithm::Hs256, Algorithm::EdDsa]), Identity::Rejected(IdentityFault::Algorithm));
    assert_eq!(who(&[]), Identity::Rejected(IdentityFault::Algorithm));
    assert!(serde_json::from_str::<JwtSettings>(r#"{"algorithms":["none"]}"#).is_err());
}

#[test]
fn without_audiences_in_the_settings_a_token_for_somebody_else_is_refused() {
    let mut settings = jwt_settings(ALL);
    settings.jwt.as_mut().unwrap().audience.clear();
    let mut claims = good_claims();
    let who = |claims: &Value| {
        let request = headers(&[("cookie", &format!("session={}", hs256(&json!({ "alg": "HS256" }), claims)))]);
        who_makes(&request, &settings, &all_keys())
    };
    assert_eq!(who(&claims), Identity::Rejected(IdentityFault::Audience));
    claims.as_object_mut().unwrap().remove("aud");
    assert_eq!(who(&claims), proven("alice"));
}

#[test]
fn the_first_proof_that_holds_wins() {
    let good = hs256(&json!({ "alg": "HS256" }), &good_claims());
    let request = headers(&[
        (USER, "mallory"),
        (SIGNATURE, "t=1,v1=00"),
        ("cookie", "session=broken"),
        ("authorization", &format!("Bearer {good}")),
    ]);
    assert_eq!(who_makes(&request, &jwt_settings(ALL), &all_keys()), proven("alice"));
}

#[test]
fn a_proof_carries_the_claims_that_were_asked_for_and_prints_none() {
    let mut claims = good_claims();
    claims["tier"] = json!("gold");
    claims["email"] = json!("alice@example.com");
    let token = hs256(&json!({ "alg": "HS256" }), &claims);
    let request = headers(&[("cookie", &format!("session={token}"))]);
    let wanted = ["tier".to_owned(), "absent".to_owned()];
    let identity = identify(&Claims::of(&request), &request, &jwt_settings(ALL), &wanted, &all_keys(), at(NOW));
    assert_eq!(identity.claim("tier"), Some(&json!("gold")));
    assert_eq!((identity.claim("email"), identity.claim("absent")), (None, None));
    assert_eq!(format!("{identity:?}"), "Proven(Proof(…))");
}
