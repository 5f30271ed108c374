#!/usr/bin/env python3
"""Reads a table of the lake with delta-rs, DuckDB and Polars, and checks that they see the same.

Usage: read_lake.py FOLDER, where FOLDER holds `_delta_log`. How to install them: docs/adr/0001.
The table is copied; in the copy, the entries that a checkpoint covers are deleted, so that the checkpoint itself is
read as well.
"""

import json
import pathlib
import shutil
import sys
import tempfile


def marks(folder):
    """The last mark of each stream, from the entries of the log as plain text."""
    found = {}
    for entry in sorted(folder.glob("_delta_log/*.json")):
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "txn" in action:
                found[action["txn"]["appId"]] = action["txn"]["version"]
    return found


def delta_rs(folder, expected):
    import deltalake

    table = deltalake.DeltaTable(str(folder))
    for stream, version in expected.items():
        seen = table.transaction_version(stream)
        assert seen == version, f"{stream}: {seen} instead of {version}"
    data = table.to_pyarrow_table()
    print("delta-rs", deltalake.__version__, "version", table.version(), "rows", data.num_rows, "columns", data.num_columns)
    return table.version(), data.num_rows


def duckdb(folder):
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("INSTALL delta; LOAD delta")
        source = f"delta_scan('{folder}')"
    except Exception as error:
        print("duckdb: no delta extension here, reading the Parquet files instead:", str(error).splitlines()[0])
        source = f"read_parquet('{folder}/date=*/*.parquet', hive_partitioning = true)"
    rows = connection.execute(f"SELECT count(*), count(DISTINCT (stream, seq, row)), max(date) FROM {source}").fetchone()
    print("duckdb", duckdb.__version__, "rows, distinct, last day:", rows)
    assert rows[0] == rows[1]
    return rows[0]


def polars(folder):
    import polars

    frame = polars.scan_delta(str(folder)).select(polars.len()).collect()
    print("polars", polars.__version__, "rows", frame.item())
    return frame.item()


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    expected = marks(source)
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / "table"
        shutil.copytree(source, copy)
        version, rows = delta_rs(copy, expected)
        assert duckdb(copy) == rows
        assert polars(copy) == rows
        hint = copy / "_delta_log" / "_last_checkpoint"
        if not hint.exists():
            sys.exit("there is no checkpoint to read; ask for one first")
        covered = json.loads(hint.read_text())["version"]
        for entry in copy.glob("_delta_log/*.json"):
            if int(entry.stem) <= covered:
                entry.unlink()
        print("entries up to", covered, "deleted: from the checkpoint")
        assert delta_rs(copy, expected) == (version, rows)
        assert duckdb(copy) == rows
        assert polars(copy) == rows
    print("all agree")


if __name__ == "__main__":
    main()
