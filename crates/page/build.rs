//! Cargo looks at the built page: a new one is a reason to compile again.

use std::path::Path;

fn main() {
    const DIST: &str = "../../web/dist";
    // A path that is not there would be a reason each time.
    if !Path::new(DIST).is_dir() && Path::new("../../web").is_dir() {
        drop(std::fs::create_dir(DIST));
    }
    for path in ["build.rs", DIST] {
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}
