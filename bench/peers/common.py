"""What the peers' scripts share: the moments and names in the questions, timing, cold files, lines of results."""

import ipaddress
import json
import os
import resource
import statistics
import sys
import time

NOW_S = 1_795_392_000  # 2026-11-23T00:00:00Z, the end of the events
NOW, HOUR_AGO, DAY_AGO = "2026-11-23 00:00:00", "2026-11-22 23:00:00", "2026-11-22 00:00:00"
NEEDLE = "192.0.2.77"
LOW, HIGH = "203.0.113.0", "203.0.113.255"
HOST = "web-017.dc1.example.net"
QUESTIONS = ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7a", "Q7b", "Q8", "Q9", "Q10"]
# How long a question may be repeated, and how often.
PATIENCE_S, TIMES = 12, 5


def evict(path):
    """Drops the files below `path` from the page cache and nothing else."""
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                file = os.open(os.path.join(folder, name), os.O_RDONLY)
                os.fdatasync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)
            except OSError:
                pass


def size(path):
    return sum(
        os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names
    )


def peak_mb(pid="self"):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmHWM"))


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(ask):
    """The first run, and the median of the next ones; fewer of them if it is slow."""
    begun = time.perf_counter()
    ask()
    cold = time.perf_counter() - begun
    hot, all_begun = [], time.perf_counter()
    while len(hot) < TIMES and (not hot or time.perf_counter() - all_begun < PATIENCE_S):
        begun = time.perf_counter()
        ask()
        hot.append(time.perf_counter() - begun)
    return {"cold_ms": cold * 1e3, "hot_ms": statistics.median(hot) * 1e3, "times": len(hot)}


def say(**record):
    print(json.dumps(record), flush=True)


def addr(text):
    """An address as people write it, IPv4-mapped ones as IPv4."""
    ip = ipaddress.ip_address(text)
    mapped = getattr(ip, "ipv4_mapped", None)
    return str(mapped or ip)


def hex_addr(digits):
    """The same of 16 bytes in hexadecimal digits, where it is these."""
    return addr(digits if ":" in digits else str(ipaddress.IPv6Address(bytes.fromhex(digits))))


def cells(rows):
    """Rows as lists of texts; what is not there is the empty text."""
    return [["" if cell is None else str(cell) for cell in row] for row in rows]


def arguments():
    return sys.argv[1:]
