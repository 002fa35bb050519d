//! The KV stores, in memory: what the service writes lasts until the end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use edge_personalizer::platform::{Kv, KvValue, KvWrite, KvWritten};

/// Both stores.
#[derive(Debug, Default)]
pub struct KvStores {
    values: Mutex<HashMap<(Kv, String), Kept>>,
}

#[derive(Debug)]
struct Kept {
    value: KvValue,
    until: Option<Instant>,
}

impl Kept {
    fn lives(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl KvStores {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Kv, String), Kept>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a value, whatever was there.
    pub fn put(&self, store: Kv, key: &str, bytes: Vec<u8>) {
        self.lock().insert((store, key.to_owned()), Kept { value: KvValue { bytes, generation: 1 }, until: None });
    }

    /// The value of a key.
    pub fn get(&self, store: Kv, key: &str) -> Option<KvValue> {
        let values = self.lock();
        values.get(&(store, key.to_owned())).filter(|kept| kept.lives()).map(|kept| kept.value.clone())
    }

    /// Stores a value on a condition; `ttl` in seconds.
    pub fn insert(&self, store: Kv, key: &str, bytes: Vec<u8>, condition: KvWrite, ttl: Option<u32>) -> KvWritten {
        let mut values = self.lock();
        let place = (store, key.to_owned());
        let old = values.get(&place);
        let last = old.map_or(0, |kept| kept.value.generation);
        let known = old.filter(|kept| kept.lives()).map(|kept| kept.value.generation);
        let holds = match condition {
            KvWrite::IfAbsent => known.is_none(),
            KvWrite::IfGeneration(generation) => known == Some(generation),
        };
        if !holds {
            return KvWritten::Conflict;
        }
        let until = ttl.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds.into())));
        values.insert(place, Kept { value: KvValue { bytes, generation: last + 1 }, until });
        KvWritten::Stored
    }

    /// Deletes a key.
    pub fn delete(&self, store: Kv, key: &str) {
        self.lock().remove(&(store, key.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_somebody_forestalled_is_a_conflict() {
        let stores = KvStores::default();
        assert_eq!(stores.insert(Kv::Sessions, "a", vec![1], KvWrite::IfAbsent, None), KvWritten::Stored);
        assert_eq!(stores.insert(Kv::Sessions, "a", vec![2], KvWrite::IfAbsent, None), KvWritten::Conflict);
        let seen = stores.get(Kv::Sessions, "a").unwrap().generation;
        assert_eq!(stores.insert(Kv::Sessions, "a", vec![3], KvWrite::IfGeneration(seen), None), KvWritten::Stored);
        assert_eq!(stores.insert(Kv::Sessions, "a", vec![4], KvWrite::IfGeneration(seen), None), KvWritten::Conflict);
        assert_eq!(stores.get(Kv::Sessions, "a").unwrap().bytes, [3]);
        assert!(stores.get(Kv::Rules, "a").is_none(), "the stores are two");
    }

    #[test]
    fn a_value_whose_time_is_over_is_gone() {
        let stores = KvStores::default();
        stores.insert(Kv::Sessions, "a", vec![1], KvWrite::IfAbsent, Some(0));
        assert!(stores.get(Kv::Sessions, "a").is_none());
        assert_eq!(stores.insert(Kv::Sessions, "a", vec![2], KvWrite::IfAbsent, Some(60)), KvWritten::Stored);
        stores.delete(Kv::Sessions, "a");
        assert!(stores.get(Kv::Sessions, "a").is_none());
    }
}
