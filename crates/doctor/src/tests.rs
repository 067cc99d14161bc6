//! The doctor on real input: every line of the field reports, every malformed form, plain questions.

mod hostile;
mod pace;
mod questions;
mod support;
mod transcripts;
mod verdicts;
