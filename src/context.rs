//! What is known of a visitor and a request, as plain facts. Nothing here decides what is shown; [`policy`] alone
//! says what may be done with a visitor at all.

pub mod consent;
pub mod cookies;
pub mod identity;
pub mod policy;
pub mod preview;
pub mod sticky;
pub mod visitor;
