"""Runs the files of this folder: ClickHouse's in chDB, DuckDB's in DuckDB; BigQuery's are parsed by sqlglot. The same lines go to
`personalizer report`, and the counts have to be equal.

    python3 sql/check.py PERSONALIZER     (cargo xtask test --only sql does it, with all that it needs)
"""

import http.server
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).parent
PASSWORD = "only-here"
LOGS = ("decisions", "exposures", "conversions", "errors")
START = datetime(2026, 11, 24, 4, 0, tzinfo=timezone.utc)


def moment(seconds):
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def lines_of_a_shop(seed):
    """Lines as the edge writes them, with all that goes wrong on the way: {log: [line]}."""
    chance = random.Random(seed)
    logs = {log: [] for log in LOGS}
    for visitor in range(1500):
        unit, key = f"{chance.getrandbits(128):032x}", chance.choice(["2026-11", "2026-11", "2026-12"])
        at = chance.uniform(0, 86_400)
        variation = chance.randrange(2)
        for view in range(chance.randint(1, 4)):
            at += chance.uniform(1, 9_000)
            request, failed = f"{chance.getrandbits(128):032x}", chance.random() < 0.05
            fell_back, shielded = not failed and chance.random() < 0.05, chance.random() < 0.05
            line = {
                "v": 2, "time": moment(at), "request_id": request, "trace_id": f"{chance.getrandbits(128):032x}",
                "pop": chance.choice(["FRA", "SYD", "IAD"]), "service_version": 7, "revision": chance.choice(["r41", "r42", None]),
                "role": "active", "shadow": None, "route": chance.choice(["home", "product", None]), "method": "GET", "path": "/p/\"1\"",
                "status": 502 if failed else 200, "region": "dach", "country": "DE", "device": None,
                "variant": {"region": chance.choice(["dach", "row"])}, "facts": {}, "slot": chance.randrange(65_536),
                "sample": 1.0 if failed or fell_back else 0.25, "cache_key": None, "backend": "origin", "backend_path": "/p",
                "shield": None, "pass": 1, "fallback": "status-503" if fell_back else None, "session": "fresh", "session_age": 3,
                "session_ms": 1, "preview": False, "errors": ["backend-timeout"] if failed else [], "cold": chance.random() < 0.1,
                "lookups": 3, "total_ms": round(chance.lognormvariate(3, 0.5), 3), "done_ms": 90.5, "rules_ms": 0.2,
                "origin_ms": 9.25, "vcpu_ms": chance.randint(1, 9) if chance.random() < 0.9 else None, "heap_mib": 2, "bytes": None,
            }
            if chance.random() < 0.1:
                # Version 1: other names, and fields that it doesn't have.
                line = {name: value for name, value in line.items() if name not in ("role", "device", "facts", "slot", "sample")}
                line |= {"v": 1, "arm": "active"}
            logs["decisions"].append(line)
            if shielded:
                logs["decisions"].append(line | {"pass": 2, "revision": None, "route": None})
            seen = 1 - variation if chance.random() < 0.01 else variation
            exposure = {
                "v": 2, "timestamp": moment(at), "request_id": request, "revision": "r42", "experiment_id": "checkout",
                "variation_id": ["control", "short"][seen], "variation": seen, "feature_id": None, "unit_type": "id", "unit_id": unit,
                "key": key, "sticky": False, "shown": not fell_back, "attributes": {"country": "DE"},
            }
            logs["exposures"].append(exposure | ({"fallback": "status-503"} if fell_back else {}))
        for event, often in (("order", 0.3), ("newsletter", 0.2)):
            for number in range(2 if chance.random() < often else 0):
                late = chance.uniform(-9_000, 90_000) if number else chance.uniform(0, 400_000)
                done = {
                    "v": 2, "timestamp": moment(at + late), "request_id": f"{chance.getrandbits(128):032x}", "revision": "r42",
                    "event": event, "event_id": f"o{visitor}", "value": round(chance.lognormvariate(3, 1), 2),
                    "currency": "USD" if chance.random() < 0.1 else "EUR",
                    "source": "browser" if chance.random() < 0.1 else "origin", "unit_type": "id", "unit_id": unit, "key": key,
                    "attributes": {},
                }
                if event == "newsletter":
                    done = {name: value for name, value in done.items() if name not in ("event_id", "value", "currency")}
                logs["conversions"].append(done)
    logs["errors"] = [{"v": 1, "time": moment(9), "request_id": "a", "code": "rule-fault", "revision": "r42",
                       "fault": {"dictionary": "routes", "pointer": "/home", "message": "expected a text"}}]
    for lines in logs.values():
        lines += chance.sample(lines, len(lines) // 20)
        chance.shuffle(lines)
    return {log: [json.dumps(line, separators=(",", ":")) for line in lines] for log, lines in logs.items()}


def questions(dialect):
    """What stands before the first question, and each question by its name."""
    before, *parts = re.split(r"^-- name: (\w+)$", (HERE / dialect / "questions.sql").read_text(), flags=re.MULTILINE)
    return before, dict(zip(parts[::2], parts[1::2]))


def statements(text):
    """The statements of a file; no text in these files holds a semicolon, and comments are left out."""
    return [part for part in re.sub(r"--.*", "", text).split(";") if part.strip()]


def in_duckdb(folder):
    import duckdb

    engine = duckdb.connect()
    engine.execute(f"SET VARIABLE logs = '{folder}'")
    before, asked = questions("duckdb")
    engine.execute((HERE / "duckdb" / "tables.sql").read_text())
    engine.execute(before)

    def rows(question):
        found = engine.execute(asked[question])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]

    return {question: rows(question) for question in asked}


