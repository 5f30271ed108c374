//! Parts of the product, measured by the examples of their crates.

use crate::figure::Figure;
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::binaries;
use std::process::Command;

/// Runs an example and takes the figures that it prints.
pub(crate) fn run(example: &str, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let program = binaries()?.join("examples").join(example);
    let output = Command::new(&program).output().with_context(|| format!("run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{example}: {} {}", output.status, said.trim());
    let figures: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(Figure::parse).collect();
    ensure!(!figures.is_empty(), "{example} printed no figure");
    figures.into_iter().for_each(figure);
    Ok(())
}
