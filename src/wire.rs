//! HTTP as text and bytes, below every step: header names, cookies, hints, paths, queries. It knows no rule and no visitor.

pub mod authority;
pub mod cookies;
pub mod headers;
pub mod hints;
pub mod list;
pub mod path;
pub mod query;
pub mod url;
