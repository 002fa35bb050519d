//! Any bytes as a large rule set and any text as an HLS playlist, a GrowthBook payload or a path: no panic, nothing read out of bounds.

use edge_personalizer::growthbook::{DefinitionSource as _, Definitions, decrypt};
use edge_personalizer::rules::pack::Pack;
use edge_personalizer::rules::path::Pattern;
use edge_personalizer::transform::media::HlsLimits;
use edge_personalizer::transform::media::hls;
use edge_personalizer::wire::path::normal_form;

/// One input.
pub fn run(data: &[u8]) {
    if let Ok(pack) = Pack::read(data.to_vec()) {
        for index in 0..pack.routes().min(1_000) {
            let _ = pack.route(index);
        }
        for index in 0..pack.count().min(1_000) {
            // Names are looked up by halves: a table that isn't sorted finds less, and ends all the same.
            let _ = pack.entry(index).map(|(key, _)| pack.find(key));
        }
        let _ = pack.filed_under("/").take(1_000).count();
        let _ = pack.dictionary("settings");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = HlsLimits { bandwidth: Some(1_000_000), height: Some(720) };
    let filtered = hls::filter(text, limits);
    assert!(filtered.len() <= text.len() + 1);
    assert_eq!(hls::filter(&filtered, limits), filtered, "filtering again changes nothing");
    let _ = Definitions::default().add_payload(text, Some("Ns04T5n9+59rl2x3SlNHtQ=="));
    let _ = decrypt(text, "Ns04T5n9+59rl2x3SlNHtQ==");
    let normal = normal_form(text);
    assert_eq!(normal_form(&normal), normal, "a normal form has one spelling");
    if let Some((pattern, path)) = text.split_once('\n')
        && let Ok(pattern) = Pattern::compile(pattern)
    {
        let _ = pattern.captures(path);
    }
}
