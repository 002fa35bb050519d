//! The Compute service: one sandbox serves many requests.

#[cfg(target_arch = "wasm32")]
mod host;

#[cfg(target_arch = "wasm32")]
use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use edge_personalizer::service::{Sandbox, handle};
#[cfg(target_arch = "wasm32")]
use host::{Fastly, FastlySandbox};

/// Requests after which a sandbox gives way to a new one: small leaks stay small.
#[cfg(target_arch = "wasm32")]
const MAX_REQUESTS: usize = 1_000;
/// Age after which it does: a new deployment reaches everyone.
#[cfg(target_arch = "wasm32")]
const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// Heap in MiB after which it does; the platform's limit is 128.
#[cfg(target_arch = "wasm32")]
const MAX_MEMORY_MIB: u32 = 64;
/// How long it waits for the next request: waiting costs memory, not vCPU.
#[cfg(target_arch = "wasm32")]
const IDLE: Duration = Duration::from_secs(30);

#[cfg(target_arch = "wasm32")]
fn main() {
    let host = FastlySandbox::start();
    // The sandbox's memory goes with it: taking rules apart, piece by piece, would be billed and help nobody.
    let mut sandbox = std::mem::ManuallyDrop::new(Sandbox::default());
    let _ = fastly::http::serve::Serve::new()
        .with_max_requests(MAX_REQUESTS)
        .with_max_lifetime(MAX_LIFETIME)
        .with_max_memory(MAX_MEMORY_MIB)
        .with_timeout(IDLE)
        .run_with_context(
            |request, sandbox: &mut Sandbox| {
                let (platform, request) = Fastly::accept(&host, request);
                handle(&platform, sandbox, request);
            },
            &mut *sandbox,
        );
}

/// The service runs on Fastly Compute alone; on the host there is nothing to start.
#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("edge-personalizer runs on Fastly Compute: `cargo xtask serve` starts it locally");
    std::process::exit(2);
}
