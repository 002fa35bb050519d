//! The hop in front: a VCL service or another network before us. The peer's address is its address then. What it says of the
//! visitor's counts where it shows a secret, and only there.

use std::net::IpAddr;
use std::rc::Rc;

use crate::admit::RequestHead;
use crate::code::Code;
use crate::mac::Passwords;
use crate::rules::settings::Settings;

/// The header in which Fastly's servers hand the visitor's address on.
const ADDRESS: &str = "fastly-client-ip";

/// Who asks, as far as addresses tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The visitor's address; the peer's, where nobody proved to know better.
    pub address: Option<IpAddr>,
    /// Why it is the peer's where settings name a hop in front.
    pub code: Option<Code>,
}

impl Client {
    /// Who sent a request. `secrets` is asked where settings name a hop in front.
    pub fn of(head: &RequestHead, settings: &Settings, secrets: impl FnOnce() -> Rc<Passwords>) -> Self {
        let peer = |code| Self { address: head.address, code };
        let Some(front) = &settings.front else { return peer(None) };
        let secrets = secrets();
        if secrets.is_empty() {
            return peer(Some(Code::FrontNoSecret));
        }
        if !head.claims.hop.only(&front.header).is_some_and(|shown| secrets.have(shown)) {
            return peer(Some(Code::FrontUnproven));
        }
        let told = head.claims.hop.only(ADDRESS).and_then(|address| std::str::from_utf8(address).ok());
        match told.and_then(|address| address.trim_ascii().parse::<IpAddr>().ok()) {
            Some(address) => Self { address: Some(address.to_canonical()), code: None },
            None => peer(Some(Code::FrontAddress)),
        }
    }
}
