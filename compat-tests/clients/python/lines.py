"""What every client script shares: its settings, the lines, and the check that they came back.

A script is called with `write`, `read` or `admin`. BROKER is HOST:PORT, TOPIC a prefix for topics
(they exist, with 4 partitions each), LINES the file of lines, whose first seven digits count them.
"""

import os
import sys

BROKER = os.environ["BROKER"]
TOPIC = os.environ["TOPIC"]
PARTITIONS = 4


def lines():
    with open(os.environ["LINES"], "rb") as file:
        return [line.rstrip(b"\n") for line in file]


class Tally:
    def __init__(self, expected):
        self.expected = expected
        self.seen = set()
        self.last = {}

    def note(self, partition, value):
        number = int(value[:7])
        assert value == self.expected[number], f"line {number} is not what was sent: {value!r}"
        assert number not in self.seen, f"line {number} came twice"
        before = self.last.get(partition, -1)
        assert number > before, f"line {number} after {before} in partition {partition}"
        self.seen.add(number)
        self.last[partition] = number

    def complete(self):
        return len(self.seen) == len(self.expected)

    def check(self, what):
        missing = len(self.expected) - len(self.seen)
        assert missing == 0, f"{what}: {missing} lines are missing"


def main(**phases):
    phases[sys.argv[1]]()
    print(f"{os.path.basename(sys.argv[0])} {sys.argv[1]}: ok")
