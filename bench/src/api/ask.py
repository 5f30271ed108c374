"""Asks a server as programs do, and measures: one line of JSON.

ask.py search ADDRESS CA TOKEN SINCE UNTIL QUESTIONS   milliseconds to the first rows of random filters, each new
ask.py facets ADDRESS CA TOKEN SINCE UNTIL QUESTIONS   milliseconds of facets on eight fields, of all rows and of random filters
ask.py tails ADDRESS CA TOKEN FILTER COUNT             so many tails until stdin ends; what they were told in the end;
                                                       `{}` in the filter is the number of the tail, in three digits
"""
import asyncio
import http.client
import json
import random
import ssl
import sys
import time

FIELDS = ["host", "src", "dst", "dport", "proto", "action", "prefix", "in"]


class Server:
    def __init__(self, address, ca, token):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.tls = ssl.create_default_context(cafile=ca)
        with open(token) as file:
            self.token = file.read().strip()
        self.connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=120)

    def ask(self, path, question):
        """Milliseconds to the first line and to the end, and the answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        begun = time.perf_counter()
        self.connection.request("POST", "/api/v1" + path, json.dumps(question), headers)
        answer = self.connection.getresponse()
        first = answer.readline()
        at = time.perf_counter()
        rest = answer.read()
        done = time.perf_counter()
        assert answer.status == 200, (question, first)
        return (at - begun) * 1e3, (done - begun) * 1e3, first + rest


def filters(server, window, count):
    """Filters of what there is: values as a person meets them, frequent and rare, alone and together."""
    draw = random.Random(11)
    _, _, text = server.ask("/facets", {"filter": "", **window, "fields": FIELDS, "limit": 500})
    values = {facet["field"]: [v["value"] for v in facet["values"] if "value" in v] for facet in json.loads(text)["facets"]}
    net = lambda address: address.rsplit(".", 1)[0] + ".0/24" if "." in address else address.rsplit(":", 1)[0] + ":0/112"
    kinds = [
        lambda pick: f"src:{pick('src')}",
        lambda pick: f"src:{net(pick('src'))}",
        lambda pick: f"dport:{pick('dport')}",
        lambda pick: f"host:{pick('host')}",
        lambda pick: f"host:{pick('host')} -dport:{pick('dport')},{pick('dport')}",
        lambda pick: f"dport:{pick('dport')} action:{pick('action')}",
        lambda pick: f"ip:{pick('dst')} proto:{pick('proto')}",
        lambda pick: f'prefix:"{pick("prefix")}" host:{pick("host").split("-")[0]}*',
        lambda pick: f"src:public dport:{draw.randint(1, 65535)}",
        lambda pick: f"src.country:{draw.choice(['CN', 'US', 'NL', 'DE', 'BR'])} dport:{draw.randint(1, 1023)}-{draw.randint(1024, 40000)}",
        lambda pick: f"(dport:{pick('dport')} OR src:{pick('src')}) flags:syn -flags:ack",
        lambda pick: f"src:203.0.{draw.randint(0, 255)}.{draw.randint(0, 255)}",
    ]
    seen = set()
    while len(seen) < count:
        filter = draw.choice(kinds)(lambda field: draw.choice(values[field]))
        if filter not in seen:
            seen.add(filter)
            yield filter


def search(server, since, until, count):
    window = {"since": int(since), "until": int(until)}
    all = list(filters(server, window, int(count)))
    first, page, rows, slow = [], [], [], []
    for filter in all:
        a, b, text = server.ask("/search", {"filter": filter, **window, "limit": 200})
        first.append(a)
        page.append(b)
        rows.append(text.count(b"\n") - 1)
        slow.append((a, filter))
    return {"first": first, "page": page, "rows": rows, "slowest": sorted(slow)[-8:]}


def facets(server, since, until, count):
    window = {"since": int(since), "until": int(until)}
    whole, some, slow = [], [], []
    for filter in [""] + list(filters(server, window, int(count))):
        _, took, text = server.ask("/facets", {"filter": filter, **window, "fields": FIELDS})
        (some if filter else whole).append(took)
        slow.append((took, filter))
    return {"whole": whole, "some": some, "slowest": sorted(slow)[-8:]}


async def opened(server, filter, turns):
    """A tail that was asked for. In turns: the server shakes hands with few of one address at once, and ends the rest."""
    async with turns:
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=server.tls)
    body = json.dumps({"filter": filter})
    head = f"POST /api/v1/tail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return reader, writer


async def tail(reader, writer, end):
    """The last totals and the rows that were seen."""
    totals, rows, name = {}, 0, None
    while not end.is_set():
        try:
            line = await asyncio.wait_for(reader.readline(), 0.5)
        except asyncio.TimeoutError:
            continue
        if not line:
            break
        if line.startswith(b"event: "):
            name = line[7:].strip()
        elif line.startswith(b"data: "):
            if name == b"row":
                rows += 1
            else:
                totals = json.loads(line[6:])
    writer.transport.abort()
    return {**totals, "rows": rows}


async def tails(server, filter, count):
    turns, end = asyncio.Semaphore(16), asyncio.Event()
    filters = [filter.replace("{}", f"{n:03}") for n in range(int(count))]
    streams = await asyncio.gather(*(opened(server, filter, turns) for filter in filters))
    all = [asyncio.create_task(tail(*stream, end)) for stream in streams]
    await asyncio.sleep(1)
    print(json.dumps("ready"), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    end.set()
    return await asyncio.gather(*all)


what, address, ca, token, *rest = sys.argv[1:]
server = Server(address, ca, token)
if what == "tails":
    print(json.dumps(asyncio.run(tails(server, *rest))))
else:
    print(json.dumps({"search": search, "facets": facets}[what](server, *rest)))
