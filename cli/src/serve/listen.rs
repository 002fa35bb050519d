//! The server: HTTP/1.1 on a port of this machine.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_personalizer::platform::ClientRequest;
use edge_personalizer::wire::authority;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use url::Url;

use super::body::{self, HostBody, Pieces};
use super::host::Answer;
use super::page;
use super::picked::Picked;
use super::site::Site;
use super::workers::{Job, Workers};

/// Requests that are served at once; more of them wait.
const AT_ONCE: usize = 256;
/// How long a client may take for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long it may pause in a body.
const PAUSE_LIMIT: Duration = Duration::from_secs(60);
/// More header lines than the service takes: it refuses them itself, with an answer that says so.
const MAX_HEADERS: usize = 1_000;
/// How long answers under way are waited for at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What every connection needs.
pub struct Door {
    workers: Workers,
    site: Option<Site>,
    places: Semaphore,
    runtime: Handle,
}

impl Door {
    /// Requests go to `workers`, as ones to `site` where there is one.
    pub fn new(workers: Workers, site: Option<Site>, runtime: Handle) -> Self {
        Self { workers, site, places: Semaphore::new(AT_ONCE), runtime }
    }

    /// Serves until `stop` comes; then answers under way have a moment to end.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let door = self;
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            let Ok((stream, peer)) = accepted else {
                // One connection's error, or no files are left for a moment.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            // Without it an answer is only slower.
            let _ = stream.set_nodelay(true);
            let door = Arc::clone(&door);
            let service = service_fn(move |request| {
                let door = Arc::clone(&door);
                async move { Ok::<_, Infallible>(door.answer(request, peer).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_headers(MAX_HEADERS);
            let watched = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // Its error is the client's: it went away, or spoke no HTTP.
                let _ = watched.await;
            });
        }
        let _ = tokio::time::timeout(LAST_WORDS, graceful.shutdown()).await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let (path, query) = (request.uri().path(), request.uri().query());
        if path.starts_with(page::PATH)
            && let Some(page) = page::answer(path, query, request.headers(), &self.workers.visitor_cookie())
        {
            return page.map(body::whole);
        }
        let (request, picked) = self.received(request, peer);
        self.ask(request, picked).await
    }

    /// The answer to a visitor's request.
    pub async fn ask(&self, mut request: ClientRequest<HostBody>, picked: Picked) -> Answer {
        if let Some(site) = &self.site {
            site.arrive(&mut request);
        }
        // It is never closed.
        let _place = self.places.acquire().await;
        let (client, answer) = oneshot::channel();
        self.workers.serve(Job { request, picked, client });
        match answer.await {
            Ok(mut answer) => {
                if let Some(site) = &self.site {
                    site.leave(answer.headers_mut());
                }
                answer
            }
            Err(_) => broken(),
        }
    }

    /// The request as the service takes it, and whom its sender wants to be.
    fn received(&self, request: Request<Incoming>, peer: SocketAddr) -> (ClientRequest<HostBody>, Picked) {
        let (mut head, body) = request.into_parts();
        let picked = Picked::take(&mut head.headers);
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let url = host(&head.headers).and_then(|host| Url::parse(&format!("http://{host}{target}")).ok());
        let body = HostBody::new(body::watched(body, PAUSE_LIMIT), self.runtime.clone());
        let request = ClientRequest {
            method: head.method,
            scheme: "http".to_owned(),
            // Without one it is refused with 400.
            authority: url.as_ref().map(authority_of).unwrap_or_default(),
            path: url.as_ref().map_or("/", Url::path).to_owned(),
            query: url.as_ref().and_then(Url::query).map(str::to_owned),
            headers: head.headers,
            address: Some(peer.ip()),
            body,
        };
        (request, picked)
    }
}

/// `Host`, where it can stand in a URL.
fn host(headers: &http::HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    authority::split(host).is_some().then_some(host)
}

fn authority_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// What a mistake of the service itself looks like.
fn broken() -> Answer {
    let body: Pieces = body::whole(Bytes::from_static(b"The local edge failed: its terminal says why.\n"));
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
