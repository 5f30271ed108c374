use super::*;
use crate::find::expand;
use crate::unpack::Packing;
use crate::unpack::tests::{ALL, packed};
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use bartizan_intake::{Read, Rows, Source as _, SourceError, Tally};

fn options() -> Options {
    Options {
        host: None,
        host_from: HostFrom::Record,
        sender: String::new(),
        format: None,
        zone: Tz::utc(),
        year: None,
        keep_other: false,
        limits: Limits::default(),
        now: at("2026-06-01T00:00:00Z"),
    }
}

fn at(text: &str) -> Micros {
    Micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn line(stamp: &str, sport: u32) -> String {
    format!(
        "{stamp} gw kernel: DROP IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TTL=1 ID=1 PROTO=UDP SPT={sport} DPT=53 LEN=20\n"
    )
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, modified: &str, content: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(at(modified).0.cast_unsigned());
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    fn open(&self, patterns: &[&str], options: &Options) -> Opened {
        let patterns: Vec<_> = patterns.iter().map(|p| format!("{}/{p}", self.0.path().display())).collect();
        open(expand(&patterns).unwrap(), None, options)
    }
}

fn drain(opened: &mut Opened) -> (Rows, Tally) {
    let (mut rows, mut tally) = (Rows::new(1 << 20), Tally::default());
    for source in &mut opened.sources {
        while !matches!(source.read(u64::MAX, &mut rows, &mut tally).unwrap(), Read::End(_)) {}
    }
    assert!(tally.adds_up(), "{tally:?}");
    (rows, tally)
}

fn times(rows: &mut Rows) -> Vec<String> {
    let batches = rows.finish();
    let times = batches[0].1.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
    times.values().iter().map(|t| jiff::Timestamp::from_microsecond(*t).unwrap().to_string()).collect()
}

#[test]
fn a_rotated_set_has_its_years_from_the_newest_file_back() {
    let folder = Folder::new();
    // all were copied at once: only the names and the stamps tell
    let copied = "2026-02-10T00:00:00Z";
    folder.file("kern.log.2.xz", copied, &packed(Packing::Xz, line("Nov 20 10:00:00", 1).as_bytes()));
    let middle = line("Dec 30 10:00:00", 2) + &line("Jan  2 10:00:00", 3);
    folder.file("kern.log.1", copied, middle.as_bytes());
    folder.file("kern.log", copied, line("Feb  9 10:00:00", 4).as_bytes());
    let mut opened = folder.open(&["kern.log*"], &options());
    assert!(opened.seen.is_none());
    let (mut rows, tally) = drain(&mut opened);
    assert_eq!(tally.events, 4);
    let want =
        ["2025-11-20T10:00:00Z", "2025-12-30T10:00:00Z", "2026-01-02T10:00:00Z", "2026-02-09T10:00:00Z"];
    assert_eq!(times(&mut rows), want);
    let mut opened = folder.open(&["kern.log*"], &Options { year: Some(2019), ..options() });
    let (mut rows, _) = drain(&mut opened);
    assert_eq!(times(&mut rows), want.map(|w| w.replace("2025", "2019").replace("2026", "2020")));
}

#[test]
fn any_packing_gives_the_same_rows_from_any_position_on() {
    let folder = Folder::new();
    let text: String =
        (0..9000).map(|n| line("Jan  8 03:37:09", n) + "Jan  8 03:37:09 gw sshd[1]: hello\n\n").collect();
    for packing in ALL {
        folder.file(&format!("log-{packing}"), "2026-01-09T00:00:00Z", &packed(packing, text.as_bytes()));
    }
    let mut identity = None;
    for packing in ALL {
        let mut opened = folder.open(&[&format!("log-{packing}")], &options());
        let source = &mut opened.sources[0];
        assert_eq!(*identity.get_or_insert_with(|| source.identity()), source.identity());
        let (mut rows, mut all, mut positions) = (Rows::new(1 << 20), Tally::default(), Vec::new());
        loop {
            let read = source.read(u64::MAX, &mut rows, &mut all).unwrap();
            positions.push((read.position(), all.events));
            if matches!(read, Read::End(_)) {
                break;
            }
        }
        assert_eq!((all.events, all.records, rows.len()), (9000, 27000, 9000));
        assert_eq!((all.skipped["another service"], all.skipped["empty"]), (9000, 9000));
        assert_eq!(positions.last().unwrap().0, text.len() as u64);
        // back and forth
        for (position, before) in positions.iter().rev().step_by(3) {
            source.seek(*position).unwrap();
            let (mut rows, mut rest) = (Rows::new(1 << 20), Tally::default());
            while !matches!(source.read(u64::MAX, &mut rows, &mut rest).unwrap(), Read::End(_)) {}
            assert_eq!(rest.events, 9000 - before, "{packing} {position}");
        }
        assert!(matches!(source.seek(text.len() as u64 + 1), Err(SourceError::Changed(_))));
        // a mark is not stepped over
        source.seek(0).unwrap();
        let mark = positions[1].0;
        let (mut rows, mut part) = (Rows::new(1 << 20), Tally::default());
        while source.read(mark, &mut rows, &mut part).unwrap().position() < mark {}
        assert_eq!(part.events, positions[1].1);
    }
}

#[test]
fn the_same_lines_in_several_files_are_read_once_in_every_run() {
    let folder = Folder::new();
    let kernel: String = (0..500).map(|n| line("Jan  8 03:37:09", n / 2)).collect();
    let syslog: String =
        (0..500).map(|n| line("Jan  8 03:37:09", n / 2) + "Jan  8 03:37:09 gw cron[2]: x\n").collect();
    let more = line("Jan  8 03:37:10", 9999);
    folder.file("kern.log", "2026-01-09T00:00:00Z", kernel.as_bytes());
    folder.file("syslog", "2026-01-09T00:00:00Z", format!("{syslog}{more}").as_bytes());
    let mut opened = folder.open(&["kern.log", "syslog"], &options());
    let (rows, tally) = drain(&mut opened);
    assert_eq!((rows.len(), tally.events, tally.skipped["the same line in another file"]), (501, 501, 500));
    // goes on in the middle of either file, with what was imported stepped over first
    for (first, second) in [(0.3, 0.0), (0.0, 0.4), (1.0, 0.5), (0.2, 1.0)] {
        let cut = |text: &str, part: f64| {
            let at = (text.len() as f64 * part) as usize;
            text[..at].rfind('\n').map_or(0, |at| at + 1)
        };
        let whole = format!("{syslog}{more}");
        let (a, b) = (cut(&kernel, first), cut(&whole, second));
        let imported: std::collections::BTreeSet<_> =
            kernel[..a].lines().chain(whole[..b].lines()).filter(|l| l.contains("IN=")).collect();
        let doubled = |text: &str| text.lines().filter(|l| l.contains("IN=")).count();
        let had = doubled(&kernel[..a]).max(doubled(&whole[..b]));
        let mut opened = folder.open(&["kern.log", "syslog"], &options());
        for source in &mut opened.sources {
            let position = if source.name().ends_with("kern.log") { a } else { b };
            source.seek(position as u64).unwrap();
        }
        let (rows, tally) = drain(&mut opened);
        assert!(imported.len() <= had);
        assert_eq!(rows.len() + had, 501, "{first} {second} {tally:?}");
    }
}

#[test]
fn a_last_line_without_an_end_waits_while_it_may_be_written() {
    let folder = Folder::new();
    let text = line("Jan  8 03:37:09", 1) + line("Jan  8 03:37:10", 2).trim_end();
    folder.file("kern.log", "2026-05-31T23:59:59Z", text.as_bytes());
    let (_, tally) = drain(&mut folder.open(&["kern.log"], &options()));
    assert_eq!((tally.events, tally.skips()), (1, 1));
    folder.file("kern.log.1", "2026-05-31T23:59:59Z", text.as_bytes());
    let mut opened = folder.open(&["kern.log.1"], &options());
    let (_, tally) = drain(&mut opened);
    assert_eq!((tally.events, tally.skips()), (2, 0));
    // what was written behind it later is no line of its own
    folder.file(
        "kern.log.1",
        "2026-05-31T23:59:59Z",
        (text.clone() + " rest\n" + &line("Jan  8 03:37:11", 3)).as_bytes(),
    );
    let mut opened = folder.open(&["kern.log.1"], &options());
    opened.sources[0].seek(text.len() as u64).unwrap();
    let (_, tally) = drain(&mut opened);
    assert_eq!((tally.events, tally.skips()), (1, 1), "{tally:?}");
}

#[test]
fn hosts_of_records_files_and_folders() {
    let folder = Folder::new();
    let nobody = "IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TTL=1 ID=1 PROTO=2\n";
    folder.file(
        "web-01/fw.log",
        "2026-01-09T00:00:00Z",
        (nobody.to_owned() + &line("Jan  8 03:37:11", 3)).as_bytes(),
    );
    let hosts = |options: &Options| {
        let mut opened = folder.open(&["web-01/fw.log"], options);
        let mut rows = Rows::new(100);
        opened.sources[0].read(u64::MAX, &mut rows, &mut Tally::default())?;
        let batch = rows.finish().remove(0).1;
        let column =
            batch.column_by_name("host").unwrap().as_dictionary::<arrow_array::types::Int32Type>().clone();
        let names = column.values().as_string::<i32>().clone();
        Ok(column.keys().values().iter().map(|k| names.value(*k as usize).to_owned()).collect::<Vec<_>>())
    };
    let error: Result<Vec<String>, SourceError> = hosts(&options());
    assert!(error.unwrap_err().to_string().starts_with("line 1 of "));
    assert_eq!(hosts(&Options { host: Some("x".into()), ..options() }).unwrap(), ["x", "gw"]);
    assert_eq!(hosts(&Options { host_from: HostFrom::Folder, ..options() }).unwrap(), ["web-01"; 2]);
    assert_eq!(hosts(&Options { host_from: HostFrom::File, ..options() }).unwrap(), ["fw"; 2]);
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let folder = Folder::new();
    let text: String =
        (0..5000_u32).map(|n| line("Jan  8 03:37:09", n.wrapping_mul(2_654_435_761) % 60_000)).collect();
    let whole = packed(Packing::Gzip, text.as_bytes());
    folder.file("a.log.gz", "2026-01-09T00:00:00Z", &whole[..whole.len() / 2]);
    folder.file("b.log", "2026-01-09T00:00:00Z", b"");
    folder.file("c.zip", "2026-01-09T00:00:00Z", b"PK\x03\x04xxxx");
    folder.file(
        "d.log",
        "2026-01-09T00:00:00Z",
        &[vec![b'x'; 16 << 20], line("\nJan  8 03:37:09", 1).into_bytes()].concat(),
    );
    let mut opened = folder.open(&["*"], &options());
    assert_eq!((opened.empty.len(), opened.unreadable.len(), opened.sources.len()), (1, 1, 2));
    let (_, tally) = drain(&mut opened);
    assert!(tally.events > 1000 && tally.events < 5001, "{tally:?}");
    assert_eq!(tally.unreadable.len(), 1);
    assert!(tally.unreadable[0].contains("a.log.gz cannot be read behind byte"), "{:?}", tally.unreadable);
}
