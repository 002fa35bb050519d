//! The hop in front: a VCL service or another network before us. The peer's address is its address then, and the host may be the one that
//! it asks us by. What it says of the visitor's counts where it shows a secret, and only there.

use std::net::IpAddr;
use std::rc::Rc;

use crate::admit::RequestHead;
use crate::code::Code;
use crate::mac::Passwords;
use crate::rules::settings::Settings;
use crate::rules::settings::front::HOST;
use crate::wire::authority;

/// The header in which Fastly's servers hand the visitor's address on.
const ADDRESS: &str = "fastly-client-ip";

/// Who asks, and for which host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The visitor's address; the peer's, where nobody proved to know better.
    pub address: Option<IpAddr>,
    /// Host and port that the visitor asked for, in lower case, where the hop in front says so.
    pub authority: Option<String>,
    /// What of it isn't known where settings name a hop in front.
    pub code: Option<Code>,
}

impl Client {
    /// Who sent a request. `secrets` is asked where settings name a hop in front.
    pub fn of(head: &RequestHead, settings: &Settings, secrets: impl FnOnce() -> Rc<Passwords>) -> Self {
        let peer = |code| Self { address: head.address, authority: None, code };
        let Some(front) = &settings.front else { return peer(None) };
        let secrets = secrets();
        if secrets.is_empty() {
            return peer(Some(Code::FrontNoSecret));
        }
        if !head.claims.hop.only(&front.header).is_some_and(|shown| secrets.have(shown)) {
            return peer(Some(Code::FrontUnproven));
        }
        let told = |header| Some(std::str::from_utf8(head.claims.hop.only(header)?).ok()?.trim_ascii());
        let address = told(ADDRESS).and_then(|address| address.parse::<IpAddr>().ok());
        let authority = told(HOST).map(str::to_ascii_lowercase).filter(|host| authority::split(host).is_some());
        let code = match (address, &authority) {
            (None, _) => Some(Code::FrontAddress),
            (_, None) if head.claims.hop.has(HOST) => Some(Code::FrontHost),
            _ => None,
        };
        Self { address: address.map(|address| address.to_canonical()).or(head.address), authority, code }
    }

    /// The host that the visitor asked for, as rules name it.
    pub fn host<'a>(&'a self, head: &'a RequestHead) -> &'a str {
        self.authority.as_deref().map_or_else(|| head.host(), authority::host)
    }

    /// Makes a request the visitor's own. Gives what of that isn't known.
    pub fn claim(self, head: &mut RequestHead) -> Option<Code> {
        head.address = self.address;
        if let Some(authority) = self.authority {
            head.authority = authority;
        }
        self.code
    }
}
