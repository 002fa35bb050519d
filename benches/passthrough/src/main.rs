//! The bare pass-through service: one request a sandbox, sent to the origin, and nothing else.

use fastly::{Error, Request, Response};

#[fastly::main]
fn main(request: Request) -> Result<Response, Error> {
    Ok(request.send("origin")?)
}
