#!/usr/bin/env python3
"""Start time, idle memory and binary size of a release build, one JSON line per figure.

    cargo build --release && benches/start.py [--binary target/release/klamm] [--quick]

Needs nothing but Python: the few requests are written by hand. `--quick` makes fewer starts and
fewer topics, for CI. Exit code 1 if a ceiling is passed.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import time

from client import Client, Server, batch, codes, create, produce, string

failed = False


def report(figure, value, ceiling, unit, **more):
    global failed
    ok = ceiling is None or value <= ceiling
    failed |= not ok
    print(json.dumps({"figure": figure, "value": round(value, 2), "unit": unit,
                      "at_most": ceiling, "pass": ok, **more}), flush=True)


def delete(client, names):
    reply = client.call(20, 3, struct.pack(">i", len(names)) + b"".join(map(string, names))
                        + struct.pack(">i", 60000))
    bad = [code for code in codes(reply, True, False) if code]
    assert not bad, f"DeleteTopics: {bad[:5]}"


def first_records(binary, times, data, durability):
    """Milliseconds from exec to the answer of the first Produce, to a topic that it creates."""
    found, records = [], batch([b"first"])
    for _ in range(times):
        shutil.rmtree(data, ignore_errors=True)
        server = Server(binary, "--data-dir", data, "--durability", durability)
        client = Client(server.address)
        client.call(3, 4, struct.pack(">i", 1) + string("new") + b"\1")
        answer = client.call(*produce(records, "new"))
        found.append(server.ms())
        code = struct.unpack_from(">h", answer, 17)[0]
        assert code == 0, f"Produce: code {code}"
        server.stop()
    return found


def starts(binary, times, *args, fresh=None):
    """Milliseconds from exec to ready, over several starts."""
    found = []
    for _ in range(times):
        if fresh:
            shutil.rmtree(fresh, ignore_errors=True)
        server = Server(binary, *args)
        found.append(server.ready_ms)
        server.stop()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/klamm")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    times, history = (5, 2_000) if options.quick else (15, 100_000)

    size = os.path.getsize(options.binary) / 1e6
    report("release binary, stripped", size, 12, "MB")

    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        for figure, ceiling, args, fresh in (
            ("start to ready, empty directory", 25, ("--data-dir", data), data),
            ("start to ready, --memory", 10, ("--memory",), None),
        ):
            found = starts(options.binary, times, *args, fresh=fresh)
            report(figure, statistics.median(found), ceiling, "ms",
                   min=round(min(found), 2), max=round(max(found), 2), starts=times)

        # With fsync it waits for a disk that others may be using: told, not judged.
        for durability, ceiling in (("os", 25), ("fsync", None)):
            found = first_records(options.binary, times, data, durability)
            report(f"start to the first acknowledged record, {durability}",
                   statistics.median(found), ceiling, "ms", min=round(min(found), 2),
                   max=round(max(found), 2), starts=times)

        shutil.rmtree(data, ignore_errors=True)
        server = Server(options.binary, "--data-dir", data)
        time.sleep(1)
        report("resident, idle", server.resident_mib(), 10, "MiB")

        client = Client(server.address)
        create(client, ["thousand"], 1000)
        stop = server.stop()
        report("SIGTERM to exit, 1,000 partitions", stop, 1000, "ms")
        found = starts(options.binary, times, "--data-dir", data)
        report("start to ready, 1,000 partitions, clean stop", statistics.median(found), 100, "ms",
               min=round(min(found), 2), max=round(max(found), 2), starts=times)

        server = Server(options.binary, "--data-dir", data)
        client = Client(server.address)
        begin = time.perf_counter()
        for first in range(0, history, 1000):
            names = [f"passing-{number}" for number in range(first, first + 1000)]
            create(client, names, 1)
            delete(client, names)
        took = time.perf_counter() - begin
        server.stop()
        found = starts(options.binary, times, "--data-dir", data)
        report(f"start to ready, 1,000 partitions, after {history:,} topics came and went",
               statistics.median(found), 100, "ms", min=round(min(found), 2),
               max=round(max(found), 2), starts=times, history_s=round(took, 1))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
