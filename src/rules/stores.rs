//! The stores that rules come from, as one request may read them.

use super::dictionary::{MAX_LOOKUPS, ReadError};
use crate::platform::StoreError;

/// Reads the stores that hold rules. The service implements it on its platform.
pub trait RuleStores {
    /// An entry of the config store; `None` where it is absent.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    fn config(&mut self, key: &str) -> Result<Option<String>, StoreError>;
    /// A value of the KV store `rules`; `None` where it is absent.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    fn kv(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// A secret of the secret store; `None` where it is absent.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    fn secret(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The stores, with the config store within the platform's limit of look-ups.
pub struct Reader<'a> {
    stores: &'a mut dyn RuleStores,
    /// Look-ups left.
    pub left: u32,
}

impl<'a> Reader<'a> {
    /// Reads the config store at most `left` times.
    pub fn new(stores: &'a mut dyn RuleStores, left: u32) -> Self {
        Self { stores, left: left.min(MAX_LOOKUPS) }
    }

    /// One entry of the config store; `None` where it is absent.
    ///
    /// # Errors
    ///
    /// The store could not answer, or no look-up is left.
    pub fn entry(&mut self, key: &str) -> Result<Option<String>, ReadError> {
        self.left = self.left.checked_sub(1).ok_or(ReadError::TooManyLookups)?;
        self.stores.config(key).map_err(ReadError::Store)
    }

    /// A value of the KV store.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    pub fn kv(&mut self, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.stores.kv(key).map_err(ReadError::Store)
    }

    /// A secret.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    pub fn secret(&mut self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.stores.secret(name).map_err(ReadError::Store)
    }
}
