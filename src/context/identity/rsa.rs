//! RS256: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3; RFC 8017, section 8.2), public keys alone.
//!
//! The cargo feature `rs256` brings it, and is on by default. Without it an RSA key is left out, and named.

#[cfg(feature = "rs256")]
pub(super) use with::RsaKey;
#[cfg(not(feature = "rs256"))]
pub(super) use without::RsaKey;

#[cfg(feature = "rs256")]
mod with {
    use rsa::traits::PublicKeyParts as _;
    use rsa::{BoxedUint, Pkcs1v15Sign, PublicKey};
    use sha2::{Digest as _, Sha256};

    /// Bits of the smallest modulus (RFC 7518, section 3.3).
    const LEAST_BITS: u32 = 2048;
    /// Bits of the largest one, for the vCPU's sake: the work grows with the square, and a forged token costs it too.
    const MOST_BITS: u32 = 4096;
    /// The smallest public exponent (RFC 8017, section 3.1). What is compared is the whole padding, so a small one is no danger.
    const LEAST_EXPONENT: u64 = 3;
    /// Bytes of the largest one: four, as work grows with it. Nearly every key has 65,537.
    const EXPONENT_BYTES: usize = 4;
    /// DER before the 32 bytes of a SHA-256 in a `DigestInfo` (RFC 8017, section 9.2, note 1).
    const SHA256_PREFIX: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
        0x20,
    ];

    /// An RSA key that checks RS256 signatures.
    pub struct RsaKey(PublicKey);

    impl RsaKey {
        /// The key of a modulus and an exponent, big-endian; what is wrong with them where they make none.
        pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, &'static str> {
            let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
            let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
            if !(LEAST_BITS as usize..=MOST_BITS as usize).contains(&bits) {
                return Err("expected an RSA modulus of 2,048 to 4,096 bits under `n`, but found another size");
            }
            let value = exponent.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
            if exponent.len() > EXPONENT_BYTES || value < LEAST_EXPONENT || value % 2 == 0 {
                return Err("expected an odd exponent from 3 to 4,294,967,295 under `e`, but found another");
            }
            let odd = "expected an RSA modulus under `n`, but found an even number";
            let modulus = BoxedUint::from_be_slice_vartime(modulus);
            PublicKey::new(modulus, BoxedUint::from(value)).map(Self).map_err(|_| odd)
        }

        /// Whether this key made `signature` over `message`.
        pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
            let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_PREFIX.into() };
            // One spelling a signature: as long as the modulus (RFC 8017, section 8.2.2, step 1).
            signature.len() == self.0.size() && self.0.verify(scheme, &Sha256::digest(message), signature).is_ok()
        }
    }

    /// The number without zeros in front: RFC 7518, section 6.3.1, forbids them, and some libraries write one.
    fn without_zeros(number: &[u8]) -> &[u8] {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number.get(zeros..).unwrap_or_default()
    }
}

#[cfg(not(feature = "rs256"))]
mod without {
    /// There is none in this build.
    pub enum RsaKey {}

    impl RsaKey {
        /// Says that this build can't use the key.
        pub fn new(_: &[u8], _: &[u8]) -> Result<Self, &'static str> {
            Err("expected another key: this build leaves RS256 out (cargo feature `rs256`)")
        }

        /// Nothing calls this.
        pub fn verifies(&self, _: &[u8], _: &[u8]) -> bool {
            match *self {}
        }
    }
}
