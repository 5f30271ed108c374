"""ClickHouse (chdb) and DuckDB, in this process.

embedded.py load ENGINE PARQUET_FOLDER STORE    one line: rows, seconds, bytes, memory
embedded.py ask ENGINE STORE QUESTION           one line: cold, hot, answer; a process per question, cold files first
"""

import glob
import json
import os
import shutil
import time

from common import arguments, cells, cpu_s, evict, hex_addr, peak_mb, say, size, timed
from questions import ClickHouse, DuckDb, questions

os.environ["TZ"] = "UTC"

# The settings are those that measured best: zstd 3 and LowCardinality where there are few values, indexes that help.
Z = "CODEC(ZSTD(3))"
TABLE = f"""CREATE TABLE fw.ev (ts DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(3)), host LowCardinality(String) {Z},
prefix LowCardinality(String) {Z}, hook UInt8 {Z}, in_if LowCardinality(String) {Z}, out_if LowCardinality(String) {Z},
src_ip IPv6 {Z}, dst_ip IPv6 {Z}, proto UInt8 {Z}, src_port UInt16 {Z}, dst_port UInt16 {Z}, length UInt16 {Z},
ttl UInt8 {Z}, tcp_flags UInt8 {Z}, icmp_type UInt8 {Z}, icmp_code UInt8 {Z}, mark UInt32 {Z}, uid Nullable(UInt32) {Z},
mac LowCardinality(String) {Z}, country LowCardinality(String) {Z},
INDEX ix_src src_ip TYPE bloom_filter(0.01) GRANULARITY 2, INDEX ix_mm src_ip TYPE minmax GRANULARITY 1,
INDEX ix_dp dst_port TYPE set(256) GRANULARITY 1)
ENGINE = MergeTree PARTITION BY toDate(ts) ORDER BY ts SETTINGS index_granularity = 8192"""
COLUMNS = """ts, host, prefix, hook, ifNull(in_if, ''), ifNull(out_if, ''),
CAST(src_ip, 'IPv6'), CAST(dst_ip, 'IPv6'), proto, ifNull(src_port, 0), ifNull(dst_port, 0), length, ttl,
ifNull(tcp_flags, 0), ifNull(icmp_type, 0), ifNull(icmp_code, 0), mark, uid, ifNull(mac, ''), ifNull(country, '')"""


class Chdb:
    sql = ClickHouse

    def __init__(self, store):
        from chdb import session

        self.session = session.Session(store)

    def one(self, text):
        return int(str(self.session.query(text, "TSV")).strip() or 0)

    def load(self, files):
        self.session.query("CREATE DATABASE fw")
        self.session.query(TABLE)
        for file in files:
            self.session.query(
                f"INSERT INTO fw.ev SELECT {COLUMNS} FROM file('{file}', Parquet) SETTINGS max_threads = 2"
            )

    def settle(self):
        self.session.query("OPTIMIZE TABLE fw.ev FINAL")

    def bytes(self):
        return self.one("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'ev'")

    def rows(self):
        return self.one("SELECT count() FROM fw.ev")

    def ready(self):
        self.session.query("SELECT 1", "TSV")

    def ask(self, text):
        return str(self.session.query(text + " SETTINGS max_threads = 2", "TSV"))

    def answer(self, text):
        lines = str(self.session.query(text, "JSONCompactEachRow")).splitlines()
        return [json.loads(line) for line in lines if line]

    def close(self):
        self.session.close()


class Duck:
    sql = DuckDb

    def __init__(self, store):
        import duckdb

        self.path = store + "/db.duckdb"
        self.connection = duckdb.connect(self.path)
        self.connection.execute("SET threads = 2; SET TimeZone = 'UTC'; SET memory_limit = '8GB'")

    def load(self, files):
        for n, file in enumerate(files):
            begin = "CREATE TABLE ev AS" if n == 0 else "INSERT INTO ev"
            self.connection.execute(f"{begin} SELECT * FROM read_parquet('{file}')")
        self.connection.execute("CHECKPOINT")

    def settle(self):
        pass

    def bytes(self):
        return size(os.path.dirname(self.path))

    def rows(self):
        return self.connection.execute("SELECT count(*) FROM ev").fetchone()[0]

    def ready(self):
        self.connection.sql("SELECT now()").fetchall()

    def ask(self, text):
        return self.connection.sql(text).to_arrow_table()

    def answer(self, text):
        return self.connection.sql(text).fetchall()

    def close(self):
        self.connection.close()


ENGINES = {"clickhouse": Chdb, "duckdb": Duck}


def load(name, source, store):
    shutil.rmtree(store, ignore_errors=True)
    os.makedirs(store)
    files = sorted(glob.glob(source + "/*.parquet"))
    engine = ENGINES[name](store)
    begun, cpu = time.perf_counter(), cpu_s()
    engine.load(files)
    seconds, cpu = time.perf_counter() - begun, cpu_s() - cpu
    begun = time.perf_counter()
    engine.settle()
    settled = time.perf_counter() - begun
    rows, memory = engine.rows(), peak_mb()
    stored = engine.bytes()
    engine.close()
    say(engine=name, rows=rows, seconds=seconds, cpu_s=cpu, settle_s=settled, bytes=stored, memory_mb=memory)


def normal(question, rows):
    """A port that is not there is 0 in one engine and nothing in the other; addresses as people write them."""
    if question in ("Q3", "Q7a"):
        return [["" if row[0] in (0, None) else row[0], *row[1:]] for row in rows]
    if question in ("Q4", "Q5", "Q8"):
        return [[*row[:2], hex_addr(row[2]), hex_addr(row[3]), row[4] or "", row[5] or ""] for row in rows]
    if question in ("Q2", "Q7b"):
        return [[hex_addr(row[0]), *row[1:]] for row in rows]
    return rows


def ask(name, store, question):
    evict(store)
    engine = ENGINES[name](store)
    engine.ready()
    asked, compared = questions(engine.sql)[question]
    times = timed(lambda: engine.ask(asked))
    memory = peak_mb()
    answer = cells(normal(question, engine.answer(compared)))
    say(engine=name, question=question, memory_mb=memory, answer=answer, **times)


if __name__ == "__main__":
    verb, *rest = arguments()
    {"load": load, "ask": ask}[verb](*rest)
