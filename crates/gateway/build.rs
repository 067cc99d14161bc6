//! Makes sure that the page and the documentation are built before they are embedded, and embedded again when they change.

use std::path::Path;

fn main() {
    for folder in ["../../web/dist", "../../site/dist"] {
        println!("cargo::rerun-if-changed={folder}");
        if !Path::new(folder).join("index.html").is_file() {
            println!(
                "cargo::error={folder} is not built yet: run `make web` (it needs Node.js 20.19 or later) and build again"
            );
        }
    }
}
