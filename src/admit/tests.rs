//! What is admitted, what is refused.

use super::*;
use crate::wire::headers::accepts_encoding;
use http::HeaderName;

fn request(method: &str, path: &str, lines: &[(&str, &[u8])]) -> ClientRequest<()> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path, None),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    ClientRequest {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        scheme: "https".to_owned(),
        authority: "Shop.example:8080".to_owned(),
        path: path.to_owned(),
        query,
        headers,
        address: None,
        body: (),
    }
}

fn refused(request: &ClientRequest<()>) -> u16 {
    admit(&mut request.clone(), 1).unwrap_err().status.as_u16()
}

#[test]
fn over_long_requests_are_refused_with_the_right_status() {
    assert_eq!(refused(&request("GET", &format!("/{}", "a".repeat(9_000)), &[])), 414);
    assert_eq!(refused(&request("GET", "/", &[("x-long", "a".repeat(9_000).as_bytes())])), 431);
    let name: Vec<String> = (0..200).map(|index| format!("x-{index}")).collect();
    let many: Vec<(&str, &[u8])> = name.iter().map(|name| (name.as_str(), &b"1"[..])).collect();
    assert_eq!(refused(&request("GET", "/", &many)), 431);
}

#[test]
fn control_characters_in_a_path_are_refused() {
    for path in ["/a%00b", "/a%0d%0aSet-Cookie:", "/a%0Ab", "/a\tb", "/a?b=\r\nc", "a"] {
        assert_eq!(refused(&request("GET", path, &[])), 400, "{path:?}");
    }
}

#[test]
fn a_query_goes_on_byte_for_byte() {
    for query in ["q=a%0Ab", "q=a%0D%0Ab", "q=%00", "q=50%+discount", "%", "a=%zz&&b=%c3", "q=it's|{\"a\"}^`"] {
        for method in ["GET", "POST"] {
            let head = admit(&mut request(method, &format!("/a?{query}"), &[]), 1).unwrap();
            assert_eq!(head.query.as_deref(), Some(query));
            assert_eq!(head.url(), format!("https://shop.example:8080/a?{query}"));
        }
    }
}

#[test]
fn a_host_may_be_an_address_or_end_with_a_dot() {
    for (sent, host) in
        [("[::1]", "[::1]"), ("[::1]:7878", "[::1]"), ("Shop.example.com.", "shop.example.com"), ("a.:80", "a")]
    {
        let asked = ClientRequest { authority: sent.to_owned(), ..request("GET", "/", &[]) };
        let head = admit(&mut asked.clone(), 1).unwrap();
        assert_eq!((head.host(), head.authority.as_str()), (host, sent.to_ascii_lowercase().as_str()));
    }
}

#[test]
fn a_bad_host_is_refused_with_400() {
    for authority in ["a:65536", ":80", "[::1]:99999", "", "a:b", "[::1", "1.2.3.4.5", "a b", "a/b"] {
        let asked = ClientRequest { authority: authority.to_owned(), ..request("GET", "/", &[]) };
        assert_eq!(refused(&asked), 400, "{authority}");
    }
}

#[test]
fn odd_paths_are_admitted_as_they_are() {
    for path in ["//a", "/a%2Fb", "/a;x=y", "/a//b/", "/%zz", "/%", "/sale/50%+discount", "/%-d", "/%+a"] {
        assert_eq!(admit(&mut request("GET", path, &[]), 1).unwrap().path, path);
    }
}

#[test]
fn a_loop_is_refused_with_508() {
    assert_eq!(refused(&request("GET", "/", &[("CDN-Loop", b"other; v=1, edge-personalizer;x")])), 508);
    assert!(admit(&mut request("GET", "/", &[("CDN-Loop", b"edge-personalizer-2")]), 1).is_ok());
}

#[test]
fn no_spelling_of_a_reserved_path_goes_to_the_origin() {
    for path in [
        "/.edge",
        "/.edge/",
        "/.edge/x",
        "//.edge/sessions",
        "/%2eedge/sessions",
        "/.EDGE/sessions",
        "/.edge;a/sessions",
        "/.edge%2Fsessions",
        "/.edge\\sessions",
        "/./.edge/health",
        "/.edge/sessions/",
    ] {
        assert_eq!(admit(&mut request("POST", path, &[]), 1).unwrap().reserved, Some(Reserved::Unknown), "{path}");
    }
    assert_eq!(admit(&mut request("POST", "/.edge/sessions", &[]), 1).unwrap().reserved, Some(Reserved::Sessions));
    assert_eq!(admit(&mut request("GET", "/.edges", &[]), 1).unwrap().reserved, None);
}

#[test]
fn claims_are_kept_apart_and_the_headers_that_made_them_go() {
    let head =
        admit(&mut request("GET", "/", &[("X-Geo-Region", b"APAC"), ("X-User-ID", b"a"), ("x-user-id", b"b")]), 1)
            .unwrap();
    assert_eq!(head.claims.region.as_deref(), Some("APAC"));
    assert_eq!(head.claims.user_id.as_deref(), Some(""), "two of a kind prove nothing");
    assert!(head.headers.is_empty());
}

#[test]
fn header_values_that_are_not_utf8_go_on() {
    let head = admit(&mut request("GET", "/", &[("X-Name", b"\xff\xfe")]), 1).unwrap();
    assert_eq!(head.headers.get("x-name").unwrap().as_bytes(), b"\xff\xfe");
}

#[test]
fn encodings_are_accepted_by_their_quality() {
    let accepts = |value: &'static [u8], coding| {
        accepts_encoding(&request("GET", "/", &[("accept-encoding", value)]).headers, coding)
    };
    assert!(accepts(b"gzip, br", "br"));
    assert!(accepts(b"GZIP;q=0.5", "gzip"));
    assert!(!accepts(b"gzip;q=0", "gzip"));
    assert!(!accepts(b"deflate", "gzip"));
}

#[test]
fn the_host_is_known_without_its_port() {
    let head = admit(&mut request("GET", "/", &[]), 1).unwrap();
    assert_eq!((head.host(), head.authority.as_str()), ("shop.example", "shop.example:8080"));
}
