//! The bare pass-through service: what comes is sent to the origin, and nothing else.
//!
//! With the feature `reused` a sandbox serves one request after the other, as ours does; else each request has its own.

use fastly::Request;

#[cfg(not(feature = "reused"))]
#[fastly::main]
fn main(request: Request) -> Result<fastly::Response, fastly::Error> {
    Ok(request.send("origin")?)
}

#[cfg(feature = "reused")]
fn main() {
    fastly::http::serve::Serve::new().run(|request: Request| match request.send("origin") {
        Ok(response) => response.send_to_client(),
        Err(_) => fastly::Response::from_status(502).send_to_client(),
    });
}
