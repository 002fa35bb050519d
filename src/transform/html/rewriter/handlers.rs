//! The handlers of one page: what the parser calls when a tag comes that concerns us, and no more.

use std::borrow::Cow;
use std::rc::Rc;

use lol_html::html_content::{BailOut, ContentType, DocumentEnd, Element as Node};
use lol_html::{DocumentContentHandlers, ElementContentHandlers, MemorySettings, Selector, Settings};

use super::progress::Progress;
use crate::transform::charset::Charset;
use crate::transform::html::HtmlPlan;
use crate::transform::html::edit::{Edit, Element};
use crate::transform::html::plan::{Planned, is_nonce};

type Registered<'p> = (Cow<'p, Selector>, ElementContentHandlers<'p>);

/// Everything that the parser needs to know for a page.
pub(super) fn settings<'p>(
    plan: &'p HtmlPlan,
    progress: &Rc<Progress>,
    charset: Charset,
    memory: MemorySettings,
) -> Settings<'p, 'p> {
    let mut settings = Settings::new()
        .with_encoding(charset.encoding)
        .with_adjust_charset_on_meta_tag(charset.undeclared)
        // Strict mode gives up on markup that browsers accept.
        .with_strict(false)
        .with_graceful_bail_out_on_content_handler_error(true)
        .with_memory_settings(memory);

    // First, so that the nonce of a script is known before anything is done with that script.
    if plan.nonce.is_none() && adds_elements(plan) {
        let sources = [
            ("script[nonce]", on_script_nonce as fn(&Progress, &Node<'_, '_>)),
            ("meta[http-equiv][content]", on_csp_meta),
        ];
        for (selector, look) in sources {
            let progress = Rc::clone(progress);
            settings = append(settings, selector, move |node| look(&progress, node));
        }
    }
    for planned in &plan.operations {
        settings = settings.append_element_content_handler(editing(planned, progress));
    }
    if !plan.head_end.is_empty() {
        settings = head_end(settings, &plan.head_end, progress);
    }
    let progress = Rc::clone(progress);
    settings.append_bail_out_handler(move |_: &lol_html::errors::RewritingError, bail_out: &mut BailOut<'_>| {
        bail_out.append(&progress.reopened(), ContentType::Html);
    })
}

fn adds_elements(plan: &HtmlPlan) -> bool {
    !plan.head_end.is_empty()
        || plan
            .operations
            .iter()
            .flat_map(|planned| &planned.edits)
            .any(|edit| matches!(edit, Edit::Element(_) | Edit::ElementBefore(_)))
}

/// A handler for a selector of this service's own.
fn append<'p>(
    settings: Settings<'p, 'p>,
    selector: &str,
    mut handler: impl FnMut(&mut Node<'_, '_>) + 'p,
) -> Settings<'p, 'p> {
    match selector.parse() {
        Ok(selector) => settings.append_element_content_handler((
            Cow::Owned(selector),
            ElementContentHandlers::default().element(move |node: &mut Node<'_, '_>| {
                handler(node);
                Ok(())
            }),
        )),
        // The selectors above are fixed, and tests use each of them.
        Err(_) => settings,
    }
}

fn editing<'p>(planned: &'p Planned, progress: &Rc<Progress>) -> Registered<'p> {
    let progress = Rc::clone(progress);
    let mut is_over = false;
    let handler = move |node: &mut Node<'_, '_>| {
        if !is_over && progress.wants(node) {
            is_over = planned.once;
            progress.edited(planned.once);
            for edit in &planned.edits {
                edit.apply(node, &progress);
            }
        }
        Ok(())
    };
    (Cow::Borrowed(planned.select.parsed()), ElementContentHandlers::default().element(handler))
}

