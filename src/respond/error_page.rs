//! Pages that the edge makes itself: plain, with the request's id, nothing of the inside.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::platform::SendError;

/// The status for a backend that gave no answer.
pub fn status_for(error: SendError) -> StatusCode {
    match error {
        SendError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        SendError::NoBackend | SendError::Unreachable | SendError::Failed => StatusCode::BAD_GATEWAY,
    }
}

/// Head and body of a page for `status`; never stored.
pub fn page(status: StatusCode, request_id: &str) -> (HeaderMap, String) {
    let reason = status.canonical_reason().unwrap_or("Error");
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    let code = status.as_u16();
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{code} {reason}</title></head>\n\
         <body><h1>{reason}</h1><p>Please try again in a moment.</p><p>Request <code>{request_id}</code></p></body></html>\n"
    );
    (headers, body)
}
