//! Config stores of Fastly Compute, without a panic.
//!
//! `fastly::ConfigStore` has no call that can't panic: where the host answers with a status that the SDK doesn't list (a torn file, an
//! entry that is too long, something new), it stops the service, and each visitor gets a 500. Here every status is an error. Source: the
//! SDK's `config_store/handle.rs`, and the host calls `fastly_config_store` of `fastly-sys`.
#![cfg(target_arch = "wasm32")]

use std::fmt;

use fastly_shared::{FastlyStatus, INVALID_CONFIG_STORE_HANDLE};
use fastly_sys::fastly_config_store as host;

/// Bytes that a value gets at first: most are no longer, and one call is enough. An entry has 8,000 characters at most, so that a
/// value has at most four times as many bytes.
const FIRST_BYTES: usize = 8_000;

/// An open store.
#[derive(Debug)]
pub struct ConfigStore(host::ConfigStoreHandle);

/// Why the host gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The service has no store of this name.
    NoStore,
    /// A value isn't UTF-8.
    NotText,
    /// Any other status, by its number in the ABI.
    Status(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore => formatter.write_str("expected a config store of this name, but the service has none"),
            Self::NotText => formatter.write_str("expected text, but found bytes that aren't UTF-8"),
            Self::Status(status) => write!(formatter, "the host answered with status {status}"),
        }
    }
}

impl std::error::Error for Error {}

impl ConfigStore {
    /// Opens a store by its name.
    ///
    /// # Errors
    ///
    /// The service has no such store, or the host can't open it.
    pub fn open(name: &str) -> Result<Self, Error> {
        let mut handle = INVALID_CONFIG_STORE_HANDLE;
        // SAFETY: the pointers are to a string of that length and to a handle, both alive during the call.
        let status = unsafe { host::open(name.as_ptr(), name.len(), &raw mut handle) };
        match status {
            FastlyStatus::OK if handle != INVALID_CONFIG_STORE_HANDLE => Ok(Self(handle)),
            FastlyStatus::OK | FastlyStatus::BADF => Err(Error::NoStore),
            other => Err(Error::Status(other.code)),
        }
    }

    /// The value of an entry, or `None` where the store has no such key.
    ///
    /// # Errors
    ///
    /// The host can't tell: too many look-ups, a key that no store takes, a store that has gone.
    pub fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let mut value = Vec::new();
        let mut room = FIRST_BYTES;
        loop {
            value.resize(room, 0);
            let mut written = 0;
            // SAFETY: the pointers are to a string and to a buffer of those lengths and to a number, all alive during the call.
            let status = unsafe {
                host::get(self.0, key.as_ptr(), key.len(), value.as_mut_ptr(), value.len(), &raw mut written)
            };
            match status {
                FastlyStatus::OK => {
                    value.truncate(written);
                    return String::from_utf8(value).map(Some).map_err(|_| Error::NotText);
                }
                FastlyStatus::NONE => return Ok(None),
                // The host says how much it needs; a second time it must not.
                FastlyStatus::BUFLEN if written > room => room = written,
                other => return Err(Error::Status(other.code)),
            }
        }
    }
}
