"""How fast the studio serves 64 clients: beside the same server that draws each request by itself with torch.

    python benchmarks/serving.py [--seconds 60] [--turns 3] [--clients 64] [--out results/serving.json]

Both servers run the whole time, each in a process of its own, and are asked in turns by the clients of this process, on
loopback: first for one face a request, then for 16. A client asks again as soon as it is answered. The one server is
`nijigan studio`: requests that wait together are drawn together with onnxruntime. The other has the same interface, but
draws request after request with torch. It counts what must not happen, failures (status 5xx), refusals (429) and lost
requests, and reads the servers' memory at both ends. Nothing else should be running.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from nijigan.rate.listening import listen
from nijigan.studio.server import Studio, open_models, serve
from scale import write

SIDES = ("studio", "unbatched torch")
SIZES = (1, 16)
_WARM = 1.0  # seconds


@dataclass
class Load:
    """What the clients saw in one turn."""

    seconds: float = 0.0
    faces: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    latencies: list[float] = field(default_factory=list)


def run_server(side: str) -> None:
    """Serve until SIGTERM; the link is printed first."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    own = side == SIDES[0]
    with listen(0) as listener, tempfile.TemporaryDirectory() as folder:
        serve(Studio(open_models(onnx=own), Path(folder), batching=own), listener)


def start(side: str) -> tuple[subprocess.Popen[str], int]:
    """A server, and its port."""
    command = [sys.executable, "-u", __file__, "--serve", side]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("http://"):
            return process, int(line.rsplit(":", 1)[1].strip("/\n"))
    raise RuntimeError(f"The server of {side} did not start.")


async def ask(port: int, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
    """Send one request and read its answer: status and content."""
    head = f"POST /v1/faces HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


async def client(number: int, port: int, size: int, until: float, load: Load) -> None:
    """Ask for faces until the time is over; each client has seeds of its own."""
    seed, start = number << 32, b"\x89PNG" if size == 1 else b"PK"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (begun := time.perf_counter()) < until:
        order = {"seed": seed, "n": size, "format": "png" if size == 1 else "zip"}
        try:
            status, content = await ask(port, json.dumps(order).encode(), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            load.lost += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        load.statuses[status] += 1
        if status == 200:
            assert content.startswith(start)
            load.faces += size
            load.latencies.append(time.perf_counter() - begun)
        seed += size
    writer.close()


async def press(port: int, size: int, seconds: float, clients: int) -> Load:
    """All clients at once. What they asked for within the time is waited for, and counted."""
    load, begun = Load(), time.perf_counter()
    await asyncio.gather(*(client(number, port, size, begun + seconds, load) for number in range(clients)))
    load.seconds = time.perf_counter() - begun
    return load


def memory(process: subprocess.Popen[str]) -> float:
    """Resident memory of a server in MB; 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0.0
    return int(text.partition("VmRSS:")[2].split()[0]) / 1e3


def percentile(values: list[float], share: float) -> float:
    """The smallest value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@dataclass
class Row:
    """One server with requests of one size."""

    server: str
    faces_per_request: int
    requests: int
    faces_per_second: float
    p50_ms: float
    p99_ms: float
    failures: int
    refusals: int
    lost: int
    memory_first_mb: float
    memory_last_mb: float


def summary(server: str, size: int, loads: list[Load], memories: list[float]) -> Row:
    """All turns of one server with requests of one size."""
    latencies = [latency for load in loads for latency in load.latencies]
    statuses: Counter[int] = sum((load.statuses for load in loads), Counter())
    return Row(
        server,
        size,
        statuses.total(),
        round(sum(load.faces for load in loads) / sum(load.seconds for load in loads), 1),
        round(percentile(latencies, 0.5) * 1e3, 1),
        round(percentile(latencies, 0.99) * 1e3, 1),
        sum(count for status, count in statuses.items() if status >= 500),
        statuses[429],
        sum(load.lost for load in loads),
        memories[0],
        memories[-1],
    )


def compare(seconds: float, turns: int, clients: int) -> tuple[list[Row], dict[int, list[float]]]:
    """Ask both servers in turns: what each did, and how many times as many faces the first one sent, in each turn."""
    servers = {side: start(side) for side in SIDES}
    rows, ratios = [], {}
    try:
        for size in SIZES:
            loads: dict[str, list[Load]] = {side: [] for side in SIDES}
            memories: dict[str, list[float]] = {side: [] for side in SIDES}
            for turn in range(-1, turns):  # the first is not counted: it fills caches and pools
                for side, (process, port) in servers.items():
                    length = _WARM if turn < 0 else seconds / turns
                    load = asyncio.run(press(port, size, length, clients))
                    memories[side].append(memory(process))
                    if turn >= 0:
                        loads[side].append(load)
            rows += [summary(side, size, loads[side], memories[side]) for side in SIDES]
            pairs = zip(loads[SIDES[0]], loads[SIDES[1]], strict=True)
            ratios[size] = [(a.faces / a.seconds) / (b.faces / b.seconds) for a, b in pairs]
    finally:
        for process, _ in servers.values():
            process.terminate()
        for process, _ in servers.values():
            process.wait(30)
    return rows, ratios


def main() -> None:
    """Measure, print a table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for each server and size, over all turns")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--out", type=Path, help="also write the table as JSON")
    parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        run_server(words.serve)
        return
    rows, ratios = compare(words.seconds, words.turns, words.clients)
    print(f"{'server':>15} {'faces':>5} {'requests':>8} {'faces/s':>8} {'p50 ms':>8} {'p99 ms':>8}  5xx  429  lost  MB")
    for row in rows:
        print(
            f"{row.server:>15} {row.faces_per_request:5} {row.requests:8} {row.faces_per_second:8} {row.p50_ms:8} "
            f"{row.p99_ms:8} {row.failures:4} {row.refusals:4} {row.lost:5}  {row.memory_first_mb:.0f} → "
            f"{row.memory_last_mb:.0f}"
        )
    for size, found in ratios.items():
        print(f"{size} faces a request: {median(found):.2f} times as many faces ({min(found):.2f} to {max(found):.2f})")
    turns = {str(size): [round(ratio, 3) for ratio in found] for size, found in ratios.items()}
    write(words.out, [asdict(row) for row in rows], clients=words.clients, seconds=words.seconds, ratios=turns)


if __name__ == "__main__":
    main()
