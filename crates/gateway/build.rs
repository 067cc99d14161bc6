//! Makes sure that the page is built before it is embedded, and embedded again when it changes.

use std::path::Path;

fn main() {
    let page = "../../web/dist";
    println!("cargo::rerun-if-changed={page}");
    if !Path::new(page).join("index.html").is_file() {
        println!(
            "cargo::error=the page is not built yet: run `make web` (it needs Node.js 20.19 or later) and build again"
        );
    }
}
