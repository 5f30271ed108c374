"""Asks a server everything that its API description names.

operations.py walk ADDRESS CA TOKEN DOCUMENT FOLDER   each operation: without a token, rightly, and as no question
operations.py wrong ADDRESS CA TOKEN                  questions that are wrong in what they say
operations.py tail ADDRESS CA TOKEN FILTER ROUNDS     a tail that is cut off again and again; prints the rows' ids
operations.py metrics ADDRESS CA TOKEN                the page for Prometheus
operations.py gone ADDRESS CA TOKEN                   questions that are cancelled, and clients that go away
"""
import http.client
import json
import socket
import ssl
import sys
import time

DONE = object()
# what is answered to whoever asks
OPEN = ("health", "sign_in", "invitation", "provider", "provider_begin", "provider_finish")


class Server:
    def __init__(self, address, ca, token):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.tls = ssl.create_default_context(cafile=ca)
        with open(token) as file:
            self.token = file.read().strip()

    def open(self, method, path, body=None, headers=(), kind="application/json", token=True):
        """The connection and the answer's head; with the token, with another one, or with none."""
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=60)
        given = dict(headers)
        if token:
            given["Authorization"] = f"Bearer {self.token if token is True else token}"
        if body is not None:
            given["Content-Type"] = kind
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, "/api/v1" + path, data, given)
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, **more):
        connection, answer = self.open(method, path, body, **more)
        text = answer.read()
        connection.close()
        return answer.status, answer.headers, text

    def json(self, method, path, body=None):
        status, _, text = self.ask(method, path, body)
        assert status in (200, 201), f"{method} {path}: {status} {text[:400]}"
        return json.loads(text)

    def lines(self, path, body):
        status, _, text = self.ask("POST", path, body)
        assert status == 200, f"{path}: {status} {text[:400]}"
        return [json.loads(line) for line in text.splitlines()]


TYPES = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "null": lambda v: v is None,
}


def fits(document, schema, value, where):
    """That a value is as it is described, and has no member that is not."""
    if "$ref" in schema:
        return fits(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], value, where)
    for part in schema.get("allOf", []):
        fits(document, part, value, where)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    assert not kinds or any(TYPES[kind](value) for kind in kinds), f"{where} is no {kinds}: {value}"
    if isinstance(value, list):
        for n, item in enumerate(value):
            fits(document, schema.get("items", {}), item, f"{where}[{n}]")
    if isinstance(value, dict) and "properties" in schema:
        missing = set(schema["required"]) - set(value)
        assert not missing, f"{where} has no {missing}: {value}"
        for name, member in value.items():
            known = schema["properties"].get(name, schema.get("additionalProperties"))
            assert known is not None, f"{where} has `{name}`, which is not described: {value}"
            fits(document, known, member, f"{where}.{name}")


