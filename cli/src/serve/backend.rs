//! A backend, asked over the network: TLS checked as browsers do, connections kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use edge_personalizer::platform::{BackendRequest, Response, SendError};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body::Body as _;
use hyper_rustls::{ConfigBuilderExt as _, FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use url::Url;

use super::body::{self, HostBody, Pieces};
use super::manifest::Definition;
use crate::output;

/// Fastly's own limits, where the manifest has none.
const CONNECT: Duration = Duration::from_secs(1);
const FIRST_BYTE: Duration = Duration::from_secs(15);
const BETWEEN_BYTES: Duration = Duration::from_secs(10);
/// How long a connection waits for its next request.
const IDLE: Duration = Duration::from_secs(20);

/// A backend.
#[derive(Debug)]
pub struct Backend {
    name: String,
    scheme: Scheme,
    authority: String,
    /// What goes in front of every path; without a slash at its end.
    prefix: String,
    override_host: Option<HeaderValue>,
    first_byte: Duration,
    between_bytes: Duration,
    client: Client<HttpsConnector<HttpConnector>, Pieces>,
    /// Why it gave no answer last, if so.
    complaint: Mutex<Option<String>>,
}

impl Backend {
    /// A backend that nobody has asked yet.
    ///
    /// # Errors
    ///
    /// The URL is none of `http` or `https`, or a certificate can't be used.
    pub fn new(name: &str, definition: &Definition) -> anyhow::Result<Self> {
        let url = &definition.url;
        let wanted = || format!("backend '{name}': expected a URL such as https://www.example.com, but found '{url}'");
        let uri: Uri = url.parse().with_context(wanted)?;
        let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority()) else { bail!(wanted()) };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS
            || authority.as_str().contains('@')
            || uri.query().is_some()
        {
            bail!(wanted());
        }
        let override_host = definition.override_host.as_deref().map(HeaderValue::from_str).transpose();
        let connector = connector(definition, scheme == Scheme::HTTPS).with_context(|| format!("backend '{name}'"))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .set_host(false)
            .build(connector);
        Ok(Self {
            name: name.to_owned(),
            scheme,
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            override_host: override_host.with_context(|| format!("backend '{name}': override_host"))?,
            first_byte: definition.first_byte.unwrap_or(FIRST_BYTE),
            between_bytes: definition.between_bytes.unwrap_or(BETWEEN_BYTES),
            client,
            complaint: Mutex::default(),
        })
    }

    /// Scheme and authority, for people.
    pub fn address(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Asks it.
    ///
    /// # Errors
    ///
    /// There is no answer. It is said on standard error, once as long as the reason stays the same.
    pub async fn send(
        &self,
        request: BackendRequest<HostBody>,
        runtime: Handle,
    ) -> Result<Response<HostBody>, SendError> {
        let decompress = request.decompress_gzip;
        let answer = tokio::time::timeout(self.first_byte, self.client.request(self.request(request)?)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.complain(&reason(&error));
                return Err(if error.is_connect() { SendError::Unreachable } else { SendError::Failed });
            }
            Err(_) => {
                self.complain(&format!("nothing came within {:?}", self.first_byte));
                return Err(SendError::TimedOut);
            }
        };
        self.forget_complaint();
        let (mut head, body) = answer.into_parts();
        let mut body = body::watched(body, self.between_bytes);
        let coding = head.headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
        if decompress && matches!(coding, Some(b"gzip" | b"x-gzip")) {
            head.headers.remove(header::CONTENT_ENCODING);
            head.headers.remove(header::CONTENT_LENGTH);
            body = body::decompressed(body);
        }
        Response { status: head.status, headers: head.headers, body: HostBody::new(body, runtime) }.final_one()
    }

    fn request(&self, request: BackendRequest<HostBody>) -> Result<Request<Pieces>, SendError> {
        let url = Url::parse(&request.url).map_err(|_| SendError::Failed)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path: PathAndQuery =
            format!("{}{}{query}", self.prefix, url.path()).parse().map_err(|_| SendError::Failed)?;
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.as_str()).path_and_query(path);
        let asked = url.host_str().map(|host| match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        });
        let host = self.override_host.clone().or_else(|| HeaderValue::from_str(&asked?).ok());
        let body = request.body.map_or_else(|| body::whole(Vec::new()), HostBody::into_pieces);
        let mut sent = Request::new(body);
        *sent.method_mut() = request.method;
        *sent.uri_mut() = uri.build().map_err(|_| SendError::Failed)?;
        *sent.headers_mut() = request.headers;
        // The connection's own business: the client sees what the body is.
        sent.headers_mut().remove(header::CONTENT_LENGTH);
        sent.headers_mut().remove(header::TRANSFER_ENCODING);
        // A body that isn't there has a length as well, where one is expected (RFC 9110, section 8.6).
        let expects = matches!(*sent.method(), Method::POST | Method::PUT | Method::PATCH);
        if expects && sent.body().is_end_stream() {
            sent.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        sent.headers_mut().insert(header::HOST, host.ok_or(SendError::Failed)?);
        Ok(sent)
    }

    fn complain(&self, reason: &str) {
        let mut last = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(reason) {
            output::line(&format!("No answer from the backend '{}' ({}): {reason}", self.name, self.address()));
            *last = Some(reason.to_owned());
        }
    }

    fn forget_complaint(&self) {
        let mut last = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if last.take().is_some() {
            output::line(&format!("The backend '{}' ({}) answers again.", self.name, self.address()));
        }
    }
}

/// The innermost cause: the others say that there was an error.
fn reason(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn connector(definition: &Definition, encrypted: bool) -> anyhow::Result<HttpsConnector<HttpConnector>> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    http.set_nodelay(true);
    let builder =
        HttpsConnectorBuilder::new().with_tls_config(tls(&definition.authorities, encrypted)?).https_or_http();
    let builder = match &definition.certificate_host {
        Some(host) => {
            let name = ServerName::try_from(host.clone())
                .with_context(|| format!("expected a host's name as cert_host, but found '{host}'"))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(builder.enable_http1().wrap_connector(http))
}

/// Whose certificates are believed: the authorities that were named, or those of this machine.
fn tls(authorities: &[String], encrypted: bool) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    if encrypted && authorities.is_empty() {
        let builder = builder.with_native_roots().context(
            "expected certificates of authorities on this machine (Debian: apt-get install ca-certificates)",
        )?;
        return Ok(builder.with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    for pem in authorities {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.context("ca_certificate: expected PEM")?).context("ca_certificate")?;
        }
    }
    if encrypted && roots.is_empty() {
        bail!("ca_certificate: expected at least one certificate in PEM, but found none");
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
