//! The shop's pictures: drawn at the width and quality that are asked for, and saying so in a corner, so that one sees what `adapt` chose.

use hyper::StatusCode;
use hyper::http::request::Parts;

use crate::answer::Answer;
use crate::catalog;
use crate::shop::number;

/// Pixels where the query doesn't say.
const WIDTH: u64 = 1280;
const MAX_WIDTH: u64 = 4096;
/// Per cent where the query doesn't say.
const QUALITY: u64 = 90;
/// Below this, a picture comes without shades.
const PLAIN_BELOW: u64 = 60;

/// `/img/{sku}?width=&quality=`.
pub(crate) fn picture(head: &Parts, sku: &str) -> Answer {
    let Some(product) = catalog::product(sku) else { return Answer::not_found() };
    let width = number(head, "width").unwrap_or(WIDTH).clamp(1, MAX_WIDTH);
    let quality = number(head, "quality").unwrap_or(QUALITY).clamp(1, 100);
    let svg = draw(product.category, width, quality);
    Answer::new(StatusCode::OK, "image/svg+xml", svg).cached("public, max-age=86400")
}

fn draw(category: &str, width: u64, quality: u64) -> String {
    let (light, dark, shapes) = motif(category);
    let height = width * 5 / 8;
    let is_plain = quality < PLAIN_BELOW;
    let shades = if is_plain {
        ""
    } else {
        "<circle cx=\"262\" cy=\"34\" r=\"128\" fill=\"#fff\" opacity=\".5\"/>\
         <ellipse cx=\"160\" cy=\"166\" rx=\"86\" ry=\"9\" fill=\"#000\" opacity=\".08\"/>"
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 320 200\">\
         <rect width=\"320\" height=\"200\" fill=\"{light}\"/>{shades}<g fill=\"{dark}\" stroke=\"{dark}\" stroke-width=\"7\" \
         stroke-linecap=\"round\" stroke-linejoin=\"round\">{shapes}</g><text x=\"310\" y=\"190\" text-anchor=\"end\" \
         font-family=\"sans-serif\" font-size=\"17\" fill=\"{dark}\" opacity=\".75\">{width} px, quality {quality}</text></svg>"
    )
}

/// Ground, ink and a drawing on 320 by 200.
fn motif(category: &str) -> (&'static str, &'static str, &'static str) {
    match category {
        "electronics" => (
            "#d8e4f0",
            "#2f4a68",
            "<rect x=\"85\" y=\"62\" width=\"150\" height=\"98\" rx=\"12\" fill=\"none\"/><circle cx=\"126\" cy=\"111\" r=\"25\" \
             fill=\"none\"/><path d=\"M172 92h42M172 111h42M172 130h26M108 62l52-30\" fill=\"none\"/>",
        ),
        "kitchen" => (
            "#f3e2cf",
            "#6d4424",
            "<path d=\"M72 92h136v34a30 30 0 0 1-30 30h-76a30 30 0 0 1-30-30z\"/><path d=\"M208 104h62\" stroke-width=\"15\"/>\
             <path d=\"M112 70c-8-12 8-16 0-28M140 70c-8-12 8-16 0-28M168 70c-8-12 8-16 0-28\" fill=\"none\"/>",
        ),
        "outdoor" => (
            "#dbe9d6",
            "#335c39",
            "<path d=\"M160 44L258 160H62z\" fill=\"none\"/><path d=\"M160 92l34 68h-68z\"/><path d=\"M160 44l-10-14M160 44l10-14\"/>",
        ),
        "books" => (
            "#eadff0",
            "#553a6b",
            "<rect x=\"90\" y=\"52\" width=\"34\" height=\"108\" rx=\"3\"/><rect x=\"134\" y=\"70\" width=\"26\" height=\"90\" rx=\"3\" \
             fill=\"none\"/><path d=\"M176 78l26-8 26 82-26 8z\"/><path d=\"M72 164h178\"/>",
        ),
        _ => (
            "#f6e6b8",
            "#8a5a12",
            "<path d=\"M168 30l54 56-54 66-54-66z\" fill=\"none\"/><path d=\"M168 30v122M114 86h108\"/>\
             <path d=\"M168 152c-24 8-8 22-32 28\" fill=\"none\"/>",
        ),
    }
}
