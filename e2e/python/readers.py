"""What deltalake, DuckDB and Polars say of a table, again and again: an object of JSON in a line for each answer.

    readers.py TABLE

Goes on until its stdin ends, then asks each of them once more and says so (`"last": true`).

- deltalake reads by delta-rs and Arrow's Parquet reader;
- DuckDB by its extension `delta`, which is delta-kernel, and its own Parquet reader;
- Polars by delta-rs for the log and its own Parquet reader.
"""

import glob
import json
import select
import site
import sys

import duckdb
import polars
import pyarrow.compute
from deltalake import DeltaTable

path = sys.argv[1]
(extension,) = glob.glob(site.getsitepackages()[0] + "/duckdb_ext/extensions/*/*/delta.duckdb_extension")


def by_deltalake():
    table = DeltaTable(path)
    data = table.to_pyarrow_table(columns=["packets", "dport", "stream", "seq", "row"])
    names = data.group_by(["stream", "seq", "row"]).aggregate([]).num_rows
    packets = pyarrow.compute.sum(data["packets"]).as_py() or 0
    port = pyarrow.compute.sum(pyarrow.compute.equal(data["dport"], 22)).as_py() or 0
    return {"rows": data.num_rows, "names": names, "packets": packets, "port": port}


def by_duckdb():
    db = duckdb.connect()
    db.load_extension(extension)
    rows, names, packets, port = db.execute(
        f"""SELECT count(*), count(DISTINCT (stream, seq, row)), coalesce(sum(packets), 0), count(*) FILTER (dport = 22)
            FROM delta_scan('{path}')"""
    ).fetchone()
    return {"rows": rows, "names": names, "packets": int(packets), "port": port}


def by_polars():
    frame = polars.scan_delta(path)
    rows, names, packets, port = (
        frame.select(
            polars.len().alias("rows"),
            polars.struct("stream", "seq", "row").n_unique().alias("names"),
            polars.col("packets").sum().alias("packets"),
            (polars.col("dport") == 22).sum().alias("port"),
        )
        .collect()
        .row(0)
    )
    return {"rows": rows, "names": names if rows else 0, "packets": packets, "port": port}


def ask(last):
    for who, read in [("deltalake", by_deltalake), ("duckdb", by_duckdb), ("polars", by_polars)]:
        print(json.dumps({"who": who, "last": last, **read()}), flush=True)


while not select.select([sys.stdin], [], [], 0)[0]:
    ask(False)
ask(True)
history = DeltaTable(path).history()
print(json.dumps({"who": "log", "operations": [entry["operation"] for entry in history]}), flush=True)
