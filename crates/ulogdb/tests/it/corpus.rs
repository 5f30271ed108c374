use std::path::Path;

#[test]
fn the_fuzz_corpus_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/copy_rows");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(inputs.len() >= 4);
    for input in inputs {
        crate::copy::copy_rows(&std::fs::read(input.unwrap().path()).unwrap());
    }
}
