//! The fuzz corpus as a test: every file of `fuzz/corpus/<target>` through the check of that name.

#[path = "../../../../fuzz/src/text.rs"]
mod checks;

type Check = fn(&[u8]);

#[test]
fn the_corpus_passes() {
    let targets: [(&str, Check); 3] =
        [("text_lines", checks::text_lines), ("envelope", checks::envelope), ("prefix", checks::prefix)];
    for (target, check) in targets {
        let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut files = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            check(&std::fs::read(file.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files >= 3, "{target} has {files} inputs");
    }
}