def clickhouse(folder):
    from chdb import session

    engine = session.Session()
    for file in ("tables.sql", "views.sql"):
        for statement in statements((HERE / "clickhouse" / file).read_text()):
            engine.query(statement)
    for log in LOGS:
        engine.query(
            f"INSERT INTO {log} FROM INFILE '{folder}/{log}.ndjson' SETTINGS date_time_input_format = 'best_effort' FORMAT JSONEachRow"
        )
    return engine


def in_clickhouse(engine):
    _, asked = questions("clickhouse")

    def rows(question):
        text = asked[question].strip().rstrip(";")
        return [json.loads(line) for line in str(engine.query(text, "JSONEachRow")).splitlines() if line]

    return {question: rows(question) for question in asked}


def served(engine, ask):
    """What `ask` says of the engine as a server: it answers as ClickHouse's HTTP interface does, and takes settings from the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"])).decode()
            settings = ", ".join(f"{name} = '{value}'" for name, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            try:
                status, answer = 200, engine.query(f"{query} SETTINGS {settings}").bytes()
            except Exception as error:
                status, answer = 400, str(error).encode()
            if self.headers.get("X-ClickHouse-Key") != PASSWORD:
                status, answer = 403, b"Code: 516. DB::Exception: Authentication failed"
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return ask(f"clickhouse:http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()


def near(one, other, share):
    return math.isclose(one, other, rel_tol=share, abs_tol=1e-6)


def compare(engine, found, report, weighed):
    """Every count of the engine beside the report's."""

    def equal(what, one, other):
        assert one == other, f"{engine}, {what}: expected the report's {other}, but found {one}"

    def whole(number):
        return round(float(number))

    place = lambda row: tuple(row[name] or "" for name in ("pop", "route", "revision"))
    equal(
        "traffic",
        {place(row): [whole(row[name]) for name in ("requests", "cold_starts", "failed", "fell_back")] for row in found["traffic"]},
        {place(row): [row[name] for name in ("requests", "cold", "failed", "fallback")] for row in report["traffic"]},
    )
    if weighed:
        by_place = {place(row): row for row in report["traffic"]}
        for row in found["traffic"]:
            for quantile, value in zip(("p50", "p95"), row["p50_p95_p99"]):
                own = by_place[place(row)][quantile]
                assert near(own, value, 0.1), f"{engine}, {quantile} of {place(row)}: expected about {own}, but found {value}"
    summary = report["summary"]
    equal(
        "hours",
        [[whole(row[name]) for name in ("requests", "failed", "fell_back", "cold_starts")] for row in found["hours"]],
        [[row[name] for name in ("requests", "failed", "fallback", "cold")] for row in summary["hours"]],
    )
    equal(
        "codes",
        {row["code"]: whole(row["requests"]) for row in found["codes"]},
        {row["code"]: row["requests"] for row in summary["codes"] if row["requests"]},
    )
    cost = {row["name"]: row["vcpu_seconds_per_million"] for row in summary["routes"]}
    for row in found["cost"]:
        own = cost.get(row["route"] or "no route")
        assert own is not None and near(own, float(row["vcpu_seconds_per_million"]), 1e-3), f"{engine}, cost of {row}: {cost}"
    equal(
        "variants",
        {", ".join(f"{name}={value}" for name, value in json.loads(row["variant"]).items()): whole(row["requests"]) for row in found["variants"]},
        {row["name"]: row["requests"] for row in summary["variants"]},
    )
    key = lambda row: (row["experiment_id"], row["unit_type"], row["key"])
    units = {}
    for row in found["units"]:
        units.setdefault(key(row), []).append(row)
    experiments = {(one["id"], one["unit_type"], one["key"] or ""): one for one in report["experiments"]}
    equal(
        "units",
        {one: [[row[name] for name in ("variation_id", "units", "shown", "fell_back")] for row in rows] for one, rows in units.items()},
        {
            one: [[row[name] for name in ("id", "units", "shown", "fallback")] for row in experiment["variations"]]
            for one, experiment in experiments.items()
        },
    )
    equal(
        "in several",
        {one: sum(row["in_several"] for row in rows) for one, rows in units.items()},
        {one: experiment["units_in_several"] for one, experiment in experiments.items()},
    )
    figures = {(*key(row), row["event"], row["variation"]): row for row in found["metrics"]}
    compared = 0
    for one, experiment in experiments.items():
        for metric in experiment["metrics"]:
            event, kind = metric["name"].split(":")
            for arm, mean in ((0, metric["baseline"]), (1, metric["mean"])):
                row = figures.get((*one, event, arm))
                equal(f"{metric['name']} of {one}", int(row["did"]) if row else 0, metric["did"][arm])
                total = (row["did"] if kind == "rate" else row["total"]) if row else 0
                own = float(total) / experiment["variations"][arm]["units"]
                assert near(own, mean, 1e-9), f"{engine}, {metric['name']}: expected the mean {mean}, but found {own}"
                compared += 1
    assert compared >= 8, f"expected metrics to compare, but found {compared}"


