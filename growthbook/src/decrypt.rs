//! Encrypted parts of a payload: AES-128-CBC with PKCS #7 padding, written `<iv>.<ciphertext>`, both in Base64
//! (GrowthBook SDK specification 0.8.0, "decrypt").

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why a text can't be decrypted. It says no more than that: the difference between a wrong key and a wrong text would help to forge one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecryptable;

impl std::fmt::Display for Undecryptable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("expected a text encrypted with this key, but found another one")
    }
}

impl std::error::Error for Undecryptable {}

/// Decrypts a text with a Base64 key of 128 bits.
///
/// CBC doesn't authenticate: a wrong key mostly shows by its padding, but the plain text may also be any bytes, which the JSON
/// reader then refuses.
///
/// # Errors
///
/// Key or text aren't what they should be.
pub fn decrypt(encrypted: &str, key: &str) -> Result<String, Undecryptable> {
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| Undecryptable);
    let (iv, ciphertext) = encrypted.split_once('.').ok_or(Undecryptable)?;
    let cipher = cbc::Decryptor::<aes::Aes128>::new_from_slices(&decode(key)?, &decode(iv)?);
    let plain = cipher.map_err(|_| Undecryptable)?.decrypt_padded_vec_mut::<Pkcs7>(&decode(ciphertext)?);
    String::from_utf8(plain.map_err(|_| Undecryptable)?).map_err(|_| Undecryptable)
}