def walk(server, document, folder):
    with open(document) as file:
        document = json.load(file)
    page = server.lines("/search", {"filter": "", "limit": 3})
    event = page[0]["id"]
    host = page[0]["host"]
    now = int(time.time() * 1e6)
    rows = {"filter": ""}
    right = {
        "search": {**rows, "limit": 3, "after": page[-1]["end"]["cursor"], "columns": ["time", "id"]},
        "count": rows,
        "top": {**rows, "by": ["host", "dport"]},
        "histogram": {**rows, "bucket_seconds": 3600, "by": ["action"]},
        "distinct": {**rows, "by": "src", "of": "dport"},
        "spread": {**rows, "ports": 1, "hosts": 0},
        "facets": {**rows, "fields": ["host", "src", "dst", "dport", "proto", "action", "prefix", "in"]},
        "compare": {**rows, "by": ["dport"], "since": now - 3600_000_000, "until": now},
        "losses": {},
        "ledger": {},
        "export": {**rows, "columns": ["id"]},
        "rules": ({"host": host}, 404),
        "rules_history": {"host": host},
        "rules_hits": ({"host": host}, 404),
        "event": {"id": event},
        "tail": DONE,
        "filter_check": {"filter": "dport:ssh src:public"},
        "unparsed": {},
        "queries": None,
        "queries_cancel": ({"id": "0-0"}, 404),
        "hosts": None,
        "senders": None,
        "authority": None,
        "authority_rotate": ({"finish": True}, 409),
        "tokens": None,
        "make_token": {"uses": 1, "group": "walk", "networks": ["192.0.2.0/24"]},
        "tokens_revoke": ({"id": "0123456789abcdef"}, 404),
        "hosts_revoke": ({"host": "nobody"}, 404),
        "hosts_retire": ({"host": "nobody"}, 404),
        "hosts_rename": ({"host": "nobody", "name": "somebody"}, 404),
        "hosts_approve": ({"host": host}, 404),
        "configure": {"target": "host:walk", "text": "caps.rule_rate = 5", "comment": "walk"},
        "configurations_history": {"target": "host:walk", "limit": 5},
        "configurations_rollback": {"version": 1},
        "enrich": None,
        "enrich_lookup": {"addresses": ["192.0.2.1", "2001:db8::1"]},
        "sets": None,
        "keep_view": {"name": "walk", "filter": "dport:22"},
        "views": None,
        "views_delete": {"name": "walk"},
        "groups": None,
        "open_import": {"format": "syslog", "name": "walk", "kinds": ["events"], "named": "walk"},
        "imports": None,
        "imports_rows": DONE,
        "imports_finish": DONE,
        "retention": None,
        "lake": None,
        "lake_verify": {"quick": True},
        "lake_compact": {},
        "lake_vacuum": {"dry_run": True},
        "lake_retain": {"dry_run": True},
        "lake_erase": {"addresses": ["203.0.113.250"], "dry_run": True},
        "lake_erasures": None,
        "lake_backup": {"to": folder},
        "lake_holds": None,
        "hold": {"name": "walk", "filter": "dport:22"},
        "lake_holds_release": {"name": "walk"},
        "metrics": None,
        "openapi": None,
        "health": None,
        "sign_in": {"token": server.token},
        "invitation": ({"code": "x", "password": "pale horse under the wire"}, 401),
        "provider": None,
        "provider_begin": ({"back": "/"}, 404),
        "provider_finish": ({"state": "x", "code": "y"}, 404),
        "me": None,
        "me_password": ({"old": "x", "new": "y"}, 403),
        "me_totp": ({"password": "x"}, 403),
        "me_totp_confirm": ({"code": "123456"}, 403),
        "me_totp_remove": ({"password": "x"}, 403),
        "add_user": {"name": "walk", "role": "analyst", "scope": "host:walk"},
        "users": None,
        "users_change": {"name": "walk", "role": "viewer", "scope": ""},
        "users_invite": {"name": "walk"},
        "users_delete": {"name": "walk"},
        "make_access": {"name": "walk", "role": "viewer", "days": 1},
        "access": None,
        "access_revoke": {"name": "walk"},
        "audit": {"limit": 10},
        "audit_verify": {},
        "session": (None, 404),
        "sign_out": (None, 404),
        "sessions": None,
        "sessions_revoke": ({"session": "x"}, 404),
        "sql": {"query": "SELECT count(*) FROM events"},
    }
    named = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named[operation["operationId"]] = (method.upper(), path)
    missing = sorted(set(named) ^ set(right))
    assert not missing, f"operations that only the description or only this walk knows: {missing}"
    for name, (method, path) in named.items():
        # whoever has no token learns nothing, not even whether the question makes sense
        for token in (None, "x", server.token[:-1]):
            for body in (None, b"{"):
                status, headers, text = server.ask(method, path, body, token=token)
                if name in OPEN:
                    # whether the server is there, and where somebody says who he is
                    assert status == 200 if name in ("health", "provider") else 400 <= status < 500, f"{name}: {status} {text[:400]}"
                    continue
                assert status == 401 and headers["www-authenticate"] == "Bearer", f"{name}: {status} {text[:400]}"
                assert headers["content-type"] == "application/problem+json", f"{name}: {headers['content-type']}"
    for name, body in right.items():
        if body is DONE:
            continue
        method, path = named[name]
        wanted = (200, 201, 204)
        if isinstance(body, tuple):
            body, wanted = body[0], (body[1],)
        # other work on the lake is waited for
        for _ in range(100):
            status, headers, text = server.ask(method, path, body)
            if status != 409:
                break
            time.sleep(0.1)
        assert status in wanted, f"{name}: {status} {text[:400]}"
        if status == 204:
            assert text == b"", f"{name}: {text[:400]}"
        elif headers["content-type"].startswith("application/x-ndjson"):
            end = json.loads(text.splitlines()[-1])["end"]
            assert end["complete"] is True, f"{name}: {end}"
        elif headers["content-type"] == "application/json":
            operation = document["paths"][path][method.lower()]["responses"][str(status)]
            fits(document, operation["content"]["application/json"]["schema"], json.loads(text), name)
        elif "json" in headers["content-type"]:
            fits(document, {"$ref": "#/components/schemas/Problem"}, json.loads(text), name)
        if method == "POST":
            # what is no question is a problem and never a fault
            for wrong in (b"", b"{", b"[]", b'{"nothing": 1}', b"\xff\xfe", b"[" * 60_000):
                if name in OPEN and len(wrong) > 1000:
                    continue
                status, headers, text = server.ask(method, path, wrong)
                assert 400 <= status < 500, f"{name} {wrong[:20]}: {status} {text[:400]}"
                assert headers["content-type"] == "application/problem+json", f"{name}: {headers['content-type']}"
        print(name)

    opened = server.json("POST", "/imports", {"format": "x", "name": "walk2", "kinds": ["events"], "named": "walk2"})
    base = f"/imports/{opened['import']}"
    query = f"?session={opened['session']}&kind=events&from=0&seq="
    status, _, text = server.ask("POST", base + "/rows" + query + "0", b"", kind="application/octet-stream")
    assert status == 200, f"imports_rows: {status} {text}"
    status, _, text = server.ask("POST", base + "/rows" + query + "9", b"junk", kind="application/octet-stream")
    assert status == 400, f"imports_rows: {status} {text}"
    print("imports_rows")
    done = server.json("POST", base + "/finish", {"session": opened["session"], "position": 0, "totals": {}})
    assert done["done"] is True, done
    print("imports_finish")
    connection, answer = server.open("POST", "/tail", {"filter": ""})
    assert answer.status == 200 and answer.readline().startswith(b"event: stats"), answer.status
    connection.close()
    print("tail")

    _, _, text = server.ask("GET", "/metrics")
    numbers = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    assert numbers['bartizan_ingest_rows_total{table="events"}'] == "500", numbers
    assert float(numbers["bartizan_queries_total"]) > 10 and "bartizan_resident_memory_bytes" in numbers, numbers


