use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn version(name: &str) -> Version {
    Version::new([name.as_bytes()])
}

fn etag(origin: &str, version: &Version) -> Option<String> {
    let mut answer = headers(&[("etag", origin)]);
    fit_response(&mut answer, version);
    answer.get("etag").map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
}

fn asked(if_none_match: &[&str], version: &Version) -> Option<String> {
    let mut request = HeaderMap::new();
    for line in if_none_match {
        request.append("if-none-match", HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    prepare_request(&Method::GET, &mut request, version);
    request.get("if-none-match").map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
}

/// Promise 11: the matrix of versions, origins and ways to send them; a 304 is possible only for the same version.
#[test]
fn only_a_tag_of_this_version_reaches_the_origin() {
    let origins = ["\"a\"", "W/\"a\"", "\"\"", "\"a,b\"", "\"ep1-x\"", "\"w-\"", "\"\u{e9}\"", "\"W/\""];
    let versions = [version("a"), version("b"), Version::new([&b"a"[..], b""]), Version::new([&b""[..], b"a"])];
    for origin in origins {
        for mine in &versions {
            let derived = etag(origin, mine).unwrap();
            assert!(derived.starts_with("W/\""), "{derived}");
            let strong = derived.trim_start_matches("W/").to_owned();
            for other in &versions {
                for sent in
                    [&[&*derived][..], &[&strong], &["\"x\", ", &derived], &[&format!("\"x\",{derived} , W/\"y\"")]]
                {
                    let reached = asked(sent, other);
                    assert_eq!(reached.as_deref(), (mine == other).then_some(origin), "{origin} {sent:?}");
                }
            }
        }
        // The origin's own, from before the page was personalized or by another way.
        assert_eq!(asked(&[origin], &versions[0]), None);
    }
    assert_eq!(asked(&["*"], &versions[0]), None);
    assert_eq!(asked(&["a", "\"unended", "W/", ""], &versions[0]), None);
    let (one, two) = (etag("\"1\"", &versions[0]).unwrap(), etag("W/\"2\"", &versions[0]).unwrap());
    assert_eq!(asked(&[&one, &two], &versions[0]).as_deref(), Some("\"1\", W/\"2\""));
}

#[test]
fn a_tag_that_is_none_is_dropped() {
    for origin in ["a", "\"a", "", "W/a", "\"a b\"", "\"a\"b\"", &format!("\"{}\"", "x".repeat(600))] {
        assert_eq!(etag(origin, &version("a")), None, "{origin}");
    }
}

#[test]
fn what_describes_the_old_bytes_goes() {
    let names =
        ["content-length", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges", "last-modified"];
    let mut answer = headers(&names.map(|name| (name, "x")));
    answer.append("content-length", HeaderValue::from_static("y"));
    answer.insert("content-type", HeaderValue::from_static("text/html"));
    fit_response(&mut answer, &version("a"));
    assert_eq!(answer, headers(&[("content-type", "text/html")]));

    let mut request = headers(&[
        ("range", "bytes=0-1"),
        ("if-range", "\"a\""),
        ("if-modified-since", "x"),
        ("if-match", "\"a\""),
        ("accept-encoding", "br"),
        ("accept", "*/*"),
    ]);
    prepare_request(&Method::GET, &mut request, &version("a"));
    assert_eq!(request, headers(&[("accept-encoding", "gzip"), ("accept", "*/*")]));

    let mut not_modified = headers(&[("etag", "\"a\""), ("last-modified", "x")]);
    fit_not_modified(&mut not_modified, &version("a"));
    assert_eq!(not_modified.get("etag").unwrap().to_str().unwrap(), etag("\"a\"", &version("a")).unwrap());
    assert_eq!(not_modified.len(), 1);
}

#[test]
fn whole_unencoded_html_and_json_may_be_rewritten() {
    let kind = |pairs: &[(&'static str, &str)]| rewritable(&Method::GET, StatusCode::OK, &headers(pairs));
    for content_type in ["text/html", "Text/HTML; Charset=\"UTF-8\"", "text/html;charset=iso-8859-1", "text/html;x=y"] {
        assert!(matches!(kind(&[("content-type", content_type)]), Ok(Rewritable::Html(_))), "{content_type}");
    }
    for content_type in ["application/json", "application/vnd.api+json; charset=utf-8"] {
        assert_eq!(kind(&[("content-type", content_type)]), Ok(Rewritable::Json), "{content_type}");
    }
    for content_type in ["text/plain", "application/xhtml+xml", "text/html2", "+json", "text/event-stream", ""] {
        assert_eq!(kind(&[("content-type", content_type)]), Err(LeftAlone::ContentType), "{content_type}");
    }
    assert_eq!(kind(&[]), Err(LeftAlone::ContentType));
    for charset in ["utf-16", "iso-2022-jp", "nonsense"] {
        assert_eq!(
            kind(&[("content-type", &format!("text/html; charset={charset}"))]),
            Err(LeftAlone::Charset),
            "{charset}"
        );
    }
    let html = ("content-type", "text/html");
    assert!(kind(&[html, ("content-encoding", "Identity")]).is_ok());
    for encoding in ["br", "gzip", "zstd", "identity, br", ""] {
        assert_eq!(kind(&[html, ("content-encoding", encoding)]), Err(LeftAlone::Encoding), "{encoding}");
    }
    assert_eq!(kind(&[html, ("cache-control", "max-age=1, No-Transform")]), Err(LeftAlone::Encoding));
    assert_eq!(kind(&[html, ("content-range", "bytes 0-1/2")]), Err(LeftAlone::Status));
    for method in [Method::HEAD, Method::OPTIONS, Method::CONNECT] {
        assert_eq!(rewritable(&method, StatusCode::OK, &headers(&[html])), Err(LeftAlone::Method), "{method}");
    }
    for status in [204, 206, 304, 301, 404, 500] {
        assert_eq!(
            rewritable(&Method::GET, StatusCode::from_u16(status).unwrap(), &headers(&[html])),
            Err(LeftAlone::Status),
            "{status}"
        );
    }
}

#[test]
fn the_nonce_comes_from_the_policy() {
    let policy = |text: &str| csp_nonce(&headers(&[("content-security-policy", text)])).map(str::to_owned);
    assert_eq!(
        policy("default-src 'self'; script-src 'nonce-aB+/9_-==' 'strict-dynamic'").as_deref(),
        Some("aB+/9_-==")
    );
    assert_eq!(policy("script-src 'nonce-'"), None);
    assert_eq!(policy("script-src 'self'"), None);
    assert_eq!(csp_nonce(&HeaderMap::new()), None);
}

/// Only what says which scripts run gives a nonce.
#[test]
fn a_nonce_comes_from_the_directive_for_scripts_alone() {
    for (policy, nonce) in [
        ("script-src 'self' 'nonce-abc'", Some("abc")),
        ("default-src 'nonce-d'; script-src-elem 'nonce-e'; script-src 'nonce-s'", Some("e")),
        ("DEFAULT-SRC 'self' 'nonce-d';img-src *", Some("d")),
        ("report-uri /csp?nonce-evil", None),
        ("report-uri 'nonce-evil'; default-src 'self'", None),
        ("report-uri /x script-src 'nonce-evil'", None),
        ("script-src 'self'; report-uri 'nonce-evil'", None),
        ("style-src 'nonce-style'", None),
        ("img-src *, script-src 'nonce-second'", Some("second")),
        ("script-src https://cdn.example/nonce-evil", None),
        ("script-src &#39;self&#39; &#39;nonce-r&#39;; report-uri nonce-evil", Some("r")),
    ] {
        assert_eq!(csp_nonce(&headers(&[("content-security-policy", policy)])), nonce, "{policy}");
    }
}
