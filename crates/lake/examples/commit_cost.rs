//! What a commit costs beside a small and a large lake, and what a million rows cost from memory to committed
//! Parquet. Usage: `commit_cost [FOLDER]`; without a folder, a temporary one on the disk of `TMPDIR`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool for people")]

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::DataType;
use bartizan_lake::{DurableLocal, Options, Table};
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId, addr_from_v4};
use bartizan_schema::table_schema;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const NOW: Micros = Micros(1_795_400_000_000_000);
const BATCH: usize = 16_384;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let root = std::env::args().nth(1).map_or(temporary.path().to_owned(), Into::into);
    for (name, files, streams) in [("small", 10, 10), ("large", 10_000, 10_000)] {
        commits(&root.join(name), files, streams).await;
    }
    ingest(&root.join("ingest"), 1).await;
    ingest(&root.join("ingest-50"), 50).await;
}

/// Commits of 100 rows of 10 streams beside a lake of so many files and streams.
async fn commits(root: &Path, files: usize, streams: usize) {
    let store = Arc::new(DurableLocal::new(root).unwrap());
    let options = Options { checkpoint_every: 0, ..Options::default() };
    drop(Table::open(store.clone(), Kind::Events, options.clone(), NOW).await.unwrap());
    for (version, first) in (1..).zip((0..files.max(streams)).step_by(1000)) {
        let mut text = String::new();
        for n in first..(first + 1000).min(files.max(streams)) {
            writeln!(text, "{{\"txn\":{{\"appId\":\"{}\",\"version\":1,\"lastUpdated\":1}}}}", stream(n))
                .unwrap();
            writeln!(text, "{{\"add\":{{\"path\":\"date=2026-11-20/part-{n}.parquet\",\"partitionValues\":{{\"date\":\"2026-11-20\"}},\"size\":1000000,\"modificationTime\":1,\"dataChange\":true,\"stats\":\"{{\\\"numRecords\\\":50000,\\\"minValues\\\":{{\\\"time\\\":\\\"2026-11-20T00:00:00.000001Z\\\"}},\\\"maxValues\\\":{{\\\"time\\\":\\\"2026-11-20T01:00:00.000001Z\\\"}}}}\"}}}}").unwrap();
        }
        std::fs::write(root.join(format!("events/_delta_log/{version:020}.json")), text).unwrap();
    }
    let table = Table::open(store.clone(), Kind::Events, options.clone(), NOW).await.unwrap();
    assert_eq!(table.view().files.len(), files);
    let mut millis = Vec::new();
    for seq in 2..302 {
        for n in 0..10 {
            let id = BatchId { stream: stream(n), seq: Seq(seq) };
            table.append(id, vec![rows(id, 10)], 5000, NOW).unwrap();
        }
        let start = Instant::now();
        table.commit(NOW).await.unwrap().unwrap();
        millis.push(start.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    let start = Instant::now();
    table.checkpoint().await.unwrap();
    let checkpoint = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let again = Table::open(store, Kind::Events, options, NOW).await.unwrap();
    let load = start.elapsed().as_secs_f64() * 1e3;
    assert_eq!(again.view().files.len(), files + 300);
    let beside = format!("beside {files} files and {streams} streams");
    figure(&format!("commit median, {beside}"), millis[150], "ms", Some(50.0));
    figure(&format!("commit p99, {beside}"), millis[296], "ms", None);
    figure(&format!("checkpoint, {beside}"), checkpoint, "ms", None);
    figure(&format!("load at start, {beside}"), load, "ms", None);
}

/// A million rows of so many streams that take turns, in batches of 16k rows.
async fn ingest(root: &Path, streams: usize) {
    let store = Arc::new(DurableLocal::new(root).unwrap());
    let options = Options { hot_limit: 4 << 30, ..Options::default() };
    let table = Table::open(store, Kind::Events, options, NOW).await.unwrap();
    let batches: Vec<_> = (0..61)
        .map(|i| {
            let id = BatchId { stream: stream(i % streams), seq: Seq(i as u64 + 1) };
            (id, rows(id, BATCH))
        })
        .collect();
    let total: usize = batches.iter().map(|(_, b)| b.num_rows()).sum();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let (mut files, mut bytes) = (0, 0);
    for group in batches.chunks(13) {
        for (id, rows) in group {
            table.append(*id, vec![rows.clone()], 8 << 20, NOW).unwrap();
        }
        let committed = table.commit(NOW).await.unwrap().unwrap();
        files += committed.files;
        bytes += committed.bytes;
    }
    let (wall, cpu, millions) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu, total as f64 / 1e6);
    let of = format!("batches in memory to committed Parquet, {streams} streams, {files} files");
    figure(&of, total as f64 / wall, "rows/s", None);
    figure(&of, cpu / millions, "CPU s/million", None);
    figure(&of, bytes as f64 / total as f64, "bytes/row", None);
    // One more entry after a checkpoint, for other readers to try.
    table.checkpoint().await.unwrap();
    let id = BatchId { stream: stream(0), seq: Seq(1000) };
    table.append(id, vec![rows(id, 1000)], 1 << 20, NOW).unwrap();
    table.commit(NOW).await.unwrap().unwrap();
}

/// One line of `make bench`; the goal is an upper bound.
fn figure(name: &str, value: f64, unit: &str, goal: Option<f64>) {
    let (ok, goal) = (goal.map(|g| value < g), goal.map_or(String::new(), |g| format!("< {g}")));
    let line = serde_json::json!({
        "figure": name, "value": value, "unit": unit, "goal": goal, "peer": null, "peer_value": null, "ok": ok,
    });
    println!("{line}");
}

fn stream(n: usize) -> StreamId {
    let mut host = [0; 16];
    host[..8].copy_from_slice(&(n as u64).to_be_bytes());
    StreamId { host: HostId::from_bytes(host), lane: Lane::DISK[0], epoch: Epoch(1) }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Rows as firewalls log them: scans from many addresses on few ports, about 25 columns filled.
fn rows(id: BatchId, n: usize) -> RecordBatch {
    let mut seed =
        id.seq.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(id.stream.to_string().as_bytes()[15]);
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let draws: Vec<u64> = (0..n).map(|_| next()).collect();
    let pick = |values: &[i64], shift: u32| -> Vec<i64> {
        draws.iter().map(|d| values[(d >> shift) as usize % values.len()]).collect()
    };
    let text = |f: &dyn Fn(u64) -> String| {
        Arc::new(StringViewArray::from_iter_values(draws.iter().map(|d| f(*d)))) as ArrayRef
    };
    let addr = |hosts: u64, shift: u32| -> ArrayRef {
        let all =
            draws.iter().map(|d| addr_from_v4(((0x0a00_0000 | ((d >> shift) % hosts)) as u32).to_be_bytes()));
        Arc::new(FixedSizeBinaryArray::try_from_iter(all).unwrap())
    };
    let schema = table_schema(Kind::Events);
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let times =
            |v: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(v).with_timezone("UTC")) as ArrayRef;
        let ints = |v: Vec<i64>| -> ArrayRef {
            match field.data_type() {
                DataType::Int16 => Arc::new(Int16Array::from_iter_values(v.iter().map(|x| *x as i16))),
                DataType::Int32 => Arc::new(Int32Array::from_iter_values(v.iter().map(|x| *x as i32))),
                _ => Arc::new(Int64Array::from(v)),
            }
        };
        let wide = |mask: u64, shift: u32| ints(draws.iter().map(|d| ((d >> shift) & mask) as i64).collect());
        match field.name().as_str() {
            "time" => times(
                (0..n as i64).map(|i| NOW.0 - 1_000_000 + i * 61 + (draws[i as usize] % 50) as i64).collect(),
            ),
            "received" => times(vec![NOW.0; n]),
            "host" => text(&|_| format!("web-{}.example.net", id.stream.to_string().as_bytes()[15])),
            "source" => text(&|_| "nflog".into()),
            "action" => text(&|d| (if d % 10 < 8 { "drop" } else { "reject" }).into()),
            "rule" => text(&|d| format!("tcp dport {{ 22, 23, 80 }} counter log group {} drop", d % 20)),
            "prefix" => text(&|d| format!("in-drop-{}: ", d % 20)),
            "family" => text(&|_| "inet".into()),
            "hook" => text(&|_| "input".into()),
            "in_if" => text(&|d| format!("eth{}", d % 3)),
            "mac_src" => text(&|d| format!("52:54:00:00:00:{:02x}", d % 4)),
            "mac_dst" => text(&|_| "52:54:00:12:34:56".into()),
            "ether_type" => ints(vec![0x0800; n]),
            "src" => addr(20_000, 7),
            "dst" => addr(16, 13),
            "proto" => ints(pick(&[6, 6, 6, 17, 1], 3)),
            "sport" => wide(0xffff, 20),
            "dport" => ints(pick(&[22, 23, 80, 443, 445, 3389, 8080, 5060, 1433, 3306], 9)),
            "length" => ints(pick(&[40, 44, 52, 60, 60, 60, 84, 120], 11)),
            "tos" => ints(pick(&[0, 0, 0, 8], 2)),
            "ttl" => ints(pick(&[48, 50, 51, 52, 53, 54, 113, 240], 15)),
            "ip_id" => wide(0xffff, 30),
            "tcp_flags" => ints(pick(&[2, 2, 2, 18, 16], 17)),
            "tcp_seq" => wide(0xffff_ffff, 16),
            "tcp_ack" => ints(vec![0; n]),
            "tcp_window" => ints(pick(&[1024, 65_535, 29_200, 64_240], 19)),
            "packets" => ints(vec![1; n]),
            "stream" => text(&|_| id.stream.to_string()),
            "seq" => ints(vec![id.seq.0 as i64; n]),
            "row" => ints((0..n as i64).collect()),
            _ => new_null_array(field.data_type(), n),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}
