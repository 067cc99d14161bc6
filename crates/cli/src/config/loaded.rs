//! A configuration with the places that its values come from.

use super::{
    layers::{Node, Way},
    problem::Origin,
    settings::Config,
};

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// What works and should be mended all the same.
    pub(crate) warnings: Vec<String>,
    pub(super) tree: Node,
}

impl Loaded {
    /// Where the value of `key` comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.tree.find(&Way::parse(key).0).map_or(Origin::Default, |node| node.at.clone())
    }
}
