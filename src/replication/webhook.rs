//! Signatures of the Standard Webhooks specification, version 1.0.0 ("Webhook headers", "Signature scheme",
//! "Verifying webhook authenticity"): `v1` is the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use time::OffsetDateTime;

use crate::code::Code;
use crate::mac::{self, MacKey};
use crate::rules::settings::replication::MOST_TOLERANCE;

/// Names the message.
pub const ID_HEADER: &str = "webhook-id";
/// When it was sent, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What a secret's text starts with.
const PREFIX: &str = "whsec_";
/// Signatures that are looked at: one a secret of the sender's.
const MOST_SIGNATURES: usize = 16;
/// Bytes of a message's id.
const LONGEST_ID: usize = 256;
/// Bytes of a signature: HMAC-SHA256.
const TAG: usize = 32;
/// Digits of a timestamp; eleven reach the year 5138.
const MOST_DIGITS: usize = 11;

/// A webhook secret, ready to use.
#[derive(Clone)]
pub struct WebhookSecret(MacKey);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl WebhookSecret {
    /// The secret `whsec_<base64>`, the prefix of which may be missing. `None` for anything else, and for a key of
    /// fewer than 16 bytes, the empty one above all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
        MacKey::new(&bytes).map(Self)
    }

    /// All secrets in a stored one: a JSON array of texts, or texts with white space or commas between them. What is
    /// no secret is left out.
    #[must_use]
    pub fn parse_all(stored: &[u8]) -> Vec<Self> {
        mac::texts(stored).iter().filter_map(|text| Self::parse(text)).collect()
    }
}

/// The `webhook-signature` for a message: `v1,<base64>`. `timestamp` is in seconds since 1970.
#[must_use]
pub fn sign(secret: &WebhookSecret, id: &str, timestamp: u64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let tag = secret.0.tag(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("v1,{}", STANDARD.encode(tag))
}

/// Why a message doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookFault {
    /// A header is missing, comes twice or has not its form.
    Headers,
    /// It was sent too long ago.
    TooOld,
    /// It was sent in the future.
    TooNew,
    /// No secret made any of the signatures.
    Signature,
}

impl WebhookFault {
    /// The code for the log.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Headers => Code::ReplicationHeaders,
            Self::TooOld => Code::ReplicationTooOld,
            Self::TooNew => Code::ReplicationTooNew,
            Self::Signature => Code::ReplicationSignature,
        }
    }

    /// What a sender can do about it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Headers => {
                "expected one webhook-id (up to 256 visible characters without a dot), one webhook-timestamp (seconds since 1970) and one \
                 webhook-signature (v1,<base64>)"
            }
            Self::TooOld => "webhook-timestamp is more than five minutes ago; sign again when sending again",
            Self::TooNew => "webhook-timestamp is more than five minutes ahead; check the clock",
            Self::Signature => {
                "no signature is right; check the secret, and that the body is signed byte by byte as sent"
            }
        }
    }
}

/// A message's headers, sound and of this time; its body isn't looked at yet.
#[derive(Debug)]
pub struct Announced<'a> {
    id: &'a str,
    timestamp: &'a str,
    tags: Vec<Vec<u8>>,
}

impl Announced<'_> {
    /// Whether one of `secrets` signed the message with this body.
    ///
    /// # Errors
    ///
    /// None did.
    pub fn verify(&self, body: &[u8], secrets: &[WebhookSecret]) -> Result<(), WebhookFault> {
        let parts = [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", body];
        let signed = self.tags.iter().any(|tag| secrets.iter().any(|secret| secret.0.verify(&parts, tag)));
        if signed { Ok(()) } else { Err(WebhookFault::Signature) }
    }
}

