//! Names that servers, frameworks and other networks' edges write, and that what stands behind them believes: an application
//! that once stood there still reads them. From a visitor each is a forgery, so they end here. Rules may set them.
//!
//! Both tables are sorted. What browsers and apps send with good reason stays: `X-Requested-With`, `X-CSRF-Token`,
//! `X-Middleware-Prefetch` (the router of Next.js), `X-Amzn-Trace-Id` and other traces, keys such as `CF-Access-Client-Id`,
//! `X-Vercel-Protection-Bypass` or `Fly-Force-Instance-Id`, which prove or choose something but say nothing of who asks.

/// Whole names.
const NAMES: [&str; 50] = [
    // Where else it isn't said: the visitor's address, as proxies and networks call it.
    "ali-cdn-real-ip",
    // Internet Information Services: the path before rewriting.
    "base-url",
    "cdn-client-ip",
    "cdn-src-ip",
    // Cloudflare: address, scheme, and the worker that asks. Keys of its clients (`CF-Access-Client-Id`) stay.
    "cf-access-jwt-assertion",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-connecting-o2o",
    "cf-ew-via",
    "cf-pseudo-ipv4",
    "cf-ray",
    "cf-visitor",
    "cf-worker",
    // RFC 9440: the certificate that a client proved.
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "do-connecting-ip",
    // Fly.io. Which instance answers (`Fly-Prefer-Region`) may be a client's choice.
    "fly-client-ip",
    "fly-region",
    "forwarded",
    // Microsoft's proxies: the scheme was https.
    "front-end-https",
    "http-method-override",
    "https",
    "incap-client-ip",
    // "httpoxy": CGI makes HTTP_PROXY of it, and HTTP libraries send their own requests there.
    "proxy",
    "proxy-client-ip",
    "request-uri",
    "script-name",
    "true-client-ip",
    "unencoded-url",
    "x-client-addr",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    // Azure Front Door's own probes.
    "x-fd-healthprobe",
    "x-forwarded",
    "x-goog-iap-jwt-assertion",
    // Vercel, Next.js: which page is meant.
    "x-matched-path",
    "x-method",
    "x-nf-client-connection-ip",
    "x-proxy-url",
    "x-realip",
    "x-request-uri",
    "x-scheme",
    "x-script-name",
    "x-sucuri-clientip",
    "x-url-scheme",
    "x-waws-unencoded-url",
];

/// What names start with. None starts with another.
const PREFIXES: [&str; 51] = [
    "akamai-",
    "cf-access-authenticated-",
    "cf-ip",
    "cloudfront-",
    "fly-forwarded-",
    "forwarded-",
    // Proxies that sign visitors in: who they are (`Remote-User`, `X-Auth-Request-Email`, `X-WebAuth-User`, …).
    "remote-",
    // TLS that ended elsewhere: a certificate, and whether it was valid.
    "ssl-client-",
    "tailscale-user-",
    // WebLogic.
    "wl-proxy-",
    // nginx: files and paths within. Rack::Sendfile reads `X-Accel-Mapping`.
    "x-accel-",
    "x-akamai-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-amzn-tls-",
    "x-appengine-",
    "x-arr-",
    "x-auth-request-",
    "x-authenticated-",
    "x-authentik-",
    "x-azure-",
    "x-backend",
    // Kong.
    "x-consumer-",
    "x-credential-",
    "x-endpoint-api-userinfo",
    "x-envoy-",
    "x-goog-authenticated-user-",
    // Another host, path or method: X-HTTP-Host-Override, X-HTTP-Method-Override, …
    "x-host-",
    "x-http-host",
    "x-http-method",
    "x-http-path",
    // Next.js, from one of its servers to the next.
    "x-invoke-",
    "x-method-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-now-",
    "x-original-",
    "x-originating-",
    "x-override-",
    "x-proxyuser-",
    "x-real-",
    "x-remote-",
    "x-rewrite-",
    // Rack::Sendfile: which file to hand out, and how.
    "x-sendfile",
    "x-ssl-",
    "x-vercel-forwarded-",
    "x-vercel-ip-",
    "x-vercel-oidc-",
    "x-vercel-proxied-",
    "x-vercel-proxy-",
    "x-webauth-",
];

/// Whether an origin may believe a header that only something in front of it should write. `name` is in lower case with `-`
/// between its words.
pub(super) fn is_trusted(name: &str) -> bool {
    // Next.js decides by these whether its middleware ran; a browser's router sends the one that asks for data ahead of time.
    let is_middleware = || name.starts_with("x-middleware-") && name != "x-middleware-prefetch";
    // The last prefix not behind `name` is the only one that it can start with.
    let before = PREFIXES.partition_point(|prefix| *prefix <= name);
    let starts = before.checked_sub(1).and_then(|at| PREFIXES.get(at)).is_some_and(|prefix| name.starts_with(prefix));
    starts || NAMES.binary_search(&name).is_ok() || is_middleware()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_no_entry_stands_twice() {
        assert!(NAMES.is_sorted_by(|one, next| one < next), "{NAMES:?}");
        assert!(PREFIXES.is_sorted_by(|one, next| one < next && !next.starts_with(one)), "{PREFIXES:?}");
        assert!(NAMES.iter().all(|name| !PREFIXES.iter().any(|prefix| name.starts_with(prefix))));
    }

    #[test]
    fn every_family_is_found() {
        for name in NAMES {
            assert!(is_trusted(name), "{name}");
        }
        for prefix in PREFIXES {
            assert!(is_trusted(&format!("{prefix}x")), "{prefix}");
        }
        for name in [
            "x-realip",
            "x-http-host-override",
            "front-end-https",
            "x-original-uri",
            "proxy",
            "x-sendfile-type",
            "x-middleware-subrequest",
            "x-accel-mapping",
            "remote-user",
            "cf-ipcountry",
        ] {
            assert!(is_trusted(name), "{name}");
        }
    }

    #[test]
    fn what_clients_send_with_good_reason_stays() {
        for name in [
            "accept",
            "accept-language",
            "authorization",
            "cf-access-client-id",
            "cf-access-client-secret",
            "content-type",
            "cookie",
            "destination",
            "dnt",
            "fly-force-instance-id",
            "if-none-match",
            "next-router-state-tree",
            "origin",
            "overwrite",
            "priority",
            "range",
            "referer",
            "rsc",
            "sec-fetch-site",
            "sec-websocket-key",
            "upgrade-insecure-requests",
            "user-agent",
            "x-amzn-trace-id",
            "x-api-key",
            "x-b3-traceid",
            "x-client-data",
            "x-client-version",
            "x-cloud-trace-context",
            "x-csrf-token",
            "x-middleware-prefetch",
            "x-nextjs-data",
            "x-requested-with",
            "x-vercel-protection-bypass",
            "x-xsrf-token",
        ] {
            assert!(!is_trusted(name), "{name}");
        }
    }
}
