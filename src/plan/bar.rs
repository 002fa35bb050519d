//! The bar on a previewed page: that it is a preview and of what, with the way out.
//!
//! It has no script and no style, which a page's policy (CSP) might forbid: its look is in attributes that HTML has for it.

use http::{HeaderValue, Method, header};

use super::FetchPlan;
use crate::admit::RequestHead;
use crate::context::preview::{OFF, PARAMETER, Preview};
use crate::transform::body::BodyPlan;
use crate::transform::escape;

/// Characters that a bar shows of what is previewed: it is a bar, and no page.
const MOST_TEXT: usize = 400;

/// Has the page begin with the bar, where the browser asks for a page to show by itself.
pub(super) fn add(plan: &mut FetchPlan, head: &RequestHead, preview: &Preview) {
    if !asks_for_page(head) {
        return;
    }
    let html = html(head, preview);
    let variant = plan.primary.variant.header();
    let shaped_by = [plan.primary.backend.as_bytes(), plan.primary.url.as_bytes(), variant.as_bytes()];
    let body = BodyPlan::beginning_with(plan.body.take(), &html, &shaped_by);
    body.prepare(&head.method, &mut plan.primary.headers);
    plan.body = Some(body);
}

/// Whether a page is navigated to: pictures, frames, and what scripts fetch have no room for a bar.
fn asks_for_page(head: &RequestHead) -> bool {
    let said = |name: &str| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_html = said(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html"));
    head.method == Method::GET && is_html && said("sec-fetch-dest").is_none_or(|dest| dest == "document")
}

fn html(head: &RequestHead, preview: &Preview) -> String {
    let words = preview.claims.as_ref().map(|claims| claims.words()).unwrap_or_default();
    let mut text = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    let unknown = preview.unknown.iter().map(String::as_str);
    let missing: Vec<&str> = unknown.chain(preview.lacks_revision.then_some("the revision")).collect();
    if !missing.is_empty() {
        text.push_str(". Not there, and left out: ");
        text.push_str(&missing.join(", "));
    }
    if let Some((end, _)) = text.char_indices().nth(MOST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    let exit = escape::html(&exit(head)).into_owned();
    let text = escape::html(&text);
    format!(
        "<div id=\"edge-preview\" role=\"region\" aria-label=\"Preview\" lang=\"en\" translate=\"no\">\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"8\" bgcolor=\"#ffe08a\"><tr><td align=\"center\">\
         <font color=\"#1a1a1a\"><b>Preview:</b> {text}. It counts in no experiment.</font> \
         <a href=\"{exit}\"><font color=\"#1a1a1a\">Exit preview</font></a></td></tr></table></div>"
    )
}

/// The same page without the preview. It names its host, for a `<base>` may stand for another.
fn exit(head: &RequestHead) -> String {
    let query = head.query.as_deref().filter(|query| !query.is_empty());
    let query = query.map(|query| format!("{query}&")).unwrap_or_default();
    format!("//{}{}?{query}{PARAMETER}={OFF}", head.authority, head.path)
}
