//! The page `/.local/`, on which somebody picks whom the browser is to be.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use url::form_urlencoded;

use super::picked::{COOKIE, DEVICES, Picked};
use crate::countries;

/// The page's path, and what is below it: no site has it.
const PATH: &str = "/.local";
/// Where its form leads.
const BE: &str = "/.local/be";

/// The answer to a request for the page; `None` where something else is asked for.
pub fn answer(path: &str, query: Option<&str>, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let below = path.strip_prefix(PATH)?;
    match below {
        "" | "/" => Some(page(&Picked::take(&mut headers.clone()))),
        _ if path == BE => Some(be(query.unwrap_or_default(), headers)),
        _ if below.starts_with('/') => Some(plain(StatusCode::NOT_FOUND, "Not found. The page is /.local/\n")),
        _ => None,
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(text.as_bytes()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Sets the cookie, forgets the visitor where that is wanted, and leads on.
fn be(form: &str, headers: &HeaderMap) -> Response<Bytes> {
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(form.as_bytes());
        pairs.find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
    };
    let mut answer = plain(StatusCode::SEE_OTHER, "");
    let picked = Picked::read(form).form();
    let age = if picked.is_empty() { "; Max-Age=0" } else { "" };
    let mut cookies = vec![format!("{COOKIE}={picked}; Path=/; HttpOnly; SameSite=Lax{age}")];
    if value("forget").is_some() {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let names = lines.flat_map(|line| line.split(';')).filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
        let others = names.filter(|name| *name != COOKIE);
        cookies.extend(others.map(|name| {
            // Browsers take the prefixed ones with `Secure` alone.
            let secure = if name.starts_with("__") { "; Secure" } else { "" };
            format!("{name}=; Path=/; Max-Age=0{secure}")
        }));
    }
    for cookie in cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    // A path of this host, and no other host's (`//host`).
    let to = value("to").filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'));
    let to = to.and_then(|to| HeaderValue::from_str(&to).ok());
    answer.headers_mut().insert(header::LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
    answer
}

fn page(picked: &Picked) -> Response<Bytes> {
    let mut countries = option("", "as the address says", picked.country.is_none());
    for country in rust_iso3166::ALL.iter().filter(|country| countries::is_country(country.alpha2)) {
        countries += &option(country.alpha2, country.name, picked.country == Some(country.alpha2));
    }
    let mut devices = option("", "as the browser says", picked.device.is_none());
    for (name, _) in DEVICES {
        devices += &option(name, name, picked.device == Some(name));
    }
    let consent = option("", "as the browser says", !picked.refuses) + &option("refused", "refused", picked.refuses);
    // Only letters and digits: what the country has.
    let subdivision = picked.subdivision.as_deref().unwrap_or_default();
    let subdivision = escaped(subdivision);
    let html = format!(
        r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Be somebody else</title>
<style>body{{font:1rem/1.5 system-ui;max-width:30rem;margin:2rem auto;padding:0 1rem}}label{{display:block;margin:.75rem 0}}select,input{{font:inherit;width:100%;box-sizing:border-box}}button{{font:inherit;margin:.5rem .5rem 0 0}}</style>
<h1>Be somebody else</h1>
<p>The local edge has no data of real places, and one browser. Pick whom it is to be.</p>
<form action="{BE}">
<label>Country <select name="country">{countries}</select></label>
<label>Subdivision (ISO 3166-2: CA of US-CA) <input name="subdivision" value="{subdivision}"></label>
<label>Device <select name="device">{devices}</select></label>
<label>Consent <select name="consent">{consent}</select></label>
<label>Then go to <input name="to" value="/"></label>
<button>Be this visitor</button><button name="forget" value="yes">Be this visitor, and a new one</button>
</form>
<p>A new visitor starts without the cookies of this site. <a href="{BE}">Be yourself again</a>.</p>
</html>
"#
    );
    let mut answer = plain(StatusCode::OK, "");
    *answer.body_mut() = Bytes::from(html);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

fn option(value: &str, text: &str, is_picked: bool) -> String {
    let selected = if is_picked { " selected" } else { "" };
    let mut option = String::new();
    // Writing to a String can't fail.
    let _ = write!(option, "<option value=\"{}\"{selected}>{}</option>", escaped(value), escaped(text));
    option
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, query: &str, cookies: &'static str) -> Option<Response<Bytes>> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static(cookies));
        answer(path, Some(query), &headers)
    }

    fn cookies(answer: &Response<Bytes>) -> Vec<&str> {
        answer.headers().get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect()
    }

    #[test]
    fn the_page_shows_what_was_picked() {
        let page = asked("/.local/", "", "local-edge=country=FR&device=mobile").unwrap();
        let text = std::str::from_utf8(page.body()).unwrap();
        assert!(text.contains(r#"<option value="FR" selected>France</option>"#), "{text}");
        assert!(text.contains(r#"<option value="mobile" selected>"#), "{text}");
        assert!(asked("/.localx", "", "").is_none(), "a page of the site");
        assert_eq!(asked("/.local/x", "", "").unwrap().status(), 404);
    }

    #[test]
    fn a_form_sets_the_cookie_and_leads_to_a_path_of_this_host() {
        let answer = asked("/.local/be", "country=FR&to=/shop%3Fa=1", "").unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], "/shop?a=1");
        assert_eq!(cookies(&answer), ["local-edge=country=FR; Path=/; HttpOnly; SameSite=Lax"]);
        for evil in ["//evil.example/", "https://evil.example/", "/%5Cevil.example", ""] {
            let answer = asked("/.local/be", &format!("to={evil}"), "").unwrap();
            assert_eq!(answer.headers()["location"], "/", "{evil}");
        }
    }

    #[test]
    fn a_new_visitor_loses_all_cookies_but_the_pick() {
        let answer = asked("/.local/be", "device=tv&forget=yes", "ep_vid=1; __Host-a=2; local-edge=x").unwrap();
        assert_eq!(
            cookies(&answer),
            [
                "local-edge=device=tv; Path=/; HttpOnly; SameSite=Lax",
                "ep_vid=; Path=/; Max-Age=0",
                "__Host-a=; Path=/; Max-Age=0; Secure"
            ]
        );
    }
}
