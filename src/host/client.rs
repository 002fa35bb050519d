//! The client's side, by the SDK's handles: `Request` and `Response` keep a copy of each header of their own beside ours, each value in
//! a buffer of 4 kB, and ask the host for more than is used. That is some 4 % of a request's CPU (measured).

use fastly::error::BufferSizeError;
use fastly::handle::{RequestHandle, ResponseHandle};
use fastly::http::{FramingHeadersMode, Url};
use fastly::{Body, Request};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use edge_personalizer::platform::{ClientRequest, Response};
use edge_personalizer::wire::authority;

/// First sizes of buffers in bytes, enough for most requests.
const URL_BUFFER: usize = 1_024;
const METHOD_BUFFER: usize = 16;
/// For the names of all headers together.
const NAMES_BUFFER: usize = 1_024;
/// For the values of one header.
const VALUE_BUFFER: usize = 512;

/// The request as the client sent it; its body is still to come.
pub(super) fn request(request: Request) -> ClientRequest<Body> {
    let (request, body) = request.into_handles();
    let target = target(&request);
    ClientRequest {
        method: whole(METHOD_BUFFER, |size| request.get_method(size)),
        scheme: target.scheme,
        authority: target.authority,
        path: target.path,
        query: target.query,
        headers: headers(&request),
        address: request.client_ip_addr(),
        body: body.map_or_else(Body::new, Body::from),
    }
}

/// The parts of the URL that is asked for.
struct Target {
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
}

/// The SDK stops at a URL that doesn't parse, and has no call for its text. The platform makes it of `Host`, so that is parsed first;
/// where it is none, the target has an empty authority, which is refused with 400.
fn target(request: &RequestHandle) -> Target {
    if !has_host(request) {
        return Target { scheme: "https".to_owned(), authority: String::new(), path: "/".to_owned(), query: None };
    }
    let url = whole(URL_BUFFER, |size| request.get_url(size));
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    Target {
        scheme: url.scheme().to_owned(),
        authority,
        path: url.path().to_owned(),
        query: url.query().map(str::to_owned),
    }
}

/// Whether `Host` is there and can stand in a URL.
fn has_host(request: &RequestHandle) -> bool {
    let host = request.get_header_value(&header::HOST, VALUE_BUFFER).ok().flatten();
    let is_authority = |host: &&str| authority::split(host).is_some() && Url::parse(&format!("http://{host}/")).is_ok();
    host.as_ref().and_then(|host| host.to_str().ok()).filter(is_authority).is_some()
}

fn headers(request: &RequestHandle) -> HeaderMap {
    let names: Vec<HeaderName> = whole(NAMES_BUFFER, |size| request.get_header_names(size).collect());
    let mut headers = HeaderMap::with_capacity(names.len());
    for name in names {
        let values: Vec<HeaderValue> = whole(VALUE_BUFFER, |size| request.get_header_values(&name, size).collect());
        for value in values {
            headers.append(&name, value);
        }
    }
    headers
}

/// What the host says, asked again with a larger buffer until it fits.
fn whole<T>(mut size: usize, mut ask: impl FnMut(usize) -> Result<T, BufferSizeError>) -> T {
    loop {
        match ask(size) {
            Ok(answer) => return answer,
            Err(error) => size = error.needed_buf_size.max(size * 2),
        }
    }
}

/// The head of the answer. `to_head`: the client asked with `HEAD`.
pub(super) fn head(response: &Response<()>, to_head: bool) -> ResponseHandle {
    let mut head = ResponseHandle::new();
    head.set_status(response.status);
    // HEAD and 304 describe a body that isn't there: its length must not be computed from the empty one.
    if to_head || response.status == StatusCode::NOT_MODIFIED {
        head.set_framing_headers_mode(FramingHeadersMode::ManuallyFromHeaders);
    }
    for (name, value) in &response.headers {
        head.append_header(name, value);
    }
    head
}
