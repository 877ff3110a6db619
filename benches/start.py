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
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

failed = False


def report(figure, value, ceiling, unit, **more):
    global failed
    ok = value <= ceiling
    failed |= not ok
    print(json.dumps({"figure": figure, "value": round(value, 2), "unit": unit,
                      "at_most": ceiling, "pass": ok, **more}), flush=True)


class Server:
    """A running broker; `ready_ms` is the time from exec to its ready line."""

    def __init__(self, binary, *args):
        command = [binary, "serve", "--listen", "127.0.0.1:0", *args]
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        self.ready_ms = (time.perf_counter() - begin) * 1000
        if not line.startswith("klamm ready"):
            raise SystemExit(f"{command}: no ready line, but {line!r}")
        address = line.split("kafka=")[1].split()[0]
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self, how=signal.SIGTERM):
        begin = time.perf_counter()
        self.process.send_signal(how)
        self.process.wait()
        return (time.perf_counter() - begin) * 1000


class Client:
    """Non-flexible requests over one socket."""

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.correlation = 0

    def call(self, key, version, body):
        self.correlation += 1
        frame = struct.pack(">hhih", key, version, self.correlation, -1) + body
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])[4:]

    def exactly(self, count):
        parts = bytearray()
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            if not part:
                raise SystemExit("the broker closed the connection")
            parts += part
        return bytes(parts)


def string(text):
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def codes(reply, throttle, extra):
    """Error codes of an array of (name, code, extra)."""
    at = 4 if throttle else 0
    count = struct.unpack_from(">i", reply, at)[0]
    at += 4
    found = []
    for _ in range(count):
        at += 2 + struct.unpack_from(">h", reply, at)[0]
        found.append(struct.unpack_from(">h", reply, at)[0])
        at += 2
        if extra:
            at += 2 + max(0, struct.unpack_from(">h", reply, at)[0])
    return found


def create(client, names, partitions):
    topics = b"".join(string(name) + struct.pack(">ihii", partitions, 1, 0, 0) for name in names)
    reply = client.call(19, 4, struct.pack(">i", len(names)) + topics + struct.pack(">ib", 60000, 0))
    bad = [code for code in codes(reply, True, True) if code]
    assert not bad, f"CreateTopics: {bad[:5]}"


def delete(client, names):
    reply = client.call(20, 3, struct.pack(">i", len(names)) + b"".join(map(string, names))
                        + struct.pack(">i", 60000))
    bad = [code for code in codes(reply, True, False) if code]
    assert not bad, f"DeleteTopics: {bad[:5]}"


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
    report("release binary, stripped", size, 15, "MB")

    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        for figure, ceiling, args, fresh in (
            ("start to ready, empty directory", 25, ("--data-dir", data), data),
            ("start to ready, --memory", 10, ("--memory",), None),
        ):
            found = starts(options.binary, times, *args, fresh=fresh)
            report(figure, statistics.median(found), ceiling, "ms",
                   min=round(min(found), 2), max=round(max(found), 2), starts=times)

        shutil.rmtree(data, ignore_errors=True)
        server = Server(options.binary, "--data-dir", data)
        time.sleep(1)
        report("resident, idle", server.resident_mib(), 12, "MiB")

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
