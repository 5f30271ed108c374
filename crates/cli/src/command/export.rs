//! All rows that match, however many, for other programs.

use super::ask::{PATIENCE, add_range, each_row, question};
use crate::{
    args::{ConnectionArgs, ExportArgs, ExportFormat},
    client::Client,
    clock,
    columns::{self, Column},
    connection::Connection,
    escape::HarmlessLines,
    failure::{Failure, talk},
    pcap::Pcap,
    render::{Format, Rows, Style},
    syntax,
};
use anyhow::Context as _;
use bartizan_model::Kind;
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::{
    fs,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

pub(crate) async fn export(args: &ConnectionArgs, export: ExportArgs, style: Style) -> Result<(), Failure> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == export.table).unwrap_or(Kind::Events);
    syntax::check_before_asking(kind, &export.filter)?;
    if export.output == ExportFormat::Pcap && (kind != Kind::Events || !export.columns.is_empty()) {
        return Err(Failure::Usage("only events have packets, and a capture file has no columns".into()));
    }
    if export.output == ExportFormat::Logemu && (kind != Kind::Events || !export.columns.is_empty()) {
        return Err(Failure::Usage("only events are lines, and a line has no columns".into()));
    }
    let named = columns::wanted(kind, &export.columns)?;
    let mut question = question(kind, &export.filter);
    add_range(&mut question, &export.range)?;
    if !named.is_empty() {
        question["columns"] = named.iter().map(|c| c.name.as_str()).collect();
    }
    let client = Client::new(Connection::find(args)?)?;
    let mut target = Target::open(export.to.as_deref(), export.output)?;
    let style = Style { terminal: style.terminal && export.to.is_none(), ..style };
    let done = write(&client, kind, question, named, export.output, style, &mut target).await;
    done.map_err(|failure| syntax::with_text(failure, &export.filter))?;
    target.keep()
}

async fn write(
    client: &Client,
    kind: Kind,
    mut question: Value,
    named: Vec<Column>,
    format: ExportFormat,
    style: Style,
    target: &mut Target,
) -> Result<(), Failure> {
    const PATH: &str = "/api/v1/export";
    match format {
        ExportFormat::Arrow | ExportFormat::Parquet => {
            question["format"] = if format == ExportFormat::Arrow { "arrow" } else { "parquet" }.into();
            copy(client.post_stream(PATH, &question).await?, &mut target.out).await
        }
        ExportFormat::Logemu => {
            question["format"] = "logemu".into();
            if let Some(name) = clock::now().1.iana_name() {
                question["zone"] = name.into();
            }
            copy(client.post_stream(PATH, &question).await?, &mut target.out).await
        }
        ExportFormat::Pcap => {
            question["columns"] = ["time", "payload"].into_iter().collect();
            question["payload"] = true.into();
            pcap(client.post_stream(PATH, &question).await?, &mut target.out).await
        }
        ExportFormat::Ndjson | ExportFormat::Csv => {
            let columns = if named.is_empty() { columns::all(kind) } else { named };
            let format = if format == ExportFormat::Csv { Format::Csv } else { Format::Ndjson };
            let (_, zone) = clock::now();
            let response = client.post_stream(PATH, &question).await?;
            let mut rows = Rows::new(format, columns, style, zone, &mut target.out);
            let end = each_row(response, |line| rows.line(line)).await;
            rows.finish()?;
            end.map(drop)
        }
    }
}

/// A file as the server makes it.
async fn copy(response: http::Response<hyper::body::Incoming>, out: &mut impl Write) -> Result<(), Failure> {
    let mut body = response.into_body();
    let broke = |why: String| Failure::Partial(format!("the file broke off and is not whole: {why}"));
    loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await {
            Err(_) => return Err(broke("the server has fallen silent".into())),
            Ok(None) => return Ok(out.flush()?),
            Ok(Some(Err(error))) => return Err(broke(error.to_string())),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    out.write_all(&data)?;
                }
            }
        }
    }
}

async fn pcap(response: http::Response<hyper::body::Incoming>, out: &mut impl Write) -> Result<(), Failure> {
    let mut pcap = Pcap::new(out)?;
    let (mut written, mut others) = (0_u64, 0_u64);
    let end = each_row(response, |line| {
        let wrong =
            |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("a row of the answer: {what}"));
        let row: Value = serde_json::from_str(line).map_err(|e| wrong(&e.to_string()))?;
        let payload = row["payload"].as_str().ok_or_else(|| wrong("no payload"))?;
        let bytes = data_encoding::HEXLOWER.decode(payload.as_bytes()).map_err(|_| wrong("its payload"))?;
        let time: jiff::Timestamp =
            row["time"].as_str().and_then(|t| t.parse().ok()).ok_or_else(|| wrong("its time"))?;
        if pcap.packet(time.as_microsecond(), &bytes)? {
            written += 1
        } else {
            others += 1
        }
        Ok(())
    })
    .await;
    pcap.finish()?;
    if others > 0 {
        talk(&format!("-- {others} of {} packets are not IP packets and left out --", written + others));
    }
    if written == 0 && end.is_ok() {
        talk(
            "-- no event here has the bytes of its packet; agents keep them for the prefixes that they are told --",
        );
    }
    end.map(drop)
}

/// Where it goes: stdout, or a file that gets its name when it is whole.
struct Target {
    out: Box<dyn Write>,
    file: Option<(PathBuf, PathBuf)>,
}

impl Target {
    fn open(to: Option<&Path>, format: ExportFormat) -> Result<Self, Failure> {
        let Some(path) = to else {
            let binary = matches!(format, ExportFormat::Arrow | ExportFormat::Parquet | ExportFormat::Pcap);
            if binary && io::stdout().is_terminal() {
                return Err(Failure::Usage("that is no text for a terminal; give --to FILE".into()));
            }
            let out = BufWriter::new(io::stdout());
            // The server writes these lines; whatever else is text is made harmless where it is written.
            let lines = format == ExportFormat::Logemu && io::stdout().is_terminal();
            let out: Box<dyn Write> = if lines { Box::new(HarmlessLines::new(out)) } else { Box::new(out) };
            return Ok(Self { out, file: None });
        };
        let mut name = path.file_name().ok_or_else(|| Failure::Usage("--to needs a file".into()))?.to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = fs::File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
        Ok(Self { out: Box::new(BufWriter::new(file)), file: Some((part, path.to_owned())) })
    }

    fn keep(mut self) -> Result<(), Failure> {
        self.out.flush()?;
        if let Some((part, path)) = &self.file {
            fs::rename(part, path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.file = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.file {
            // What is not whole helps nobody; if it stays, its name says so.
            drop(fs::remove_file(part));
        }
    }
}
