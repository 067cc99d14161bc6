//! The ways in which a report is written down; JSON is the report itself, serialised.

mod escape;
mod html;
mod junit;
mod markdown;
mod reference;
mod sarif;

pub use self::{
    html::write as html, junit::write as junit, markdown::write as markdown, reference::reference,
    sarif::write as sarif,
};
