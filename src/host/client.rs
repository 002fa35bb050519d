//! The client's side, by the SDK's handles: `Request` and `Response` keep a copy of each header of their own beside ours, each value in
//! a buffer of 4 kB, and ask the host for more than is used. That is some 4 % of a request's CPU (measured).

use fastly::error::BufferSizeError;
use fastly::handle::{RequestHandle, ResponseHandle};
use fastly::http::FramingHeadersMode;
use fastly::{Body, Request};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use edge_personalizer::platform::{ClientRequest, Response};

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
    let url = whole(URL_BUFFER, |size| request.get_url(size));
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    ClientRequest {
        method: whole(METHOD_BUFFER, |size| request.get_method(size)),
        scheme: url.scheme().to_owned(),
        authority,
        path: url.path().to_owned(),
        query: url.query().map(str::to_owned),
        headers: headers(&request),
        address: request.client_ip_addr(),
        body: body.map_or_else(Body::new, Body::from),
    }
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
