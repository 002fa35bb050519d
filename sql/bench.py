"""Times `personalizer report` beside DuckDB and Polars: the same files, the same run, one thread each.

    python3 sql/bench.py PERSONALIZER [MEGABYTES]     (cargo xtask bench-report does it, with all that it needs)

Each engine is a process of its own; what counts is its CPU time (user and system), the least of three runs, so that other programs
matter less. Reading is once for a report. DuckDB answers the questions of sql/duckdb, Polars the first of them.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).parent
START = datetime(2026, 11, 24, 4, 0, tzinfo=timezone.utc)
ROUNDS = 3


def moment(seconds):
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def decision(chance):
    """A line, cut where its time and its request id stand, its group and its milliseconds."""
    total = round(chance.lognormvariate(3, 0.8), 3)
    place = (chance.choice(["FRA", "SYD", "IAD", "CDG", "NRT"]), chance.choice(["home", "product", "cart", "search"]), chance.choice(["r41", "r42"]))
    failed = chance.random() < 0.01
    line = {
        "v": 2, "time": "@", "request_id": "@", "trace_id": f"{chance.getrandbits(128):032x}", "pop": place[0],
        "service_version": 7, "revision": place[2], "role": "active", "shadow": None, "route": place[1], "method": "GET",
        "path": f"/products/P{chance.randrange(10_000):05}", "status": 502 if failed else 200, "region": "dach", "country": "DE",
        "device": "mobile", "variant": {"region": chance.choice(["dach", "row"]), "hero": chance.choice(["control", "bold"])},
        "facts": {}, "slot": chance.randrange(65_536), "sample": 1.0, "cache_key": None, "backend": "origin", "backend_path": "/p",
        "shield": None, "pass": 1, "fallback": None, "session": "fresh", "session_age": 3, "session_ms": 1, "preview": False,
        "errors": ["backend-timeout"] if failed else [], "cold": chance.random() < 0.1, "lookups": 3, "total_ms": total,
        "done_ms": total + 1, "rules_ms": 0.2, "origin_ms": round(total * 0.9, 3), "vcpu_ms": 2, "heap_mib": 2, "bytes": 42_000,
    }
    return json.dumps(line, separators=(",", ":")).split('"@"'), place, total


def write_logs(folder, megabytes):
    """Writes logs of so many megabytes; the exact p99 of each group."""
    chance, exact = random.Random(7), defaultdict(list)
    kinds = [decision(chance) for _ in range(20_000)]
    with open(folder / "decisions.ndjson", "w") as out:
        written, at = 0, 0.0
        while written < megabytes * 750_000:
            at += 0.05
            (head, middle, tail), place, total = chance.choice(kinds)
            written += out.write(f'{head}"{moment(at)}"{middle}"{chance.getrandbits(128):032x}"{tail}\n')
            exact[place].append(total)
    with open(folder / "exposures.ndjson", "w") as out, open(folder / "conversions.ndjson", "w") as done:
        written, at = 0, 0.0
        while written < megabytes * 250_000:
            at, unit, variation = at + 0.1, f"{chance.getrandbits(128):032x}", chance.randrange(2)
            for view in range(3):
                written += out.write(
                    f'{{"v":2,"timestamp":"{moment(at + view)}","request_id":"{chance.getrandbits(128):032x}","revision":"r42",'
                    f'"experiment_id":"hero","variation_id":"{variation}","variation":{variation},"feature_id":"hero","unit_type":"id",'
                    f'"unit_id":"{unit}","sticky":false,"shown":true,"key":"2026-11","attributes":{{"country":"DE","deviceType":"mobile"}}}}\n'
                )
            if chance.random() < 0.1:
                written += done.write(
                    f'{{"v":2,"timestamp":"{moment(at + 9)}","request_id":"{chance.getrandbits(128):032x}","revision":"r42","event":"order",'
                    f'"event_id":"o{written}","value":{chance.lognormvariate(3, 1):.2f},"currency":"EUR","source":"origin","unit_type":"id",'
                    f'"unit_id":"{unit}","key":"2026-11","attributes":{{}}}}\n'
                )
    (folder / "errors.ndjson").touch()
    return {place: sorted(times)[-(-len(times) * 99 // 100) - 1] for place, times in exact.items()}


def in_duckdb(folder, asked):
    import duckdb
    from check import questions

    engine = duckdb.connect(config={"threads": 1})
    engine.execute(f"SET VARIABLE logs = '{folder}'")
    before, known = questions("duckdb")
    engine.execute((HERE / "duckdb" / "tables.sql").read_text())
    engine.execute(before)
    for question in asked.split(","):
        engine.execute(known[question]).fetchall()


def in_polars(folder, _):
    import polars

    lines = polars.scan_ndjson(f"{folder}/decisions.ndjson", infer_schema_length=100)
    once = lines.filter(polars.col("pass") == 1).unique(subset=["request_id", "time", "pass"])
    total = polars.col("total_ms")
    figures = [polars.len(), (polars.col("status") >= 500).sum(), *(total.quantile(q).alias(f"q{q}") for q in (0.5, 0.95, 0.99))]
    once.group_by("pop", "route", "revision").agg(*figures).collect(engine="streaming")


def measured(command):
    """CPU seconds, seconds and megabytes of memory of a process."""
    best = None
    for _ in range(ROUNDS):
        before = datetime.now()
        process = subprocess.Popen(command, env=os.environ | {"POLARS_MAX_THREADS": "1"}, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command[:4]} failed")
        run = (usage.ru_utime + usage.ru_stime, (datetime.now() - before).total_seconds(), usage.ru_maxrss / 1024)
        best = min(best, run) if best else run
    return best


def main():
    if sys.argv[1] in ("duckdb", "polars"):
        return {"duckdb": in_duckdb, "polars": in_polars}[sys.argv[1]](*sys.argv[2:4])
    personalizer, megabytes = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = pathlib.Path(name)
        exact = write_logs(folder, megabytes)
        decisions = (folder / "decisions.ndjson").stat().st_size
        both = sum(file.stat().st_size for file in folder.iterdir())
        for tool, kind in (("gzip", "gz"), ("zstd", "zst")):
            subprocess.run(f"{tool} -c {folder}/decisions.ndjson > {folder}/packed.{kind}", shell=True, check=True)
        out = f"{folder}/out.json"
        report = [personalizer, "report", "--format", "json", "--threads", "1", "--out", out]
        engine = [sys.executable, __file__]
        logs = [f"{folder}/{log}.ndjson" for log in ("decisions", "exposures", "conversions")]
        rows = [
            ("`personalizer report`", "decisions", decisions, report + logs[:1]),
            ("DuckDB, `traffic` alone", "decisions", decisions, engine + ["duckdb", name, "traffic"]),
            ("Polars, the same question", "decisions", decisions, engine + ["polars", name, "traffic"]),
            ("`personalizer report`", "decisions, gzip", decisions, report + [f"{folder}/packed.gz"]),
            ("`personalizer report`", "decisions, zstd", decisions, report + [f"{folder}/packed.zst"]),
            ("`personalizer report`", "all", both, report + logs),
            ("DuckDB, all questions", "all", both, engine + ["duckdb", name, "traffic,hours,codes,cost,variants,units,metrics"]),
        ]
        print("| who | logs | GB | GB/s a core | seconds | memory, MB |\n| --- | --- | ---: | ---: | ---: | ---: |")
        for who, what, size, command in rows:
            cpu, seconds, memory = measured(command)
            print(f"| {who} | {what} | {size / 1e9:.2f} | {size / cpu / 1e9:.2f} | {seconds:.1f} | {memory:.0f} |", flush=True)
        found = {(row["pop"], row["route"], row["revision"]): row["p99"] for row in json.load(open(out))["traffic"]}
        worst = max(abs(found[place] / p99 - 1) for place, p99 in exact.items())
        print(f"\np99 of {len(exact)} groups beside the exact one: off by {worst:.2%} at most.")


main()
