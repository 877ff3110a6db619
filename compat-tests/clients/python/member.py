"""What the members of groups share.

A member subscribes to TOPIC in GROUP from the earliest record on and prints `PARTITION OFFSET VALUE`
for every record. What it has printed it commits before it asks for more. SIGTERM makes it leave.
"""

import os
import signal

BROKER = os.environ["BROKER"]
TOPIC = os.environ["TOPIC"]
GROUP = os.environ["GROUP"]
PROTOCOL = os.environ["PROTOCOL"]
SESSION_MS = int(os.environ["SESSION_MS"])
HEARTBEAT_MS = SESSION_MS // 10

_leaving = []
signal.signal(signal.SIGTERM, lambda *_: _leaving.append(True))


def leaving():
    return bool(_leaving)


def show(partition, offset, value):
    print(partition, offset, value.decode(), flush=True)
