//! The configuration: one TOML file, overridden by environment variables, overridden by flags.
//!
//! Nothing else in the product reads the environment. A fault stops a command before it does anything, and is named
//! with the place it comes from; several are named at once.

pub(crate) mod agents;
pub(crate) mod command;
pub(crate) mod env;
mod layers;
mod load;
mod loaded;
mod problem;
mod reference;
mod rules;
pub(crate) mod settings;

pub(crate) use self::{
    load::{Override, load},
    problem::Fault,
};
