use std::borrow::Cow;
use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::*;

const DEVICES: [DeviceClass; 5] =
    [DeviceClass::Mobile, DeviceClass::Tablet, DeviceClass::Desktop, DeviceClass::Tv, DeviceClass::Bot];
const NETWORKS: [NetworkClass; 3] = [NetworkClass::Slow, NetworkClass::Medium, NetworkClass::Fast];

fn adapt(stored: &Value) -> Adapt {
    let mut faults = Vec::new();
    let adapt = Adapt::compile(stored, "/adapt", &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    adapt
}

fn shop() -> Adapt {
    adapt(&json!({
        "image": {"widths": [1280, 320, 640, 960, 1920, 640], "width_param": "width", "quality": {"slow": 45, "medium": 65, "fast": 80},
            "quality_param": "quality", "formats": ["avif", "webp"], "format_param": "format"},
        "video": {"bitrates": {"slow": 800, "medium": 2500}, "param": "max_bitrate"}
    }))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn query(adapt: &Adapt, pairs: &[(&'static str, &str)], network: NetworkClass) -> String {
    let parameters = adapt.parameters(&headers(pairs), DeviceClass::Mobile, network);
    parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[test]
fn widths_are_rounded_up_to_the_next_listed() {
    let shop = shop();
    let width = |pairs: &[(&'static str, &str)]| query(&shop, pairs, NetworkClass::Fast);
    assert_eq!(width(&[("sec-ch-viewport-width", "320")]), "width=320&quality=80");
    assert_eq!(width(&[("sec-ch-viewport-width", "321")]), "width=640&quality=80");
    assert_eq!(width(&[("sec-ch-viewport-width", "360"), ("dpr", "2.625")]), "width=960&quality=80");
    assert_eq!(width(&[("viewport-width", "412"), ("sec-ch-dpr", "3")]), "width=1280&quality=80");
    assert_eq!(width(&[("width", "700"), ("dpr", "3"), ("viewport-width", "100")]), "width=960&quality=80");
    assert_eq!(width(&[("sec-ch-width", "99999")]), "width=1920&quality=80");
    for malformed in ["0", "-5", "x", "1e3", "", "NaN", "99999999999999999999"] {
        assert_eq!(width(&[("sec-ch-width", malformed)]), "quality=80", "{malformed}");
    }
}

#[test]
fn formats_have_to_be_named_and_wanted() {
    let shop = shop();
    let format = |accept: &str| query(&shop, &[("accept", accept)], NetworkClass::Slow);
    assert_eq!(format("image/avif,image/webp,*/*;q=0.8"), "quality=45&format=avif&max_bitrate=800");
    assert_eq!(format("text/html, Image/WebP;q=0.1"), "quality=45&format=webp&max_bitrate=800");
    assert_eq!(format("image/avif;q=0.000, image/webp; q=0"), "quality=45&max_bitrate=800");
    assert_eq!(format("image/*,*/*"), "quality=45&max_bitrate=800");
}

#[test]
fn a_device_may_stand_in_for_a_hint() {
    let adapt = adapt(&json!({"image": {"widths": [320, 640], "device_widths": {"mobile": 500}}}));
    assert_eq!(query(&adapt, &[], NetworkClass::Fast), "width=500");
    assert_eq!(query(&adapt, &[("width", "1")], NetworkClass::Fast), "width=320");
    assert!(adapt.uses_device() && !adapt.uses_network());
}

/// Raw figures never enter the key: over all that hints may say, the outcomes are as many as the rule lists.
#[test]
fn outcomes_are_as_few_as_the_rule_lists() {
    let shop = shop();
    let mut seen = BTreeSet::new();
    let accepts = ["", "*/*", "image/avif", "image/webp", "image/webp;q=0.5,image/png", "\u{1}"];
    for accept in accepts {
        for network in NETWORKS {
            for device in DEVICES {
                for width in (0..4000).step_by(7) {
                    for dpr in ["1", "1.5", "2.75", "x", "100000"] {
                        let mut headers = headers(&[("viewport-width", &width.to_string()), ("dpr", dpr)]);
                        if let Ok(accept) = HeaderValue::from_str(accept) {
                            headers.insert("accept", accept);
                        }
                        if width % 5 == 0 {
                            headers.insert("sec-ch-width", HeaderValue::from_str(&format!("{width}.{dpr}")).unwrap());
                        }
                        seen.insert(
                            shop.parameters(&headers, device, network)
                                .iter()
                                .map(|(name, value)| format!("{name}={value}"))
                                .collect::<Vec<_>>(),
                        );
                    }
                }
            }
        }
    }
    // Five widths or none, three qualities, two formats or none; the bit-rate follows the network.
    assert!(seen.len() <= 6 * 3 * 3, "{}", seen.len());
    assert_eq!(seen.len(), 54);
}

#[test]
fn hints_that_a_rule_can_use_are_advertised() {
    assert_eq!(
        accept_ch(&shop()),
        [
            "Sec-CH-Width",
            "Sec-CH-Viewport-Width",
            "Sec-CH-DPR",
            "Width",
            "Viewport-Width",
            "DPR",
            "Save-Data",
            "ECT",
            "Downlink",
            "RTT"
        ]
    );
    assert_eq!(
        accept_ch(&adapt(&json!({"video": {"bitrates": {"slow": 1}}}))),
        ["Save-Data", "ECT", "Downlink", "RTT"]
    );
    assert!(accept_ch(&adapt(&json!({"image": {"formats": ["webp"]}}))).is_empty());
    assert!(accept_ch(&Adapt::default()).is_empty());
}

#[test]
fn bad_parts_are_left_out_and_named() {
    let cases = [
        (json!(5), "/adapt"),
        (json!({"image": 5}), "/adapt/image"),
        (json!({"image": {"widths": [0]}}), "/adapt/image/widths"),
        (json!({"image": {"widths": vec![320; 17]}}), "/adapt/image/widths"),
        (json!({"image": {"width_param": "a&b"}}), "/adapt/image/width_param"),
        (json!({"image": {"formats": ["a/b"]}}), "/adapt/image/formats"),
        (json!({"video": {"bitrates": {}}}), "/adapt/video/bitrates"),
        (json!({"video": {"bitrates": {"slow": 1}, "param": ""}}), "/adapt/video/param"),
        (json!({"hls": {}}), "/adapt/hls"),
        (json!({"hls": {"max_height": {"mobile": -1}}}), "/adapt/hls"),
    ];
    for (stored, pointer) in cases {
        let mut faults = Vec::new();
        let adapt = Adapt::compile(&stored, "/adapt", &mut faults);
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{stored}");
        assert!(faults[0].message.starts_with("expected "), "{}", faults[0]);
        assert_eq!(adapt, Adapt::default());
    }
}

const MASTER: &str = "#EXTM3U\r\n#EXT-X-VERSION:4\r\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x, BANDWIDTH=1\",URI=\"a.m3u8\"\r\n\
#EXT-X-STREAM-INF:BANDWIDTH=800000,AVERAGE-BANDWIDTH=700000,RESOLUTION=640x360,AUDIO=\"a\"\r\nlow.m3u8\r\n\
#EXT-X-STREAM-INF:AUDIO=\"BANDWIDTH=1,x\",BANDWIDTH=2500000,RESOLUTION=1280x720\r\n# a comment\r\nmid.m3u8\r\n\
#EXT-X-STREAM-INF:RESOLUTION=3840x2160,BANDWIDTH=16000000\r\nhigh.m3u8\r\n\
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,RESOLUTION=640x360,URI=\"i-low.m3u8\"\r\n\
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=3840x2160,URI=\"i-high.m3u8\"\r\n\
#EXT-X-SESSION-DATA:DATA-ID=\"d\",VALUE=\"v\"";

fn uris(bandwidth: Option<u32>, height: Option<u32>) -> Vec<String> {
    let out = hls::filter(MASTER, HlsLimits { bandwidth, height });
    let mut lines = MASTER.lines();
    for line in out.lines() {
        assert!(lines.any(|original| original == line), "out of order: {line}");
    }
    for kept in ["#EXTM3U", "#EXT-X-VERSION:4", "#EXT-X-MEDIA:", "#EXT-X-SESSION-DATA:"] {
        assert!(out.contains(kept), "{kept}");
    }
    ["low.m3u8", "mid.m3u8", "high.m3u8"]
        .iter()
        .filter(|uri| out.lines().any(|line| line == **uri))
        .map(|uri| (*uri).to_owned())
        .collect()
}

#[test]
fn variants_beyond_the_limits_are_dropped() {
    assert_eq!(uris(None, None), ["low.m3u8", "mid.m3u8", "high.m3u8"]);
    assert_eq!(uris(Some(2_500_000), None), ["low.m3u8", "mid.m3u8"]);
    assert_eq!(uris(None, Some(720)), ["low.m3u8", "mid.m3u8"]);
    assert_eq!(uris(Some(1_000_000), Some(2160)), ["low.m3u8"]);
    assert_eq!(uris(Some(1), Some(1)), ["low.m3u8"]);
    let low = hls::filter(MASTER, HlsLimits { bandwidth: Some(1_000_000), height: None });
    assert!(low.contains("i-low.m3u8") && !low.contains("i-high.m3u8"));
    assert_eq!(low.matches("#EXT-X-STREAM-INF").count(), 1);
}

#[test]
fn what_is_not_a_master_playlist_is_left_alone() {
    let tight = HlsLimits { bandwidth: Some(1), height: Some(1) };
    for text in ["", "#EXTM3U\n#EXTINF:10,\na.ts\n", "<html>#EXT-X-STREAM-INF:BANDWIDTH=5\nx", "#EXTM3U"] {
        assert!(matches!(hls::filter(text, tight), Cow::Borrowed(same) if same == text));
    }
    // Odd lines neither panic nor drop what they don't describe.
    let odd = "#EXTM3U\n#EXT-X-STREAM-INF:\nx\n#EXT-X-STREAM-INF:BANDWIDTH=\"\ny\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=x\nz";
    assert!(hls::filter(odd, tight).contains("\nx\n"));
    assert!(hls::is_playlist("application/vnd.apple.mpegURL; charset=utf-8"));
    assert!(!hls::is_playlist("text/html"));
}

#[test]
fn limits_follow_device_and_network() {
    let adapt = adapt(&json!({"hls": {"max_bandwidth": {"slow": 800000}, "max_height": {"mobile": 720}}}));
    assert_eq!(
        adapt.hls_limits(DeviceClass::Mobile, NetworkClass::Slow),
        Some(HlsLimits { bandwidth: Some(800_000), height: Some(720) })
    );
    assert_eq!(adapt.hls_limits(DeviceClass::Tv, NetworkClass::Fast), Some(HlsLimits::default()));
    assert!(adapt.uses_device() && adapt.uses_network());
    assert_eq!(shop().hls_limits(DeviceClass::Tv, NetworkClass::Fast), None);
}
