#!/usr/bin/env python3
"""Instructions and allocations per request, and the size of the binary, against a budget.

    cargo build --release && benches/costs.py [--binary target/release/klamm] [--bless]

The broker runs under callgrind, twice for each kind of request: with few of them and with many, so
that its start and its stop cancel out. What is left is counted, not timed: the same binary gives
the same figures however busy the machine is. One JSON line per figure; exit code 1 if one is more
than 2 % over benches/costs.json. Whoever lets one grow writes the new figures there with --bless,
and says why in the commit. Figures belong to a toolchain, a C library and a kind of processor: with
others they are told and not judged.

Needs valgrind and the release build; requests are written by hand.
"""
import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

from client import Client, Server, batch, create, produce, string

BUDGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "costs.json")
GROWTH_MAX = 1.02
# A timer that fires once more or less must not count.
ALLOCATIONS_SLACK = 0.1
FEW, MANY = 200, 1200
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"}


def fetch(topic, offset, limit):
    """Fetch v11 without a session that does not wait."""
    partition = struct.pack(">iiqqi", 0, -1, offset, -1, limit)
    return 1, 11, (struct.pack(">iiiibii", -1, 0, 1, 1 << 26, 0, 0, -1) + struct.pack(">i", 1)
                   + string(topic) + struct.pack(">i", 1) + partition + struct.pack(">i", 0)
                   + string(""))


def metadata(names):
    """Metadata v4 of topics that are there."""
    return 3, 4, struct.pack(">i", len(names)) + b"".join(map(string, names)) + b"\0"


def offset_commit():
    """OffsetCommit v7 of one partition, by a consumer that is no member."""
    partition = struct.pack(">iqi", 0, 1, -1) + string("")
    return 8, 7, (string("g") + struct.pack(">i", -1) + string("") + struct.pack(">h", -1)
                  + struct.pack(">i", 1) + string("t") + struct.pack(">i", 1) + partition)


# What is asked for, what has to be there before, and where the answer has its code.
KINDS = {
    "Produce of 1 record": (lambda: produce(batch([b"v" * 100])), ["t"], None, 15),
    "Produce of 150 records": (lambda: produce(batch([b"v" * 100] * 150)), ["t"], None, 15),
    "Fetch of nothing": (lambda: fetch("t", 1, 1 << 20), ["t"], batch([b"v"]), 25),
    "Fetch of 64 KiB": (lambda: fetch("t", 0, 1 << 20), ["t"], batch([b"v" * 65536]), 25),
    "Metadata of 100 topics": (lambda: metadata([f"t-{n}" for n in range(100)]),
                               [f"t-{n}" for n in range(100)], None, None),
    "OffsetCommit": (offset_commit, ["t"], None, 19),
}


def counted(path):
    """Instructions and allocations of a whole run."""
    instructions, allocations, names, allocates = 0, 0, {}, False
    with open(path) as profile:
        for line in profile:
            if line.startswith("cfn="):
                number, name = re.match(r"cfn=(\(\d+\))(?: (.*))?", line).groups()
                if name:
                    names[number] = name
                allocates = names.get(number) in ALLOCATORS
            elif line.startswith("fn="):
                number, name = re.match(r"fn=(\(\d+\))(?: (.*))?", line).groups()
                if name:
                    names[number] = name
            elif line.startswith("calls=") and allocates:
                allocations += int(line[6:].split()[0])
            elif line.startswith(("summary:", "totals:")):
                instructions = int(line.split()[1])
    return instructions, allocations


def run(binary, folder, times, request, topics, stored, code_at):
    profile = os.path.join(folder, "profile")
    data = os.path.join(folder, f"data-{times}")
    server = Server(binary, "--data-dir", data, "--durability", "os",
                    under=["valgrind", "--tool=callgrind", "--quiet",
                           f"--callgrind-out-file={profile}"])
    client = Client(server.address)
    create(client, topics, 1)
    if stored:
        client.call(*produce(stored))
    key, version, body = request()
    for _ in range(times):
        answer = client.call(key, version, body)
        code = struct.unpack_from(">h", answer, code_at)[0] if code_at else 0
        assert code == 0, f"code {code}"
    server.stop()
    return counted(profile)


def least(binary, kind, known):
    """What a request costs. Timers of a broker that runs for longer only add: what is over its
    budget is counted once more.
    """
    found = per_request(binary, *KINDS[kind])
    if over(found, known):
        again = per_request(binary, *KINDS[kind])
        found = {name: min(value, again[name]) for name, value in found.items()}
    return found


def over(found, known):
    """The names of the figures that are more than their budget."""
    slack = {"allocations": ALLOCATIONS_SLACK}
    return [name for name, value in found.items()
            if value > known.get(name, 0) * GROWTH_MAX + slack.get(name, 0)]


def per_request(binary, *kind):
    with tempfile.TemporaryDirectory() as folder:
        few = run(binary, folder, FEW, *kind)
        many = run(binary, folder, MANY, *kind)
    instructions, allocations = ((b - a) / (MANY - FEW) for a, b in zip(few, many))
    return {"instructions": round(instructions), "allocations": round(allocations, 1)}


def machine():
    """What the figures depend on besides the source."""
    def told(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with open("/proc/cpuinfo") as cpus:
        flags = re.search(r"^flags\s*: (.*)$", cpus.read(), re.M)
    flags = set(flags[1].split()) if flags else set()
    return {"rustc": told("rustc", "--version").strip(),
            "libc": told("ldd", "--version").splitlines()[0],
            "valgrind": told("valgrind", "--version").strip(),
            "cpu": sorted(flags & {"avx2", "bmi2", "erms", "fsrm", "pclmulqdq", "sse4_2"})}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/klamm")
    parser.add_argument("--bless", action="store_true", help="write the figures of now as budget")
    options = parser.parse_args()
    with open(BUDGET) as budget:
        budget = json.load(budget)
    figures, here = budget["figures"], machine()
    found = {kind: least(options.binary, kind, figures.get(kind, {})) for kind in KINDS}
    found["binary"] = {"bytes": os.path.getsize(options.binary)}
    if options.bless:
        figures = found
        with open(BUDGET, "w") as budget:
            json.dump({"machine": here, "figures": found}, budget, indent=2)
            budget.write("\n")
    judged, failed = options.bless or budget["machine"] == here, False
    for kind, values in found.items():
        dear = over(values, figures[kind])
        failed |= judged and bool(dear)
        for name, value in values.items():
            known = figures[kind][name]
            verdict = {"pass": name not in dear} if judged else {"pass": None, "machine": here}
            print(json.dumps({"figure": f"{kind}: {name}", "value": value, "budget": known,
                              "change": f"{value / known - 1:+.1%}", **verdict}), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
