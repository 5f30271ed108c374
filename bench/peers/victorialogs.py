"""VictoriaLogs: a server of its own on a loopback port, fed with JSON lines and asked over HTTP.

The program is `victoria-logs` of the path, or what VICTORIA_LOGS names.

victorialogs.py load JSON_FOLDER STORE ROWS     the last ROWS rows; one line: rows, seconds, bytes, memory
victorialogs.py ask STORE QUESTION...           a line per question, the server started anew on cold files for each
"""

import glob
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse

from common import HOST, NEEDLE, addr, arguments, cells, evict, peak_mb, say, size, timed

PROGRAM = os.environ.get("VICTORIA_LOGS") or shutil.which("victoria-logs")
DAY = "_time:[2026-11-22T00:00:00Z, 2026-11-23T00:00:00Z)"
HOUR = "_time:[2026-11-22T23:00:00Z, 2026-11-23T00:00:00Z)"
ALL = "_time:[2026-10-01T00:00:00Z, 2026-11-23T00:00:00Z)"
BATCH = 50_000
NEWEST = "sort by (_time desc) limit 100"
QUESTIONS = {
    "Q1": f"{DAY} | stats by (_time:1m) count() c",
    "Q2": f"{ALL} | stats by (src_ip) count() c | sort by (c desc, src_ip) limit 20",
    "Q3": f'{HOUR} "oob.prefix":="DROP-IN " | stats by (dest_port) count() c | sort by (c desc, dest_port) limit 20',
    "Q4": f'{ALL} src_ip:="{NEEDLE}" | {NEWEST}',
    "Q5": f'{ALL} src_ip:ipv4_range("203.0.113.0/24") dest_port:="22" | {NEWEST}',
    "Q6": f'{ALL} | stats by (dvc, "oob.prefix") count() c',
    "Q7a": f"{DAY} | stats by (dest_port) count_uniq(src_ip) c | sort by (c desc, dest_port) limit 50",
    "Q7b": f"{DAY} | stats by (src_ip) count_uniq(dest_port) p, count_uniq(dvc) h, count() c"
    " | filter p:>100 h:>5 | sort by (p desc, src_ip) limit 100",
    "Q8": f'{ALL} dvc:="{HOST}" !dest_port:="443" | {NEWEST}',
    "Q9": f'{ALL} "oob.prefix":SCAN | stats by (dvc) count() c | sort by (c desc, dvc) limit 20',
    "Q10": f"{ALL} | stats by (src_country) count() c | sort by (c desc, src_country) limit 20",
}
KEYS = {
    "Q1": ["_time", "c"],
    "Q2": ["src_ip", "c"],
    "Q3": ["dest_port", "c"],
    "Q6": ["dvc", "oob.prefix", "c"],
    "Q7a": ["dest_port", "c"],
    "Q7b": ["src_ip", "p", "h", "c"],
    "Q9": ["dvc", "c"],
    "Q10": ["src_country", "c"],
}
ROW = ["_time", "dvc", "src_ip", "dest_ip", "src_port", "dest_port"]


class Server:
    def __init__(self, store):
        self.store = store
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        log = open(store + ".log", "a")
        settings = [f"-storageDataPath={store}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y"]
        settings += ["-search.maxQueryDuration=120s", "-futureRetention=10y"]
        self.process = subprocess.Popen([PROGRAM, *settings], stdout=log, stderr=log)
        for _ in range(400):
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("victoria-logs does not listen")

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        connection.request(method, path, body)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {said[:300]}")
        return said

    def get(self, path):
        return self.request("GET", path)

    def ask(self, query):
        return self.get("/select/logsql/query?" + urllib.parse.urlencode({"query": query}))

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def load(source, store, rows):
    shutil.rmtree(store, ignore_errors=True)
    os.makedirs(store)
    # what is sent is read before: reading is not measured
    kept, count = [], 0
    for name in reversed(sorted(glob.glob(source + "/*.json"))):
        with open(name, "rb") as file:
            lines = file.readlines()
        kept = lines + kept
        count += len(lines)
        if count >= int(rows):
            break
    kept = kept[-int(rows) :]
    batches = [b"".join(kept[at : at + BATCH]) for at in range(0, len(kept), BATCH)]
    count = len(kept)
    del kept
    server = Server(store)
    try:
        begun = time.perf_counter()
        for batch in batches:
            server.request("POST", "/insert/jsonline?_time_field=timestamp&_stream_fields=dvc", batch)
        server.get("/internal/force_flush")
        seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        server.get("/internal/force_merge")
        held, quiet = None, 0
        while quiet < 4 and time.perf_counter() - begun < 30:
            time.sleep(0.5)
            now = size(store)
            quiet, held = (quiet + 1, held) if now == held else (0, now)
        settled = time.perf_counter() - begun
        found = json.loads(server.ask(f"{ALL} | stats count() c"))["c"]
        assert int(found) == count, f"{found} of {count} rows"
        memory = peak_mb(server.process.pid)
    finally:
        server.stop()
    say(engine="victorialogs", rows=count, seconds=seconds, settle_s=settled, bytes=size(store), memory_mb=memory)


def micros(text):
    """Of a time in UTC with up to nine digits of a second."""
    whole, _, part = text.rstrip("Z").partition(".")
    seconds = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))) - time.timezone
    return seconds * 1_000_000 + int((part + "000000")[:6])


def compared(question, said):
    found = [json.loads(line) for line in said.splitlines()]
    rows = [[one.get(key, "") for key in KEYS.get(question, ROW)] for one in found]
    if question in ("Q1", "Q4", "Q5", "Q8"):
        rows = [[micros(row[0]), *row[1:]] for row in rows]
    if question == "Q1":
        rows.sort()
    elif question == "Q6":
        rows.sort(key=lambda row: (-int(row[2]), row[0], row[1]))
    elif question in ("Q2", "Q7b"):
        rows = [[addr(row[0]), *row[1:]] for row in rows]
    return rows


def ask(store, *names):
    for name in names:
        evict(store)
        server = Server(store)
        try:
            query = QUESTIONS[name]
            times = timed(lambda: server.ask(query))
            answer = cells(compared(name, server.ask(query)))
            memory = peak_mb(server.process.pid)
            say(engine="victorialogs", question=name, memory_mb=memory, answer=answer, **times)
        except RuntimeError as error:
            say(engine="victorialogs", question=name, error=str(error))
        finally:
            server.stop()


if __name__ == "__main__":
    verb, *rest = arguments()
    {"load": load, "ask": ask}[verb](*rest)
