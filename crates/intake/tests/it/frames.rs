//! Messages of connections: our own inputs through the checks of the fuzzer, and what others test their readers with.

use bartizan_intake::syslog_frames::SyslogFrames;
use serde_json::Value;
use std::path::PathBuf;

#[path = "../../../../fuzz/src/intake.rs"]
#[allow(unreachable_pub, dead_code, reason = "the fuzzer's own file")]
mod checks;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

type Check = fn(&[u8]);

#[test]
fn the_corpus_passes() {
    let targets: [(&str, Check); 2] =
        [("syslog_frames", checks::syslog_frames), ("relp_frames", checks::relp_frames)];
    for (target, check) in targets {
        let files: Vec<_> = std::fs::read_dir(folder(target)).unwrap().flatten().collect();
        assert!(files.len() >= 2, "{target}");
        files.iter().for_each(|file| check(&std::fs::read(file.path()).unwrap()));
    }
}

#[test]
fn framings_that_others_test_with() {
    let Some(folder) = crate::row::corpus("syslog-framing-go") else { return };
    let text = std::fs::read_to_string(folder.join("inputs.jsonl")).unwrap();
    let mut counted = 0;
    for line in text.lines() {
        let input: Value = serde_json::from_str(line).unwrap();
        let of_counts = input["path"].as_str().unwrap().starts_with("octetcounting");
        // theirs is a template for two trailers
        for trailer in ["\n", "\0"] {
            let bytes = input["input"].as_str().unwrap().replace("%[1]s", trailer).into_bytes();
            checks::syslog_frames(&bytes);
            let (mut frames, mut at, mut texts) = (SyslogFrames::new(1 << 16), 0, Vec::new());
            loop {
                let (used, frame) = frames.next(&bytes[at..]);
                at += used;
                match frame {
                    Some(frame) => texts.push(String::from_utf8_lossy(frame.text).into_owned()),
                    None => break,
                }
            }
            texts.extend(frames.end(&bytes[at..]).map(|f| String::from_utf8_lossy(f.text).into_owned()));
            // where the counts are right, each message is one of its own
            if of_counts && texts.len() > 1 && !line.contains("aaa") && !line.contains("217") {
                assert!(texts.iter().all(|text| text.starts_with('<')), "{texts:?}");
                counted += 1;
            }
            let all: usize = texts.iter().map(String::len).sum();
            assert!(all > 0, "{line}");
        }
    }
    assert!(counted >= 6, "{counted}");
}
