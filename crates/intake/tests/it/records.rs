//! The fuzz corpus of records as a test: every file of `fuzz/corpus/<target>` through the check of that name.

#[path = "../../../../fuzz/src/records.rs"]
mod checks;

type Check = fn(&[u8]);

#[test]
fn the_corpus_passes() {
    let targets: [(&str, Check); 3] =
        [("ulogd_json", checks::ulogd_json), ("ecs", checks::ecs), ("ipfix", checks::ipfix)];
    for (target, check) in targets {
        let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
        assert!(files.len() >= 2, "{folder}");
        for file in files {
            println!("{}", file.display());
            check(&std::fs::read(file).unwrap());
        }
    }
}
