#!/usr/bin/env python3
"""Streams session updates from Redis to an edge: Redis Streams -> personalizer sessions push -> POST /.edge/sessions.

The backend appends every change to a stream, as the JSON of one update (docs/SESSIONS.md) in the field `update`:

    redis-cli XADD sessions '*' update \
        '{"op":"merge","user":"alice","updated_at":1795780800000,"record":{"cart":[{"sku":"P0001","quantity":1}]}}'

and this program, kept running by a supervisor, delivers them:

    export PERSONALIZER_REPLICATION_SECRET=whsec_...
    examples/redis-feed.py -- --to https://www.example.com

Nothing is lost. An entry is acknowledged (XACK) only after the edge has decided on it. Whatever stops in between (this program,
the sender, the edge, Redis), the entry stays pending for this consumer and is delivered again at the next start. The edge keeps the
newest update by `updated_at`, so a repeat is harmless. An update that the edge refuses for good goes to the stream
`<stream>:rejected` with the reason, for somebody to look at. Any failure ends this program with exit code 2: let the supervisor start it
again.

It needs Python 3, and redis-cli 7 (Debian: apt-get install redis-tools).
"""

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import threading

COUNT = "500"  # Entries of a read. How many go into one batch is the sender's business.
BLOCK_MS = "1000"  # How long a read waits for news; so long does ending take.
QUOTED = 4096  # Characters of a refused update that are kept with its reason.
TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}  # Bytes that are no UTF-8 go through, for the sender to refuse.


class Redis:
    """Commands by redis-cli: replies as JSON, errors as exceptions."""

    def __init__(self, url):
        self.command = ["redis-cli", "-u", url, "-e", "--json"]

    def __call__(self, *words):
        done = subprocess.run([*self.command, *words], stdin=subprocess.DEVNULL, capture_output=True, **TEXT)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]}: {(done.stderr or done.stdout).strip()}")
        return json.loads(done.stdout)


class Feed:
    """From the stream into the sender, and the sender's acknowledgements back to the stream."""

    def __init__(self, options):
        self.redis = Redis(options.redis)
        self.stream, self.group, self.consumer = options.stream, options.group, options.consumer
        self.sent = collections.deque()  # (id, text) of entries that the edge has not decided on, the oldest first.
        self.decided = 0  # Lines that the edge has decided on.
        self.stopping = False
        self.failed = None
        program = os.environ.get("PERSONALIZER", "personalizer")
        self.sender = subprocess.Popen(
            [program, "sessions", "push", "-", "--acknowledge", *options.push],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **TEXT,
        )
        self.acknowledging = threading.Thread(target=self.acknowledge, daemon=True)

    def run(self):
        try:
            self.redis("XGROUP", "CREATE", self.stream, self.group, "0", "MKSTREAM")
        except RuntimeError as error:
            if "BUSYGROUP" not in str(error):  # It exists already.
                raise
        self.acknowledging.start()
        # First what an earlier run had read and not acknowledged: `0` and on. Then news: `>`.
        after = "0"
        while not self.stopping and self.acknowledging.is_alive():
            block = ["BLOCK", BLOCK_MS] if after == ">" else []
            reply = self.redis(
                *["XREADGROUP", "GROUP", self.group, self.consumer, "COUNT", COUNT, *block, "STREAMS", self.stream, after]
            )
            entries = reply[self.stream] if reply else []
            for entry, fields in entries:
                self.send(entry, fields)
            self.sender.stdin.flush()
            if after != ">":
                after = entries[-1][0] if entries else ">"
        self.sender.stdin.close()
        self.acknowledging.join()
        if self.failed:
            raise self.failed
        return self.sender.wait()

    def send(self, entry, fields):
        # An entry that was trimmed away while it was pending has no fields any more.
        fields = dict(zip(fields[::2], fields[1::2])) if fields else {}
        # One update is one line: an end of line inside JSON is white space. The edge refuses `{}`, and says why.
        text = fields.get("update", "").replace("\r", " ").replace("\n", " ").strip() or "{}"
        self.sent.append((entry, text))
        self.sender.stdin.write(text + "\n")

    def acknowledge(self):
        try:
            for line in self.sender.stdout:
                self.decide(json.loads(line))
        except Exception as error:  # Whatever it is, the main thread ends with it.
            self.failed = error
            self.sender.kill()

    def decide(self, said):
        reasons = {refused["line"]: refused["reason"] for refused in said["rejected"]}
        done = []
        while self.decided < said["line"]:
            self.decided += 1
            entry, text = self.sent.popleft()
            if self.decided in reasons:
                words = ["id", entry, "update", text[:QUOTED], "reason", reasons[self.decided]]
                self.redis("XADD", f"{self.stream}:rejected", "*", *words)
            done.append(entry)
        if done:
            self.redis("XACK", self.stream, self.group, *done)

    def stop(self, *_):
        self.stopping = True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379", metavar="URL")
    parser.add_argument("--stream", default="sessions", help="the stream's key (default: sessions)")
    parser.add_argument("--group", default="edge", help="the consumer group (default: edge)")
    parser.add_argument("--consumer", default="feed", help="this feed's name; no two running feeds share one (default: feed)")
    parser.add_argument("push", nargs="*", help="options of `personalizer sessions push`, after --")
    options = parser.parse_args()
    try:
        feed = Feed(options)
        signal.signal(signal.SIGTERM, feed.stop)
        return feed.run()
    except (RuntimeError, OSError) as error:
        print(f"redis-feed: {error}", file=sys.stderr)
        # The sender ends with its input. What it was sent and the edge has not decided on stays pending.
        return 2


if __name__ == "__main__":
    sys.exit(main())
