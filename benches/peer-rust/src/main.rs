//! What `cargo xtask bench` compares the service with: Eppo's evaluator in an otherwise bare service, a sandbox for many requests. It decides
//! three flags of a hundred by a value of the KV store, and passes the request on.

use std::sync::Arc;

use eppo_core::configuration_store::ConfigurationStore;
use eppo_core::eval::{Evaluator, EvaluatorConfig};
use eppo_core::ufc::UniversalFlagConfig;
use eppo_core::{AttributeValue, Attributes, Configuration, SdkMetadata, Str};
use fastly::http::serve::Serve;
use fastly::{KVStore, Request, Response};

const SDK: SdkMetadata = SdkMetadata { name: "peer-rust", version: "0.1.0" };
const FLAGS: [&str; 3] = ["f0", "f1", "f2"];

fn main() {
    // Read once in a sandbox, as ours reads its rules.
    let mut evaluator = None;
    Serve::new().run(move |request: Request| {
        match evaluator.get_or_insert_with(read) {
            Some(evaluator) => answer(evaluator, request),
            None => Response::from_status(500),
        }
        .send_to_client();
    });
}

fn read() -> Option<Evaluator> {
    let flags = KVStore::open("rules").ok()??.lookup("eppo").ok()?.take_body_bytes();
    let flags = UniversalFlagConfig::from_json(SDK, flags).ok()?;
    let store = Arc::new(ConfigurationStore::new());
    store.set_configuration(Arc::new(Configuration::from_server_response(flags, None)));
    Some(Evaluator::new(EvaluatorConfig { configuration_store: store, sdk_metadata: SDK }))
}

fn answer(evaluator: &Evaluator, mut request: Request) -> Response {
    let country = request.get_client_ip_addr().and_then(fastly::geo::geo_lookup);
    let mut attributes = Attributes::new();
    if let Some(place) = country {
        attributes.insert("country".into(), AttributeValue::categorical(place.country_code()));
    }
    let (visitor, attributes) = (Str::new(visitor_of(&request)), Arc::new(attributes));
    let arm = |flag: &str| {
        let assigned = evaluator.get_assignment(flag, &visitor, &attributes, None).ok().flatten();
        let value = assigned.and_then(|assigned| Some(assigned.value.as_str()?.to_owned()));
        format!("{flag}={}", value.unwrap_or_default())
    };
    let arms = FLAGS.map(arm).join(", ");
    request.set_header("edge-variant", &arms);
    match request.send("origin") {
        // The bench reads it, to see that something was decided.
        Ok(response) => response.with_header("edge-variant", arms),
        Err(_) => Response::from_status(502),
    }
}

fn visitor_of(request: &Request) -> String {
    let cookies = request.get_header_str("cookie").unwrap_or_default();
    let found = cookies.split("; ").find_map(|pair| pair.strip_prefix("ep_vid="));
    found.unwrap_or_default().to_owned()
}
