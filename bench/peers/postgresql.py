"""PostgreSQL with the columns of ulogd2's flat table: a server of its own on a unix socket, asked with psql.

postgresql.py load TSV_FOLDER STORE ROWS     the last ROWS rows; one line: rows, seconds, bytes
postgresql.py ask STORE QUESTION...          a line per question, the server started anew on cold files for each
"""

import glob
import os
import re
import shutil
import subprocess
import time

from common import HIGH, HOST, LOW, NEEDLE, NOW_S, addr, arguments, cells, evict, say

BINARIES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
SETTINGS = """listen_addresses = ''
shared_buffers = 2GB
work_mem = 256MB
maintenance_work_mem = 1GB
max_wal_size = 8GB
effective_cache_size = 8GB
"""
# ulogd2's pgsql-ulogd2-flat.sql, the columns that these events fill, with the indexes that it makes on them; beside
# them host, uid and country, and an index on the time, without which every question of a window reads all.
TABLE = """CREATE TABLE ulog2 (_id bigserial PRIMARY KEY, oob_time_sec integer, oob_time_usec integer, oob_hook smallint,
oob_prefix varchar(32), oob_mark integer, oob_in varchar(32), oob_out varchar(32), oob_family smallint,
ip_saddr_str inet, ip_daddr_str inet, ip_protocol smallint, ip_ttl smallint, ip_totlen integer, mac_saddr_str macaddr,
tcp_sport integer, tcp_dport integer, tcp_urg boolean, tcp_ack boolean, tcp_psh boolean, tcp_rst boolean,
tcp_syn boolean, tcp_fin boolean, udp_sport integer, udp_dport integer, sctp_sport integer, sctp_dport integer,
icmp_type smallint, icmp_code smallint,
icmpv6_type smallint, icmpv6_code smallint, uid integer, host text, country text);
CREATE INDEX ON ulog2 (oob_family); CREATE INDEX ON ulog2 (ip_saddr_str); CREATE INDEX ON ulog2 (ip_daddr_str);
CREATE INDEX ON ulog2 (tcp_sport); CREATE INDEX ON ulog2 (tcp_dport); CREATE INDEX ON ulog2 (udp_sport);
CREATE INDEX ON ulog2 (udp_dport); CREATE INDEX ON ulog2 (oob_time_sec);"""
COLUMNS = """oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family, ip_saddr_str,
ip_daddr_str, ip_protocol, ip_ttl, ip_totlen, mac_saddr_str, tcp_sport, tcp_dport, tcp_urg, tcp_ack, tcp_psh, tcp_rst,
tcp_syn, tcp_fin, udp_sport, udp_dport, sctp_sport, sctp_dport, icmp_type, icmp_code, icmpv6_type,
icmpv6_code, uid, host, country"""
BATCH = 50_000
PATIENCE_S = 30


def questions():
    port, day, hour = "coalesce(tcp_dport, udp_dport, sctp_dport)", NOW_S - 86_400, NOW_S - 3600
    newest = "ORDER BY oob_time_sec DESC, oob_time_usec DESC LIMIT 100"
    row = (
        "oob_time_sec::bigint * 1000000 + oob_time_usec, host, ip_saddr_str, ip_daddr_str,"
        f" coalesce(tcp_sport, udp_sport, sctp_sport), {port}"
    )

    def rows(where):
        return f"SELECT * FROM ulog2 WHERE {where} {newest}", f"SELECT {row} FROM ulog2 WHERE {where} {newest}"

    def both(text):
        return text, text

    return {
        "Q1": both(
            f"SELECT oob_time_sec / 60 * 60000000::bigint m, count(*) FROM ulog2 WHERE oob_time_sec >= {day}"
            " GROUP BY 1 ORDER BY 1"
        ),
        "Q2": both("SELECT ip_saddr_str, count(*) FROM ulog2 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"),
        "Q3": both(
            f"SELECT {port}, count(*) FROM ulog2 WHERE oob_prefix = 'DROP-IN ' AND oob_time_sec >= {hour}"
            " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
        ),
        "Q4": rows(f"ip_saddr_str = '{NEEDLE}'"),
        "Q5": rows(
            f"ip_saddr_str BETWEEN '{LOW}' AND '{HIGH}' AND (tcp_dport = 22 OR udp_dport = 22 OR sctp_dport = 22)"
        ),
        "Q6": both(
            "SELECT host, oob_prefix, count(*) FROM ulog2 GROUP BY 1, 2"
            ' ORDER BY 3 DESC, host COLLATE "C", oob_prefix COLLATE "C"'
        ),
        "Q7a": both(
            f"SELECT {port}, count(DISTINCT ip_saddr_str) FROM ulog2 WHERE oob_time_sec >= {day}"
            " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50"
        ),
        "Q7b": both(
            f"SELECT ip_saddr_str, count(DISTINCT {port}), count(DISTINCT host), count(*) FROM ulog2"
            f" WHERE oob_time_sec >= {day} GROUP BY 1 HAVING count(DISTINCT {port}) > 100"
            " AND count(DISTINCT host) > 5 ORDER BY 2 DESC, 1 LIMIT 100"
        ),
        "Q8": rows(f"host = '{HOST}' AND {port} IS DISTINCT FROM 443"),
        "Q9": both(
            "SELECT host, count(*) FROM ulog2 WHERE oob_prefix LIKE '%SCAN%' GROUP BY 1"
            ' ORDER BY 2 DESC, host COLLATE "C" LIMIT 20'
        ),
        "Q10": both("SELECT country, count(*) FROM ulog2 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"),
    }


