//! HLS playlists: the variants that a visitor can't play are left out, once the playlist is read whole.

use http::{Method, StatusCode, header};

use super::{Answer, Beside, Edits, Planned, Transform, Way};
use crate::transform::charset::Charset;
use crate::transform::headers::LeftAlone;
use crate::transform::media::hls::{filter, is_playlist};
use crate::transform::media::{Adapt, HlsLimits, StoredHls};
use crate::transform::reads::Reads;

pub(super) fn compile(adapt: Option<&Adapt>) -> Option<Box<dyn Transform>> {
    adapt?.playlists().map(|hls| Box::new(hls) as Box<dyn Transform>)
}

impl Transform for StoredHls {
    fn reads(&self) -> Reads {
        let mut reads = Reads::new();
        if self.uses_device() {
            reads.add_dotted("deviceType");
        }
        if self.uses_network() {
            reads.add_dotted("network");
        }
        reads
    }

    fn plan(&self, beside: &mut Beside<'_>) -> Option<Box<dyn Planned>> {
        beside.shown.extend(&Transform::reads(self));
        Some(Box::new(self.limits(beside.request.device, beside.request.network)))
    }
}

impl Planned for HlsLimits {
    fn accepts(&self, answer: &Answer<'_>) -> Result<Charset, LeftAlone> {
        let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        match answer {
            _ if !kind.is_some_and(is_playlist) => Err(LeftAlone::ContentType),
            Answer { method, .. } if **method != Method::GET => Err(LeftAlone::Method),
            Answer { status, .. } if *status != StatusCode::OK => Err(LeftAlone::Status),
            Answer { headers, .. } if headers.contains_key(header::CONTENT_ENCODING) => Err(LeftAlone::Encoding),
            _ => Ok(Charset::utf_8()),
        }
    }

    fn fingerprint(&self) -> Vec<u8> {
        format!("{self:?}").into_bytes()
    }

    fn is_compressed(&self) -> bool {
        false
    }

    fn way(&self) -> Way<'_> {
        Way::Whole(self)
    }
}

impl Edits for HlsLimits {
    fn edit(&self, body: &[u8]) -> Option<Vec<u8>> {
        let playlist = std::str::from_utf8(body).ok()?;
        Some(filter(playlist, *self).into_owned().into_bytes())
    }
}
