"""A broker as a process and a client of a few requests, written by hand: what the figures in this
folder share.
"""
import signal
import socket
import struct
import subprocess
import time


class Server:
    """A running broker; `ready_ms` is the time from exec to its ready line. `under` is a command
    that runs it."""

    def __init__(self, binary, *args, under=()):
        command = [*under, binary, "serve", "--listen", "127.0.0.1:0", *args]
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        self.ready_ms = self.ms()
        if not line.startswith("klamm ready"):
            raise SystemExit(f"{command}: no ready line, but {line!r}")
        address = line.split("kafka=")[1].split()[0]
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))

    def ms(self):
        """Milliseconds since exec."""
        return (time.perf_counter() - self.begin) * 1000

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


def crc32c(data):
    """Castagnoli's checksum, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def batch(values):
    """A batch of records of magic 2 without keys."""
    records = b""
    for delta, value in enumerate(values):
        record = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + b"\0"
        records += varint(len(record)) + record
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 0, len(values) - 1, now, now, -1, -1, -1, len(values)) + records
    head = struct.pack(">ib", -1, 2) + struct.pack(">I", crc32c(body))
    return struct.pack(">qi", 0, len(head) + len(body)) + head + body


def produce(records, topic="t"):
    """Produce v8 with acks=all: key, version, body."""
    data = struct.pack(">i", len(records)) + records
    return 0, 8, (struct.pack(">hhi", -1, -1, 30000) + struct.pack(">i", 1) + string(topic)
                  + struct.pack(">ii", 1, 0) + data)