class Server:
    def __init__(self, store):
        self.store, self.data = os.path.abspath(store), os.path.abspath(store) + "/data"

    def run(self, program, *arguments):
        command = [f"{BINARIES}/{program}", *arguments]
        if os.getuid() == 0:
            # the folders above may be closed to it
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        done = subprocess.run(command, cwd=self.store, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr[-500:]}")

    def make(self):
        shutil.rmtree(self.store, ignore_errors=True)
        os.makedirs(self.store)
        if os.getuid() == 0:
            shutil.chown(self.store, "postgres", "postgres")
        self.run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", self.data)
        with open(self.data + "/postgresql.conf", "a") as settings:
            settings.write(SETTINGS + f"unix_socket_directories = '{self.store}'\n")

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-l", self.store + "/log", "-w", "start")

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")

    def psql(self, text, source=None):
        command = [f"{BINARIES}/psql", "-X", "-q", "-h", self.store, "-U", "postgres", "-d", "postgres", "-At"]
        command += ["-v", "ON_ERROR_STOP=1", "-F", "\t", "-f", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[-500:])
        return done.stdout


def batches(source, rows):
    """The last rows, as a script of COPY commands of a batch each."""
    files, kept = sorted(glob.glob(source + "/*.tsv")), []
    for name in reversed(files):
        with open(name) as file:
            kept = file.readlines() + kept
        if len(kept) >= rows:
            break
    kept = kept[-rows:]
    parts = []
    for at in range(0, len(kept), BATCH):
        parts.append(f"COPY ulog2 ({COLUMNS}) FROM STDIN;\n".replace("\n", " ") + "\n")
        parts += [*kept[at : at + BATCH], "\\.\n"]
    return len(kept), "".join(parts)


def load(source, store, rows):
    server = Server(store)
    server.make()
    server.start()
    try:
        server.psql(TABLE)
        count, script = batches(source, int(rows))
        begun = time.perf_counter()
        server.psql(script)
        seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        server.psql("VACUUM ANALYZE ulog2")
        settled = time.perf_counter() - begun
        stored = int(server.psql("SELECT pg_total_relation_size('ulog2')"))
        assert count == int(server.psql("SELECT count(*) FROM ulog2"))
    finally:
        server.stop()
    say(engine="postgresql", rows=count, seconds=seconds, settle_s=settled, bytes=stored)


def normal(question, rows):
    if question in ("Q2", "Q7b"):
        return [[addr(row[0]), *row[1:]] for row in rows]
    if question in ("Q4", "Q5", "Q8"):
        return [[*row[:2], addr(row[2]), addr(row[3]), *row[4:]] for row in rows]
    return rows


def ask(store, *names):
    server, known = Server(store), questions()
    for name in names:
        asked, compared = known[name]
        evict(server.data)
        server.start()
        try:
            script = f"SET statement_timeout = '{PATIENCE_S}s';\nSELECT 1;\n\\timing on\n\\o /dev/null\n"
            said = server.psql(script + f"{asked};\n" * 3)
            times = [float(found) for found in re.findall(r"Time: ([0-9.]+) ms", said)]
            rows = [line.split("\t") for line in server.psql(compared).splitlines()]
            hot = sorted(times[1:])[len(times[1:]) // 2]
            answer = cells(normal(name, rows))
            say(engine="postgresql", question=name, cold_ms=times[0], hot_ms=hot, times=2, answer=answer)
        except RuntimeError as error:
            say(engine="postgresql", question=name, error=str(error))
        finally:
            server.stop()


if __name__ == "__main__":
    verb, *rest = arguments()
    {"load": load, "ask": ask}[verb](*rest)