def wrong(server):
    """Questions that are wrong in what they say: each is refused with what is wrong, where, and what to do."""
    now = int(time.time() * 1e6)
    ports = ",".join(str(n) for n in range(1, 20_000))
    for name, body, status, kind, word, span in [
        # syntax, types and limits of a filter, with the place
        ("search", {"filter": "dport:"}, 400, "bad-filter", "needs a value", [0, 6]),
        ("count", {"filter": "host:a (dport:22"}, 400, "bad-filter", "never closed", [7, 8]),
        ("top", {"filter": "dport:notaport", "by": ["src"]}, 400, "bad-filter", "not a port", [6, 14]),
        ("facets", {"filter": "src:host.example", "fields": ["src"]}, 400, "bad-filter", "not looked up", [4, 16]),
        ("histogram", {"filter": "dprot:22", "bucket_seconds": 60}, 400, "bad-filter", "unknown field", [0, 5]),
        ("export", {"filter": "dport:22 80"}, 400, "bad-filter", "dport:22,80", [9, 11]),
        ("tail", {"filter": "10.0.*"}, 400, "bad-filter", "length of its prefix", [0, 6]),
        ("distinct", {"filter": "dport=22", "by": "src", "of": "dst"}, 400, "bad-filter", "dport:value", [0, 6]),
        ("search", {"filter": "(" * 2000 + "dport:22"}, 400, "bad-filter", "deeper than 64", [64, 65]),
        ("search", {"filter": "x" * 9000}, 400, "bad-filter", "8192 bytes", [8192, 9000]),
        ("search", {"filter": "group:nosuch"}, 400, "bad-filter", "unknown group", [6, 12]),
        ("unparsed", {"filter": "é dport:x"}, 400, "bad-filter", "not a port", [9, 10]),
        ("search", {"filter": 'prefix:~"(a*)*b{1000}{1000}"'}, 400, "bad-filter", "too large", [7, 28]),
        ("search", {"filter": "dport:" + ports}, 413, "bad-request", "@set", None),
        # places and times
        ("search", {"filter": "", "after": "nowhere"}, 400, "bad-cursor", "no cursor", None),
        ("tail", {"filter": "", "after": "x.y"}, 400, "bad-cursor", "no place in a tail", None),
        ("search", {"filter": "", "since": now, "until": now - 1}, 400, "bad-request", "after `until`", None),
        ("compare", {"filter": "", "by": ["src"], "since": 2, "until": 1}, 400, "bad-request", "after `until`", None),
        ("search", {"filter": "", "since": "yesterday"}, 422, "bad-request", "a time such as", None),
        # bounds
        ("search", {"filter": "", "limit": 0}, 400, "bad-request", "1 to", None),
        ("tail", {"filter": "", "rate": 0}, 400, "bad-request", "1 to", None),
        ("facets", {"filter": "", "fields": ["host"] * 17}, 400, "bad-question", "1 to 16", None),
        ("top", {"filter": "", "by": ["src"] * 20}, 400, "bad-question", "1 to 8", None),
        ("histogram", {"filter": "", "bucket_seconds": 0}, 400, "bad-request", "1 to", None),
        ("search", {"filter": "", "columns": ["nope"]}, 400, "bad-question", "`nope`", None),
        ("search", {"filter": "", "columns": ["id"] * 2}, 400, "bad-request", "twice", None),
        ("search", {"filter": "", "untill": now}, 422, "bad-request", "`untill`", None),
        # SQL
        ("sql", {"query": "DROP TABLE events"}, 400, "bad-question", "only questions", None),
        ("sql", {"query": "SELECT nope FROM events"}, 400, "bad-question", "nope", None),
        ("sql", {"query": "SELECT " + "(" * 5000 + "1" + ")" * 5000}, 400, "bad-question", "50 deep", None),
        ("sql", {"query": "SELECT 1" + "+1" * 20_000}, 400, "bad-question", "IN (", None),
        ("sql", {"query": f"SELECT 1 FROM events WHERE dport IN ({ports})"}, 413, "bad-request", "bytes", None),
        # more than one question may have of the memory
        ("facets", {"filter": "", "fields": ["src", "sport", "ip_id", "row"]}, 422, "too-large", "narrow", None),
        ("sql", {"query": "SELECT * FROM events ORDER BY sport"}, 422, "too-large", "narrow", None),
        ("sql", {"query": "SELECT a.sport, b.sport, count(*) FROM events a, events b GROUP BY 1, 2"}, 422, "too-large", "narrow", None),
    ]:
        got, headers, text = server.ask("POST", "/" + name, body)
        asked = f"{name} {str(body)[:80]}: {got} {text[:300]}"
        assert got == status and headers["content-type"] == "application/problem+json", asked
        problem = json.loads(text)
        assert problem["type"] == "urn:bartizan:" + kind and word in problem["detail"], asked
        assert problem.get("span") == (span and {"start": span[0], "end": span[1]}), asked
        print(name)
    # what shows when rows were given already is told behind them
    end = server.lines("/search", {"filter": "", "limit": 100_000})[-1]["end"]
    assert end["complete"] is False and end["problem"]["type"] == "urn:bartizan:too-large", end
    # a long list is no fault
    some = ",".join(str(n) for n in range(1, 1_700))
    most = ",".join(str(n) for n in range(1, 11_000))
    assert server.json("POST", "/count", {"filter": "dport:" + some})["rows"] > 0
    rows = server.lines("/sql", {"query": f"SELECT count(*) AS n FROM events WHERE dport IN ({most})"})
    assert rows[1]["n"] > 0, rows


