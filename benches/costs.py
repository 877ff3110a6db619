#!/usr/bin/env python3
"""Instructions and allocations per request, and the size of the binary, against a budget.

    cargo build --release && benches/costs.py [--binary target/release/klamm]
    benches/costs.py --bless ["Fetch of nothing" ...]

The broker runs under callgrind, twice for each kind of request: with few of them and with many, so
that its start and its stop cancel out. What is left is counted, not timed: the same binary gives
the same figures however busy the machine is. One JSON line per figure; exit code 1 if one is more
than 2 % over benches/costs.json, or has no budget there. Whoever lets one grow, or adds a kind of
request, writes the new figures with --bless, all or those that are named, and says why in the
commit. Figures belong to a toolchain, a C library and a kind of processor: with
others they are told and not judged.

Needs valgrind and the release build; requests are written by hand.
"""
import argparse
import json
import os
import re
import shutil
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
    """The names of the figures that are more than their budget, or have none."""
    slack = {"allocations": ALLOCATIONS_SLACK}
    return [name for name, value in found.items()
            if value > known.get(name, 0) * GROWTH_MAX + slack.get(name, 0)]


def judge(found, budget, judged=True):
    """A line for each figure, and what is wrong with them all together; `judged` is false where
    the figures are not those of the budget's machine."""
    lines, dear, unknown = [], [], []
    for kind, values in found.items():
        known = budget.get(kind, {})
        grown = over(values, known)
        for name, value in values.items():
            line = {"figure": f"{kind}: {name}", "value": value, "budget": known.get(name)}
            if name in known:
                line["change"] = f"{value / known[name] - 1:+.1%}"
                line["pass"] = name not in grown if judged else None
                dear += [line["figure"]] if line["pass"] is False else []
            else:
                line["pass"] = False
                unknown.append(line["figure"])
            lines.append(line)
    wrong = []
    if dear:
        wrong.append(f"grown by more than 2 %: {', '.join(dear)}; if that is meant, renew the "
                     "budget with --bless and say why in the commit")
    if unknown:
        wrong.append(f"no budget: {', '.join(unknown)}; write one with --bless")
    gone = [kind for kind in budget if kind not in KINDS and kind != "binary"]
    if gone:
        wrong.append(f"a budget for what is not measured: {', '.join(gone)}; remove it from "
                     "benches/costs.json")
    return lines, wrong


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
    parser.add_argument("--bless", nargs="*", metavar="KIND",
                        help="write the figures of now as budget: of all, or of these kinds")
    options = parser.parse_args()
    for needed in [options.binary, "valgrind"]:
        if not shutil.which(needed):
            parser.error(f"{needed} is not there, or cannot be run")
    with open(BUDGET) as budget:
        budget = json.load(budget)
    figures, here = budget["figures"], machine()
    kinds = [*KINDS, "binary"]
    for kind in options.bless or []:
        if kind not in kinds:
            parser.error(f"there is no kind {kind!r}; there are: {', '.join(kinds)}")
    if options.bless:
        kinds = options.bless
        if budget["machine"] != here:
            parser.error("the budget is of another toolchain or machine: bless all of it")
    found = {}
    for kind in kinds:
        if kind == "binary":
            found[kind] = {"bytes": os.path.getsize(options.binary)}
        else:
            found[kind] = least(options.binary, kind, figures.get(kind, {}))
    if options.bless is not None:
        kept = {kind: figures[kind] for kind in figures if options.bless}
        figures = {**kept, **found}
        order = [kind for kind in [*KINDS, "binary"] if kind in figures]
        with open(BUDGET, "w") as file:
            json.dump({"machine": here, "figures": {kind: figures[kind] for kind in order}}, file,
                      indent=2)
            file.write("\n")
        judged = True
    else:
        judged = budget["machine"] == here
    lines, wrong = judge(found, figures, judged)
    for line in lines:
        print(json.dumps(line), flush=True)
    if not judged:
        print(f"not judged: the budget is of another toolchain or machine: {json.dumps(here)}",
              file=sys.stderr)
    for what in wrong:
        print(what, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
