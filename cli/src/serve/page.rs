//! The page `/.local/`, on which somebody picks whom the browser is to be.

use std::fmt::Write as _;

use bytes::Bytes;
use edge_personalizer::session::subject::VisitorId;
use edge_personalizer::wire::cookies::Cookies;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use url::form_urlencoded;

use super::picked::{COOKIE, DEVICES, Picked};
use crate::countries;

/// The page's path, and what is below it: no site has it.
pub const PATH: &str = "/.local";
/// Where its form leads.
const BE: &str = "/.local/be";
/// Where a page's script learns whom the browser is to be.
const WHO: &str = "/.local/who";

/// The answer to a request for the page; `None` where something else is asked for. `visitor_cookie` names the cookie with a visitor's id.
pub fn answer(path: &str, query: Option<&str>, headers: &HeaderMap, visitor_cookie: &str) -> Option<Response<Bytes>> {
    let below = path.strip_prefix(PATH)?;
    match below {
        "" | "/" => Some(page(&Picked::take(&mut headers.clone()))),
        _ if path == BE => Some(be(query.unwrap_or_default(), headers, visitor_cookie)),
        _ if path == WHO => Some(who(headers, visitor_cookie)),
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
fn be(form: &str, headers: &HeaderMap, visitor_cookie: &str) -> Response<Bytes> {
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(form.as_bytes());
        pairs.find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
    };
    let mut answer = plain(StatusCode::SEE_OTHER, "");
    // What the browser keeps is for whom it was before.
    let cache = HeaderValue::from_static("\"cache\"");
    answer.headers_mut().insert(const { HeaderName::from_static("clear-site-data") }, cache);
    let picked = Picked::read(form).form();
    let age = if picked.is_empty() { "; Max-Age=0" } else { "" };
    let mut cookies = vec![format!("{COOKIE}={picked}; Path=/; HttpOnly; SameSite=Lax{age}")];
    let visitor = value("visitor").unwrap_or_default();
    if value("forget").is_some() || visitor == "new" {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let names = lines.flat_map(|line| line.split(';')).filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
        let others = names.filter(|name| *name != COOKIE);
        cookies.extend(others.map(|name| {
            // Browsers take the prefixed ones with `Secure` alone.
            let secure = if name.starts_with("__") { "; Secure" } else { "" };
            format!("{name}=; Path=/; Max-Age=0{secure}")
        }));
    }
    // Anybody who is known by an id: a session of theirs may be in the store.
    if let Some(id) = VisitorId::parse(&visitor) {
        cookies.push(format!("{visitor_cookie}={id}; Path=/; HttpOnly; SameSite=Lax"));
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

/// Whom the browser is to be, as JSON; `null` where nothing was picked. The visitor is who the browser's own cookie says.
fn who(headers: &HeaderMap, visitor_cookie: &str) -> Response<Bytes> {
    let picked = Picked::take(&mut headers.clone());
    let visitor = Cookies::of(headers).get(visitor_cookie).and_then(VisitorId::parse).map(|id| id.to_string());
    let told = serde_json::json!({
        "country": picked.country, "subdivision": picked.subdivision, "device": picked.device, "language": picked.language,
        "refuses": picked.refuses, "visitor": visitor,
    });
    let mut answer = plain(StatusCode::OK, "");
    *answer.body_mut() = Bytes::from(told.to_string());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
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
    let language = escaped(picked.language.as_deref().unwrap_or_default());
    let html = format!(
        r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Be somebody else</title>
<style>body{{font:1rem/1.5 system-ui;max-width:30rem;margin:2rem auto;padding:0 1rem}}label{{display:block;margin:.75rem 0}}select,input{{font:inherit;width:100%;box-sizing:border-box}}button{{font:inherit;margin:.5rem .5rem 0 0}}</style>
<h1>Be somebody else</h1>
<p>The local edge has no data of real places, and one browser. Pick who it is to be.</p>
<form action="{BE}">
<label>Country <select name="country">{countries}</select></label>
<label>Subdivision (ISO 3166-2: CA of US-CA) <input name="subdivision" value="{subdivision}"></label>
<label>Device <select name="device">{devices}</select></label>
<label>Language (of Accept-Language: fr, pt-BR) <input name="language" value="{language}"></label>
<label>Consent <select name="consent">{consent}</select></label>
<label>Visitor's id (32 digits; empty: as the browser says) <input name="visitor"></label>
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
        answer(path, Some(query), &headers, "ep_vid")
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
        assert_eq!(answer.headers()["clear-site-data"], "\"cache\"", "pages of before are somebody else's");
        assert_eq!(cookies(&answer), ["local-edge=country=FR; Path=/; HttpOnly; SameSite=Lax"]);
        for evil in ["//evil.example/", "https://evil.example/", "/%5Cevil.example", ""] {
            let answer = asked("/.local/be", &format!("to={evil}"), "").unwrap();
            assert_eq!(answer.headers()["location"], "/", "{evil}");
        }
    }

    #[test]
    fn a_page_learns_who_the_browser_is_and_makes_it_somebody_known() {
        const ID: &str = "00000000000000000000000000000001";
        let answer = asked("/.local/be", &format!("visitor={ID}"), "ep_vid=1").unwrap();
        assert!(cookies(&answer).contains(&&*format!("ep_vid={ID}; Path=/; HttpOnly; SameSite=Lax")));
        let broken = asked("/.local/be", "visitor=x%3B%20a", "").unwrap();
        assert_eq!(cookies(&broken), ["local-edge=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"]);
        let answer =
            asked("/.local/who", "", "local-edge=country=FR&language=fr; ep_vid=00000000000000000000000000000001");
        let told: serde_json::Value = serde_json::from_slice(answer.unwrap().body()).unwrap();
        assert_eq!((&told["country"], &told["language"], &told["visitor"]), (&"FR".into(), &"fr".into(), &ID.into()));
        assert_eq!(told["device"], serde_json::Value::Null);
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
