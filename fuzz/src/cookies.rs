//! Any bytes as `Cookie`, and as each of the cookies that mean something here: no panic; what is read is written and read the same.

use edge_personalizer::context::consent::{ConsentRules, ConsentSettings, tcf};
use edge_personalizer::context::language::negotiate;
use edge_personalizer::context::network;
use edge_personalizer::context::sticky::{self, StickySettings};
use edge_personalizer::context::visitor::{VisitorId, VisitorSettings};
use edge_personalizer::wire::cookies::Cookies;
use http::{HeaderMap, HeaderValue};

/// One input.
pub fn run(data: &[u8]) {
    let _ = tcf::purposes(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let documents = sticky::decode(text);
        if let Some(written) = sticky::encode(&documents, 4_096) {
            assert_eq!(sticky::decode(&written), documents);
        }
        if let Some(id) = VisitorId::parse(text) {
            assert_eq!(id.to_string(), text);
        }
    }
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut headers = HeaderMap::new();
    for name in ["cookie", "accept-language", "save-data", "ect", "rtt", "downlink"] {
        headers.insert(name, value.clone());
    }
    let cookies = Cookies::of(&headers);
    assert!(cookies.iter().count() <= data.len() + 1);
    let settings: ConsentSettings =
        serde_json::from_str(r#"{"cookie":{"name":"c","pattern":"^y"},"tcf":{"cookie":"t"}}"#).unwrap();
    let _ = ConsentRules::compile(&settings).0.consent(&cookies);
    let _ = StickySettings::default().read(&cookies);
    let _ = VisitorSettings::default().read(&cookies);
    let _ = negotiate(&headers, &["en".to_owned(), "fr-CA".to_owned()]);
    let _ = network::detect(&headers, None);
}