def events(answer):
    """Server-sent events: name, id, data."""
    event = {}
    while True:
        line = answer.readline()
        if not line:
            return
        line = line.decode().rstrip("\n")
        if not line:
            yield event.get("event"), event.get("id"), json.loads(event["data"])
            event = {}
        else:
            key, _, value = line.partition(": ")
            event[key] = value


def tail(server, filter, rounds):
    """Prints each row's id; is cut off so often, says so, and ends with a row whose port is 9."""
    after = None
    for round in range(int(rounds) + 1):
        headers = [("Last-Event-ID", after)] if after and round % 2 else []
        body = {"filter": filter, "after": after} if after and not headers else {"filter": filter}
        connection, answer = server.open("POST", "/tail", body, headers=headers)
        assert answer.status == 200, answer.read()
        left = 1 + round * 7 % 23
        if round in (0, int(rounds)):
            print("ready" if round == 0 else "whole", flush=True)
        for name, at, data in events(answer):
            assert name in ("row", "stats"), data
            after = at
            if name == "row":
                print(data["id"], data["dport"], flush=True)
                if data["dport"] == 9:
                    return
            else:
                assert data["skipped"] == 0 and data["missed"] == 0, data
            left -= 1 if name == "row" else 5
            if left <= 0 and round < int(rounds):
                break
        # as a cable that is pulled
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


