//! The real site's name: its origin and its rules know that one, the browser knows this machine's. Where the two differ, what names the
//! site is translated at this door, in heads alone: links in pages stay as they are.

use edge_personalizer::platform::ClientRequest;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of a request that name where it comes from.
const FROM: [HeaderName; 2] = [header::ORIGIN, header::REFERER];

/// The site that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port.
    pub authority: String,
}

impl Site {
    fn root(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Makes a request to this machine one to the site.
    pub fn arrive<B>(&self, request: &mut ClientRequest<B>) {
        let local = format!("{}://{}", request.scheme, request.authority);
        for name in FROM {
            let own = request.headers.get(&name).and_then(|value| value.to_str().ok()?.strip_prefix(&local));
            let own = own.filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(value) = own.and_then(|rest| HeaderValue::from_str(&format!("{}{rest}", self.root())).ok()) {
                request.headers.insert(name, value);
            }
        }
        if let Ok(host) = HeaderValue::from_str(&self.authority) {
            request.headers.insert(header::HOST, host);
        }
        request.scheme.clone_from(&self.scheme);
        request.authority.clone_from(&self.authority);
    }

    /// Makes an answer of the site one that the browser can use here: redirects lead to this machine, and cookies are kept.
    pub fn leave(&self, headers: &mut HeaderMap) {
        let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        if let Some(path) = location.and_then(|location| self.path_of(location)) {
            headers.insert(header::LOCATION, path);
        }
        let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().map(kept).collect();
        headers.remove(header::SET_COOKIE);
        headers.extend(cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie)));
    }

    /// The path of a URL of the site, by either scheme.
    fn path_of(&self, location: &str) -> Option<HeaderValue> {
        let rest = ["https://", "http://", "//"].iter().find_map(|start| location.strip_prefix(start))?;
        let path = rest.strip_prefix(&self.authority)?;
        match path.chars().next() {
            None => Some(HeaderValue::from_static("/")),
            Some('/') if !path.starts_with("//") => HeaderValue::from_str(path).ok(),
            Some('?' | '#') => HeaderValue::from_str(&format!("/{path}")).ok(),
            _ => None,
        }
    }
}

/// A cookie without what would have the browser refuse it from this machine, which is another domain, and not encrypted.
fn kept(cookie: &HeaderValue) -> HeaderValue {
    let Ok(text) = cookie.to_str() else { return cookie.clone() };
    let is_prefixed = text.trim_start().starts_with("__");
    let refused = |attribute: &str| {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "domain" => true,
            // Browsers take a prefixed cookie of this machine with `Secure` alone.
            "secure" => !is_prefixed,
            "samesite" => !is_prefixed && value.trim().eq_ignore_ascii_case("none"),
            _ => false,
        }
    };
    let parts = text.split(';').enumerate().filter(|(index, part)| *index == 0 || !refused(part));
    let parts: Vec<&str> = parts.map(|(_, part)| part).collect();
    HeaderValue::from_str(&parts.join(";")).unwrap_or_else(|_| cookie.clone())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn site() -> Site {
        Site { scheme: "https".to_owned(), authority: "www.shop.example".to_owned() }
    }

    #[test]
    fn a_request_is_one_to_the_site() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:7878"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://127.0.0.1:7878"));
        headers.insert(header::REFERER, HeaderValue::from_static("http://127.0.0.1:78789/x"));
        let mut request = ClientRequest {
            method: Method::POST,
            scheme: "http".to_owned(),
            authority: "127.0.0.1:7878".to_owned(),
            path: "/cart".to_owned(),
            query: None,
            headers,
            address: None,
            body: (),
        };
        site().arrive(&mut request);
        assert_eq!((request.scheme.as_str(), request.authority.as_str()), ("https", "www.shop.example"));
        assert_eq!(request.headers[header::HOST], "www.shop.example");
        assert_eq!(request.headers[header::ORIGIN], "https://www.shop.example");
        assert_eq!(request.headers[header::REFERER], "http://127.0.0.1:78789/x", "another port is another site");
    }

    #[test]
    fn a_redirect_to_the_site_leads_here_and_others_stay() {
        for (location, expected) in [
            ("https://www.shop.example/login?a=1", "/login?a=1"),
            ("http://www.shop.example", "/"),
            ("//www.shop.example?x", "/?x"),
            ("https://www.shop.example.evil.example/", "https://www.shop.example.evil.example/"),
            ("https://www.shop.example//evil.example/", "https://www.shop.example//evil.example/"),
            ("https://pay.example/", "https://pay.example/"),
            ("/cart", "/cart"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_str(location).unwrap());
            site().leave(&mut headers);
            assert_eq!(headers[header::LOCATION], expected, "{location}");
        }
    }

    #[test]
    fn a_browser_keeps_the_sites_cookies() {
        for (cookie, expected) in [
            ("a=1; Path=/; Domain=.shop.example; Secure; SameSite=None", "a=1; Path=/"),
            ("secure=1; SameSite=Lax", "secure=1; SameSite=Lax"),
            ("__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/; Secure"),
        ] {
            assert_eq!(kept(&HeaderValue::from_static(cookie)), expected);
        }
    }
}
