"""Asks a server by Flight SQL with the ADBC driver, and by HTTP, and says what came as lines of JSON.

Arguments: address of the server, the authority's certificate, the token, a file with questions (JSON:
{"questions": [[text, parameters]…], "mistakes": [text…]}). The first line tells of metadata, then one line for each
question, one for each mistake, and what became of cancelling and of strangers.
"""

import datetime
import json
import ssl
import sys
import urllib.error
import urllib.request

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow
from adbc_driver_flightsql import DatabaseOptions

address, authority, token, questions = sys.argv[1:]
with open(authority) as pem:
    certificate = pem.read()
with open(questions) as file:
    asked = json.load(file)


def connect(**options):
    options = {DatabaseOptions.TLS_ROOT_CERTS.value: certificate, **options}
    return flight_sql.connect(f"grpc+tls://{address}", db_kwargs=options, autocommit=True)


def bearer(token):
    return {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}


def plain(value):
    """As JSON has it."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


def say(**what):
    print(json.dumps(what, default=plain), flush=True)


def refused(act):
    try:
        act()
    except (adbc_driver_manager.Error, pyarrow.ArrowException, OSError) as error:
        return str(error)
    return None


def ask(cursor, text, parameters=None):
    cursor.execute(text, parameters=parameters)
    rows = cursor.fetch_arrow_table().to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def http(path, body=None):
    """The lines of what the API answers."""
    request = urllib.request.Request(
        f"https://{address}/api/v1/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=certificate)) as answer:
        return [json.loads(line) for line in answer]


def post(text, parameters=None):
    """The same question by HTTP: its rows, or why there are none."""
    try:
        lines = http("sql", {"query": text, "parameters": parameters or []})
    except urllib.error.HTTPError as error:
        return error.read().decode()
    end = lines[-1]["end"]
    return lines[1:-1] if end["complete"] else json.dumps(end["problem"])


with connect(**bearer(token)) as connection:
    info = connection.adbc_get_info()
    objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    tables = {
        table["table_name"]: [column["column_name"] for column in table["table_columns"]]
        for catalog in objects
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"] or []
    }
    schema = connection.adbc_get_table_schema("events")
    with connection.cursor() as cursor:
        announced = cursor.adbc_execute_schema("SELECT src, count(*) AS n FROM events GROUP BY src")
    say(
        vendor=info["vendor_name"],
        catalogs=[catalog["catalog_name"] for catalog in objects],
        types=connection.adbc_get_table_types(),
        tables=tables,
        schema=schema.names,
        announced=[[field.name, str(field.type)] for field in announced],
    )
    for text, parameters in asked["questions"]:
        with connection.cursor() as cursor:
            rows = ask(cursor, text, tuple(parameters) if parameters else None)
            say(text=text, rows=rows, posted=post(text, parameters))
    with connection.cursor() as cursor:
        noon = datetime.datetime(2026, 11, 21, 2, tzinfo=datetime.timezone.utc)
        day = datetime.date(2026, 11, 21)
        text = "SELECT count(*) FILTER (WHERE time >= ?) AS n, count(*) FILTER (WHERE time < ?) AS m, ? IS NULL AS nothing FROM events"
        say(times=ask(cursor, text, (noon, day, None)))
    for text in asked["mistakes"]:
        with connection.cursor() as cursor:
            told = refused(lambda: ask(cursor, text))
        with connection.cursor() as cursor:
            prepared = refused(lambda: (cursor.adbc_prepare(text), ask(cursor, text)))
        say(text=text, told=told, prepared=prepared, posted=post(text))
    with connection.cursor() as cursor:
        say(many=refused(lambda: cursor.executemany("SELECT ?", [(1,), (2,)])))
    # An answer of which only the beginning is read, and one that is cancelled while it is worked on.
    with connection.cursor() as cursor:
        cursor.execute("SELECT a.src FROM events a, events b")
        reader = cursor.fetch_record_batch()
        first = reader.read_next_batch().num_rows
        cursor.adbc_cancel()
        say(begun=first, cancelled=refused(lambda: [None for _ in reader]))
    # One that somebody else ends, who sees it in the list.
    with connection.cursor() as cursor:
        text = "SELECT b.src FROM events a, events b"
        cursor.execute(text)
        reader = cursor.fetch_record_batch()
        # The driver asks for the rows in the background: only a first batch says that the server is at work on them.
        reader.read_next_batch()
        listed = [query for query in http("queries")[0] if query.get("question") == {"query": text}]
        for query in listed:
            http("queries/cancel", {"id": query["id"]})
        say(listed=[query["path"] for query in listed], ended=refused(lambda: [None for _ in reader]))


def stranger(**options):
    def act():
        with connect(**options) as connection, connection.cursor() as cursor:
            ask(cursor, "SELECT 1")

    return refused(act)


say(stranger=stranger(), guess=stranger(**bearer("guess")), password=stranger(username="anybody", password=token))
