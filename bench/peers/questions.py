"""The questions in SQL. Each is a pair: what is timed, and the same with its answer in texts that can be compared."""

from common import DAY_AGO, HIGH, HOST, HOUR_AGO, LOW, NEEDLE


def mapped(ip):
    return "00000000000000000000ffff" + "".join(f"{int(part):02x}" for part in ip.split("."))


class DuckDb:
    table = "ev"
    micros = "epoch_us(ts)"
    minute = "epoch_us(ts) // 60000000 * 60000000"
    port = "dst_port"
    not_443 = "(dst_port IS NULL OR dst_port <> 443)"
    distinct = "count(DISTINCT {})"

    @staticmethod
    def moment(text):
        return f"TIMESTAMPTZ '{text}+00'"

    @staticmethod
    def ip(text):
        return f"from_hex('{mapped(text)}')"

    @staticmethod
    def shown(column):
        return f"hex({column})"


class ClickHouse:
    table = "fw.ev"
    micros = "toUnixTimestamp64Micro(ts)"
    minute = "toUnixTimestamp(toStartOfMinute(ts)) * 1000000"
    # what has no port has 0, which no packet has
    port = "dst_port"
    not_443 = "dst_port <> 443"
    distinct = "uniqExact({})"

    @staticmethod
    def moment(text):
        return f"toDateTime64('{text}', 6, 'UTC')"

    @staticmethod
    def ip(text):
        return f"toIPv6('{text}')"

    @staticmethod
    def shown(column):
        return f"toString({column})"


def questions(sql):
    """Name -> (timed, compared). Equal counts are in the order of their values, so that answers are the same."""
    day, hour = f"ts >= {sql.moment(DAY_AGO)}", f"ts >= {sql.moment(HOUR_AGO)}"
    t, src, port = sql.table, sql.shown("src_ip"), sql.port
    row = f"{sql.micros} t, host, {src} s, {sql.shown('dst_ip')} d, src_port, dst_port"

    def newest(where):
        tail = f"FROM {t} WHERE {where} ORDER BY ts DESC LIMIT 100"
        return f"SELECT * {tail}", f"SELECT {row} {tail}"

    def same(columns, tail, shown=None):
        return f"SELECT {columns} {tail}", f"SELECT {shown or columns} {tail}"

    sources, ports, hosts = (sql.distinct.format(c) for c in ("src_ip", port, "host"))
    return {
        "Q1": same(f"{sql.minute} m, count(*) c", f"FROM {t} WHERE {day} GROUP BY m ORDER BY m"),
        "Q2": same(
            "src_ip, count(*) c",
            f"FROM {t} GROUP BY src_ip ORDER BY c DESC, src_ip LIMIT 20",
            f"{src} s, count(*) c",
        ),
        "Q3": same(
            f"{port} p, count(*) c",
            f"FROM {t} WHERE prefix = 'DROP-IN ' AND {hour} GROUP BY p ORDER BY c DESC, p LIMIT 20",
        ),
        "Q4": newest(f"src_ip = {sql.ip(NEEDLE)}"),
        "Q5": newest(f"src_ip BETWEEN {sql.ip(LOW)} AND {sql.ip(HIGH)} AND dst_port = 22"),
        "Q6": same(
            "host, prefix, count(*) c", f"FROM {t} GROUP BY host, prefix ORDER BY c DESC, host, prefix"
        ),
        "Q7a": same(
            f"{port} p, {sources} d", f"FROM {t} WHERE {day} GROUP BY p ORDER BY d DESC, p LIMIT 50"
        ),
        "Q7b": same(
            f"src_ip, {ports} p, {hosts} h, count(*) n",
            f"FROM {t} WHERE {day} GROUP BY src_ip HAVING {ports} > 100 AND {hosts} > 5"
            " ORDER BY p DESC, src_ip LIMIT 100",
            f"{src} s, {ports} p, {hosts} h, count(*) n",
        ),
        "Q8": newest(f"host = '{HOST}' AND {sql.not_443}"),
        "Q9": same(
            "host, count(*) c",
            f"FROM {t} WHERE prefix LIKE '%SCAN%' GROUP BY host ORDER BY c DESC, host LIMIT 20",
        ),
        "Q10": same(
            "country, count(*) c", f"FROM {t} GROUP BY country ORDER BY c DESC, country LIMIT 20"
        ),
    }