/// What the headers alone say of a message, within `tolerance` seconds of `now`: what fails here needs no body.
///
/// # Errors
///
/// The message doesn't count, whatever its body; the fault says why.
pub fn announced<'a>(
    headers: &'a HeaderMap,
    tolerance: u32,
    now: OffsetDateTime,
) -> Result<Announced<'a>, WebhookFault> {
    let id = only(headers, ID_HEADER)?;
    let timestamp = only(headers, TIMESTAMP_HEADER)?;
    let signatures = only(headers, SIGNATURE_HEADER)?;
    // A dot in the id would let the same signed bytes be cut into another id, time and body.
    let sound_id =
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
    let digits = (1..=MOST_DIGITS).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    if !sound_id || !digits {
        return Err(WebhookFault::Headers);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| WebhookFault::Headers)?;
    let now = now.unix_timestamp();
    if seconds.abs_diff(now) > u64::from(tolerance.min(MOST_TOLERANCE)) {
        return Err(if seconds < now { WebhookFault::TooOld } else { WebhookFault::TooNew });
    }
    let tags: Vec<_> = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .take(MOST_SIGNATURES)
        .filter_map(|signature| STANDARD.decode(signature).ok())
        .filter(|tag| tag.len() == TAG)
        .collect();
    if tags.is_empty() { Err(WebhookFault::Signature) } else { Ok(Announced { id, timestamp, tags }) }
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, WebhookFault> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().map_err(|_| WebhookFault::Headers),
        _ => Err(WebhookFault::Headers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const TIME: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn check(
        id: &str,
        time: &str,
        signature: &[u8],
        body: &[u8],
        secrets: &[&str],
        now: i64,
    ) -> Result<(), WebhookFault> {
        let mut headers = HeaderMap::new();
        headers.insert(ID_HEADER, id.parse().unwrap());
        headers.insert(TIMESTAMP_HEADER, time.parse().unwrap());
        headers.insert(SIGNATURE_HEADER, http::HeaderValue::from_bytes(signature).unwrap());
        let secrets: Vec<_> = secrets.iter().filter_map(|text| WebhookSecret::parse(text)).collect();
        announced(&headers, 300, OffsetDateTime::from_unix_timestamp(now).unwrap())?.verify(body, &secrets)
    }

    #[test]
    fn the_specifications_vector_verifies_and_is_what_we_sign() {
        assert_eq!(check(ID, "1649367553", SIGNATURE.as_bytes(), BODY, &[SECRET], TIME), Ok(()));
        let secret = WebhookSecret::parse(SECRET).unwrap();
        assert_eq!(sign(&secret, ID, 1_649_367_553, BODY), SIGNATURE);
    }

    #[test]
    fn every_bit_of_signature_body_id_and_time_counts() {
        let (mut tried, mut accepted) = (0, 0);
        let mut count = |result: Result<(), WebhookFault>| {
            tried += 1;
            accepted += usize::from(result.is_ok());
        };
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            count(check(ID, "1649367553", SIGNATURE.as_bytes(), &body, &[SECRET], TIME));
        }
        let tag = STANDARD.decode(&SIGNATURE[3..]).unwrap();
        for bit in 0..tag.len() * 8 {
            let mut tag = tag.clone();
            tag[bit / 8] ^= 1 << (bit % 8);
            let signature = format!("v1,{}", STANDARD.encode(tag));
            count(check(ID, "1649367553", signature.as_bytes(), BODY, &[SECRET], TIME));
        }
        for place in 0..SIGNATURE.len() {
            for bit in 0..8 {
                let mut signature = SIGNATURE.as_bytes().to_vec();
                signature[place] ^= 1 << bit;
                if http::HeaderValue::from_bytes(&signature).is_ok() {
                    count(check(ID, "1649367553", &signature, BODY, &[SECRET], TIME));
                }
            }
            count(check(ID, "1649367553", &SIGNATURE.as_bytes()[..place], BODY, &[SECRET], TIME));
        }
        for place in 0..ID.len() {
            let mut id = ID.as_bytes().to_vec();
            id[place] ^= 1;
            count(check(std::str::from_utf8(&id).unwrap(), "1649367553", SIGNATURE.as_bytes(), BODY, &[SECRET], TIME));
        }
        for delta in [-300, -1, 1, 300] {
            count(check(ID, &(TIME + delta).to_string(), SIGNATURE.as_bytes(), BODY, &[SECRET], TIME));
        }
        count(check(ID, "01649367553", SIGNATURE.as_bytes(), BODY, &[SECRET], TIME));
        count(check(ID, "1649367553", SIGNATURE.as_bytes(), &BODY[..BODY.len() - 1], &[SECRET], TIME));
        count(check(ID, "1649367553", SIGNATURE.as_bytes(), &[BODY, b" "].concat(), &[SECRET], TIME));
        println!("{tried} altered messages, {accepted} accepted");
        assert_eq!(accepted, 0);
    }

    #[test]
    fn old_future_and_extreme_times_are_refused_without_overflow() {
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let at = |time: u64, now: i64| {
            let signature = sign(&secret, ID, time, BODY);
            check(ID, &time.to_string(), signature.as_bytes(), BODY, &[SECRET], now)
        };
        assert_eq!(at(1_000_000, 1_000_300), Ok(()));
        assert_eq!(at(1_000_000, 1_000_301), Err(WebhookFault::TooOld));
        assert_eq!(at(1_000_000, 999_700), Ok(()));
        assert_eq!(at(1_000_000, 999_699), Err(WebhookFault::TooNew));
        assert_eq!(at(0, TIME), Err(WebhookFault::TooOld));
        assert_eq!(at(99_999_999_999, TIME), Err(WebhookFault::TooNew));
        for time in [u64::MAX, i64::MAX.unsigned_abs(), i64::MIN.unsigned_abs()] {
            assert_eq!(at(time, TIME), Err(WebhookFault::Headers));
        }
        for time in ["", "-1", "+1649367553", "1649367553.0", " 1649367553 x", "0x10", "1e9"] {
            assert_eq!(
                check(ID, time, SIGNATURE.as_bytes(), BODY, &[SECRET], TIME),
                Err(WebhookFault::Headers),
                "{time}"
            );
        }
    }

    #[test]
    fn several_secrets_and_several_signatures_rotate() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(check(ID, "1649367553", SIGNATURE.as_bytes(), BODY, &[other, SECRET], TIME), Ok(()));
        let several = format!("v1a,xxx v2,yyy v1,!! v1,AAAA {SIGNATURE}");
        assert_eq!(check(ID, "1649367553", several.as_bytes(), BODY, &[SECRET], TIME), Ok(()));
        assert_eq!(check(ID, "1649367553", SIGNATURE.as_bytes(), BODY, &[other], TIME), Err(WebhookFault::Signature));
        assert_eq!(check(ID, "1649367553", SIGNATURE.as_bytes(), BODY, &[], TIME), Err(WebhookFault::Signature));
        let wrong_scheme = SIGNATURE.replace("v1,", "v1a,");
        assert_eq!(
            check(ID, "1649367553", wrong_scheme.as_bytes(), BODY, &[SECRET], TIME),
            Err(WebhookFault::Signature)
        );
        let many = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(MOST_SIGNATURES));
        assert_eq!(check(ID, "1649367553", many.as_bytes(), BODY, &[SECRET], TIME), Err(WebhookFault::Signature));
    }

    #[test]
    fn an_empty_or_short_key_is_no_key() {
        for bad in ["", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_C2FVsBQIhrscChlQIMV-b5sSYspob7oD", "AAAA"] {
            assert!(WebhookSecret::parse(bad).is_none(), "{bad}");
        }
        let empty = MacKey::new(b"");
        assert!(empty.is_none());
        assert_eq!(WebhookSecret::parse_all(b"").len(), 0);
        assert_eq!(WebhookSecret::parse_all(b"\xff").len(), 0);
        assert_eq!(WebhookSecret::parse_all(b"[").len(), 0);
        let two = format!("{SECRET}\nwhsec_,{SECRET}\n");
        assert_eq!(WebhookSecret::parse_all(two.as_bytes()).len(), 2);
        let json = format!(" [\"{SECRET}\", \"whsec_\"]");
        assert_eq!(WebhookSecret::parse_all(json.as_bytes()).len(), 1);
        assert_eq!(format!("{:?}", WebhookSecret::parse(SECRET).unwrap()), "WebhookSecret(…)");
    }

    #[test]
    fn missing_doubled_and_odd_headers_are_refused() {
        let secrets = [WebhookSecret::parse(SECRET).unwrap()];
        let now = OffsetDateTime::from_unix_timestamp(TIME).unwrap();
        let all = [(ID_HEADER, ID), (TIMESTAMP_HEADER, "1649367553"), (SIGNATURE_HEADER, SIGNATURE)];
        for (left_out, _) in all {
            for times in [0, 2] {
                let mut headers = HeaderMap::new();
                for (name, value) in all {
                    for _ in 0..if name == left_out { times } else { 1 } {
                        headers.append(name, value.parse().unwrap());
                    }
                }
                let checked = announced(&headers, 300, now).and_then(|announced| announced.verify(BODY, &secrets));
                assert_eq!(checked, Err(WebhookFault::Headers));
            }
        }
        for id in ["", "a.b", "a b", &"x".repeat(257)] {
            let signature = sign(&secrets[0], id, 1_649_367_553, BODY);
            assert_eq!(
                check(id, "1649367553", signature.as_bytes(), BODY, &[SECRET], TIME),
                Err(WebhookFault::Headers)
            );
        }
    }
}
