//! The manual page of the filter language, made from docs/filter.md, so that there is one text.

use clap_mangen::roff::{Inline, Roff, bold, roman};

const PAGE: &str = include_str!("../../../docs/filter.md");

/// `bartizan-filter(7)`.
pub(crate) fn filter() -> String {
    let mut page = Roff::new();
    page.control("TH", ["bartizan-filter", "7"]);
    page.control("SH", ["NAME"]);
    page.text([roman("bartizan-filter - the filter language of Bartizan")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut code = false;
    // the heading of the document is the name of the page
    for line in PAGE.lines().skip(1) {
        if line.starts_with("```") {
            code = !code;
            page.control(if code { "EX" } else { "EE" }, []);
        } else if code {
            page.text([roman(line)]);
        } else if let Some(heading) = line.strip_prefix("## ") {
            page.control("SH", [heading.to_uppercase().as_str()]);
        } else if line.is_empty() {
            page.control("PP", []);
        } else {
            page.text(inline(line));
        }
    }
    page.render()
}

/// What stands between stars or backticks is bold.
fn inline(line: &str) -> Vec<Inline> {
    let line = line.replace("**", "`");
    line.split('`')
        .enumerate()
        .map(|(at, piece)| if at % 2 == 1 { bold(piece) } else { roman(piece) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_sections_and_examples_of_the_document() {
        let page = filter();
        for part in
            [".TH", ".SH VALUES", "src:203.0.113.0/24 dport:22 \\-host:web* action:drop", ".SH LIMITS"]
        {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
        assert!(!page.contains("```"));
    }
}
