//! A fault on purpose: the origin fails for a share of the visitors of one revision, so that a canary has something to find.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::bail;
use edge_personalizer::platform::{Caching, Response};
use edge_personalizer::rules::pointer::is_revision_name;
use fnv::FnvHasher;
use http::{HeaderMap, StatusCode};

use super::body::HostBody;

/// `r42=50%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What the surrogate keys of the revision's objects have among them.
    key: String,
    percent: f64,
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts = text.split_once('=').filter(|(revision, _)| is_revision_name(revision));
        let percent = parts.and_then(|(_, share)| share.strip_suffix('%').unwrap_or(share).parse().ok());
        match (parts, percent) {
            (Some((revision, _)), Some(percent)) if (0.0..=100.0).contains(&percent) => {
                Ok(Self { key: format!("revision-{revision}"), percent })
            }
            _ => bail!("expected a revision and 0 to 100 percent as r42=50%, but found '{text}'"),
        }
    }
}

impl Fault {
    /// Whether it hits a request to the origin for a visitor. One visitor always has the same luck.
    pub fn hits(&self, caching: &Caching, address: Option<IpAddr>) -> bool {
        let Caching::Keyed { surrogate_keys, .. } = caching else { return false };
        if !surrogate_keys.split(' ').any(|key| key == self.key) {
            return false;
        }
        let mut hasher = FnvHasher::default();
        hasher.write(address.map(|address| address.to_string()).unwrap_or_default().as_bytes());
        let place = u32::try_from(hasher.finish() % 10_000).unwrap_or_default();
        f64::from(place) < self.percent * 100.0
    }
}

/// What the origin says then.
pub fn answer() -> Response<HostBody> {
    Response { status: StatusCode::SERVICE_UNAVAILABLE, headers: HeaderMap::new(), body: Vec::new().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(keys: &str) -> Caching {
        Caching::Keyed {
            key: [0; 32],
            ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            surrogate_keys: keys.to_owned(),
        }
    }

    #[test]
    fn it_hits_a_share_of_the_visitors_of_its_revision_and_nobody_else() {
        let fault: Fault = "r42=50%".parse().unwrap();
        let address = |n: u16| Some(IpAddr::from([198, 18, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
        let hit = (0..4_000).filter(|n| fault.hits(&keyed("products revision-r42"), address(*n))).count();
        assert!((1_800..2_200).contains(&hit), "{hit}");
        for n in 0..100 {
            assert!(
                !fault.hits(&keyed("products revision-r421"), address(n)) && !fault.hits(&Caching::Pass, address(n))
            );
        }
        for text in ["r42", "r42=", "r42=101%", "a b=5%", "=5%"] {
            assert!(text.parse::<Fault>().unwrap_err().to_string().contains("as r42=50%"), "{text}");
        }
    }
}