def parse_bigquery():
    import sqlglot

    for file in ("tables.sql", "questions.sql"):
        parsed = sqlglot.parse((HERE / "bigquery" / file).read_text(), dialect="bigquery")
        assert len([one for one in parsed if one]) >= 4
        for one in filter(None, parsed):
            assert not isinstance(one, sqlglot.exp.Command), f"{file}: not understood: {one}"


def main(personalizer):
    parse_bigquery()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for log, lines in lines_of_a_shop(0x5EED).items():
            (folder / f"{log}.ndjson").write_text("\n".join(lines) + "\n")

        def reported(*logs, password=PASSWORD):
            asked = [personalizer, "report", *logs, "--format", "json", "--out", "-"]
            metrics = ["--metric", "order:rate", "--metric", "order:value", "--metric", "newsletter:rate"]
            who = os.environ | {"CLICKHOUSE_PASSWORD": password}
            return subprocess.run(asked + metrics, capture_output=True, env=who, text=True)

        report = json.loads(reported(str(folder)).stdout)
        assert report["read"]["broken"] == 0 and report["read"]["doubled"] > 0, report["read"]
        compare("DuckDB", in_duckdb(folder), report, weighed=False)
        engine = clickhouse(folder)
        compare("chDB", in_clickhouse(engine), report, weighed=True)
        compare_answers(served(engine, lambda server: reported("--from", server)), report)
        day = ["--from", "2026-11-24T09:00:00Z", "--to", "2026-11-24T15:00:00Z"]
        compare_answers(served(engine, lambda server: reported("--from", server, *day)), json.loads(reported(str(folder), *day).stdout))
        refused = served(engine, lambda server: reported("--from", server, password="wrong"))
        assert refused.returncode == 2 and "Authentication failed" in refused.stderr, refused
    print("ClickHouse and DuckDB count what the report counts, and it reads them alike. BigQuery's files are its dialect.")


def compare_answers(answered, report):
    """The report that a server's answers make, beside the one of the files. How many bytes, doubled and late lines there were differs."""
    assert answered.returncode == 0, answered.stderr
    other = json.loads(answered.stdout)
    for name in ("from", "to", "traffic", "summary", "experiments"):
        assert other[name] == report[name], f"{name}: expected the files' {report[name]}, but found {other[name]}"


if __name__ == "__main__":
    main(sys.argv[1])
