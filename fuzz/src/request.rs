//! Any request through the whole service: no panic, one answer, never an error of the edge's own while the origin is well, and
//! nothing that the edge alone says comes from the client.
//!
//! The input is a request as it stands on the wire: a line, header lines, an empty line, a body.

use std::net::{IpAddr, Ipv4Addr};

use edge_personalizer::platform::memory::{Memory, MemoryBody};
use edge_personalizer::platform::{ClientRequest, Geo};
use edge_personalizer::service::{Sandbox, handle};
use edge_personalizer::wire::headers::is_reserved;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const RULES: [(&str, &str); 4] = [
    (
        "settings",
        r#"{"languages":["en","fr"],"consent":{"cookie":{"name":"consent","value":"yes"},"tcf":{}},"identity":{"jwt":{"algorithms":["HS256"],"cookie":"jwt","bearer":true}}}"#,
    ),
    ("regions", r#"{"regions":[{"id":"EU","slug":"europe","when":{"continent":"EU"}}]}"#),
    (
        "features",
        r#"{"features":{"f":{"defaultValue":"a","rules":[{"condition":{"query.a":"1"},"force":"q"},{"key":"e","variations":["a","b"],"hashVersion":2}]}}}"#,
    ),
    (
        "routes",
        r#"{"routes":[
      {"id":"s","path":"/s/{a}/*","rewrite":{"path":"/x/{path.a}/{region.slug}/{path.rest}","set_query":{"l":"{language|en}","f":"{feature.f}"},"remove_query":["utm_*"]},
       "request_headers":{"set":{"X-A":"{path.a} {deviceType} {network}"}},"cache":{"ttl":9,"key_headers":["x-tier"],"key_cookies":["c"]},
       "adapt":{"image":{"widths":[320,640],"quality":{"slow":40},"formats":["webp"]}}},
      {"id":"p","path":"/p/*","features":["f"],"session":{"header":["cart"]},"request_headers":{"set":{"X-A":"{user.id|none}"}},"html":[{"select":"h1","inner":"{{ feature.f }}"}]},
      {"id":"g","path":"/g/{to}","action":"redirect","redirect":{"location":"/{region.slug}/{path.to}"}},
      {"id":"r","path":"/r/{x}","action":"respond","respond":{"headers":{"X-A":"{path.x}","content-type":"text/html"},"body":"<b>{path.x}</b>"}}]}"#,
    ),
];

fn parse(data: &[u8]) -> Option<ClientRequest<MemoryBody>> {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let (head, body) = (&data[..end], data.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut words = std::str::from_utf8(lines.next()?).ok()?.splitn(3, ' ');
    let (method, target) = (Method::from_bytes(words.next()?.as_bytes()).ok()?, words.next()?);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
    let mut headers = HeaderMap::new();
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        // The platform takes no more than this many, either.
        if headers.try_append(name, HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?).is_err() {
            return None;
        }
    }
    Some(ClientRequest {
        method,
        scheme: "https".to_owned(),
        authority: words.next().unwrap_or("shop.example").to_owned(),
        path: path.to_owned(),
        query,
        headers,
        address: Some(HERE),
        body: body.to_vec().into(),
    })
}

/// One input.
pub fn run(data: &[u8]) {
    let Some(request) = parse(data) else { return };
    let claimed: Vec<HeaderValue> = request
        .headers
        .iter()
        .filter(|(name, value)| is_reserved(name) && value.len() > 3)
        .map(|(_, value)| value.clone())
        .collect();
    let authority = request.authority.to_ascii_lowercase();
    let host = Memory::with_origin(|_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/html"));
        Ok((StatusCode::OK, headers, b"<h1>a</h1>".to_vec()))
    });
    for (name, text) in RULES {
        host.config.borrow_mut().insert(name.to_owned(), text.to_owned());
    }
    host.secrets.borrow_mut().insert("identity".to_owned(), b"a-key-of-thirty-two-bytes-or-more".to_vec());
    host.geo.borrow_mut().insert(HERE, Geo { country: Some("FR".to_owned()), continent: Some("EU"), ..Geo::default() });
    handle(&host, &mut Sandbox::default(), request);
    let received = host.received.borrow();
    assert_eq!(received.len(), 1, "one answer");
    assert!(received[0].status.as_u16() < 500 || received[0].status == 508, "{}", received[0].status);
    for asked in host.asked.borrow().iter() {
        for name in [
            "x-geo-region",
            "edge-variant",
            "x-user-id",
            "edge-visitor-id",
            "x-device-type",
            "x-network",
            "x-request-id",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "forwarded",
        ] {
            for value in asked.headers.get_all(name) {
                // The edge may say the same of itself: a region or class that is true.
                let own = ["EU", "192.0.2.1", "mobile", "tablet", "desktop", "tv", "bot", "slow", "medium", "fast"];
                let forwarded = |text: &str| text.replace('"', "").ends_with(&format!("host={authority};proto=https"));
                let is_told = |text: &str| text == authority || text == "https" || forwarded(text);
                let is_own = value.to_str().is_ok_and(|text| own.contains(&text) || is_told(text));
                assert!(is_own || !claimed.contains(value), "{name}: {value:?}");
            }
        }
    }
}