/// Places elements at the end of the head. A page may leave out `</head>`, `<head>` or all of it (HTML Living Standard,
/// "Optional tags"): then in front of the body's content, or at the very end.
fn head_end<'p>(settings: Settings<'p, 'p>, elements: &'p [Element], progress: &Rc<Progress>) -> Settings<'p, 'p> {
    let html = |elements: &[Element], progress: &Progress| {
        let nonce = progress.nonce();
        let html: String = elements.iter().map(|element| element.html(nonce.as_deref())).collect();
        if progress.may_insert(html.len()) { html } else { String::new() }
    };
    let shared: Rc<[Element]> = elements.into();
    let for_head = Rc::clone(progress);
    let settings = append(settings, "head", move |node| {
        let (progress, elements) = (Rc::clone(&for_head), Rc::clone(&shared));
        if let Some(handlers) = node.end_tag_handlers() {
            handlers.push(Box::new(move |end| {
                if progress.take_head_end() {
                    end.before(&html(&elements, &progress), ContentType::Html);
                }
                Ok(())
            }));
        }
    });
    let for_body = Rc::clone(progress);
    let settings = append(settings, "body", move |node| {
        if for_body.take_head_end() {
            node.prepend(&html(elements, &for_body), ContentType::Html);
        }
    });
    let for_end = Rc::clone(progress);
    settings.append_document_content_handler(DocumentContentHandlers::default().end(
        move |end: &mut DocumentEnd<'_>| {
            if for_end.take_head_end() {
                end.append(&html(elements, &for_end), ContentType::Html);
            }
            Ok(())
        },
    ))
}

fn on_script_nonce(progress: &Progress, node: &Node<'_, '_>) {
    if let Some(nonce) = node.get_attribute("nonce").filter(|nonce| is_nonce(nonce)) {
        progress.found_nonce(&nonce);
    }
}

fn on_csp_meta(progress: &Progress, node: &Node<'_, '_>) {
    let is_csp = node
        .get_attribute("http-equiv")
        .is_some_and(|name| name.trim().eq_ignore_ascii_case("content-security-policy"));
    if is_csp && let Some(nonce) = node.get_attribute("content").as_deref().and_then(policy_nonce) {
        progress.found_nonce(nonce);
    }
}

/// Directives whose sources say which scripts run.
const SCRIPT_DIRECTIVES: [&str; 3] = ["script-src-elem", "script-src", "default-src"];

/// The first `nonce-source` of a policy's directive for scripts (CSP Level 3 section 2.3.1): no other part of a policy, such as a
/// `report-uri`, says one. A page may write its quotes as references.
pub(in crate::transform) fn policy_nonce(policy: &str) -> Option<&str> {
    SCRIPT_DIRECTIVES.iter().find_map(|directive| directive_nonce(policy, directive))
}

fn directive_nonce<'p>(policy: &'p str, directive: &str) -> Option<&'p str> {
    let (mut is_name, mut is_ours) = (true, false);
    for word in policy.split_ascii_whitespace().flat_map(|word| word.split_inclusive([';', ','])) {
        let plain = word.trim_end_matches([';', ',']);
        if is_name && !plain.is_empty() {
            (is_name, is_ours) = (false, plain.eq_ignore_ascii_case(directive));
        } else if is_ours && let Some(nonce) = nonce_of(plain) {
            return Some(nonce);
        }
        // A directive ends at a `;`, a policy at a `,`; but a reference ends with `;`, too: `&#39;`.
        let is_end = word.len() > plain.len();
        let ends_reference = plain.rsplit_once('&').is_some_and(|(_, name)| is_reference(name));
        if is_end && !ends_reference {
            (is_name, is_ours) = (true, false);
        }
    }
    None
}

/// Whether `&` and this, with its `;`, is a quote written as a reference.
fn is_reference(name: &str) -> bool {
    matches!(name, "apos" | "#39" | "#x27" | "#X27" | "#039")
}

fn nonce_of(source: &str) -> Option<&str> {
    let after = source.trim_start_matches('\'').strip_prefix("nonce-")?;
    let end = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=')))
        .unwrap_or(after.len());
    after.get(..end).filter(|nonce| is_nonce(nonce))
}