def gone(server):
    """Questions end when they are cancelled, and when their client goes away."""
    def running():
        return {query["id"]: query for query in server.json("GET", "/queries")}

    def wait(what, true):
        for _ in range(600):
            if true():
                return
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {what}: {running()}")

    connection, answer = server.open("POST", "/tail", {"filter": "dport:1"})
    name = answer.headers["bartizan-query"]
    assert running()[name]["question"] == {"filter": "dport:1"}
    connection.close()
    answer.close()
    wait("a tail to end with its reader", lambda: name not in running())

    # an answer larger than every buffer on the way, of which nothing is read
    connection, answer = server.open("POST", "/export", {"filter": ""})
    name = answer.headers["bartizan-query"]
    assert name in running()
    assert server.json("POST", "/queries/cancel", {"id": name}) == {"cancelled": name}
    last = answer.read().splitlines()[-1]
    end = json.loads(last)["end"]
    assert end["complete"] is False and end["problem"]["type"] == "urn:bartizan:cancelled", end
    wait("a cancelled question to end", lambda: name not in running())
    connection, answer = server.open("POST", "/export", {"filter": ""})
    name = answer.headers["bartizan-query"]
    connection.close()
    answer.close()
    wait("an export to end with its reader", lambda: name not in running())


def metrics(server):
    """The page for Prometheus."""
    status, _, text = server.ask("GET", "/metrics")
    assert status == 200, text
    print(text.decode(), end="")


what, address, ca, token, *rest = sys.argv[1:]
{"walk": walk, "wrong": wrong, "tail": tail, "gone": gone, "metrics": metrics}[what](Server(address, ca, token), *rest)
