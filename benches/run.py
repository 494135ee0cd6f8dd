#!/usr/bin/env python3
"""Measures recordport against a server on loopback and prints the table of docs/performance.md.

Every contestant runs in a process of its own. Processor time and peak memory are the kernel's count for that process
(wait4); wall time includes its start. The contestants take turns, so that what else the machine does strikes all of
them alike.
"""

import argparse
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# Megabytes a second of a line that is quick for a network, and slower than loopback.
LINE = 400
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Run:
    """One process: wall and processor seconds, peak memory in MiB."""

    def __init__(self, command, env, stdout=subprocess.DEVNULL):
        began = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        self.wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        if process.returncode != 0:
            sys.exit(f"{command} ended with {process.returncode}: {said.decode(errors='replace')}")
        self.cpu = used.ru_utime + used.ru_stime
        self.system = used.ru_stime
        self.memory = used.ru_maxrss / 1024


class Server:
    def __init__(self, tool):
        self.process = subprocess.Popen([tool, "server"], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def ask(self, path):
        # By hand: what this process holds in memory counts as the least peak of those that it starts.
        host, port = self.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as stream:
            stream.sendall(f"GET /_bench/{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            reply = b"".join(iter(lambda: stream.recv(65536), b""))
        return json.loads(reply.split(b"\r\n\r\n", 1)[1])

    def set(self, records, page, think=0, gzip=False, service="salesforce", blocks=0, line=0):
        return self.ask(f"set?service={service}&records={records}&page={page}&think={think}&gzip={int(gzip)}&blocks={blocks}&line={line}")


class Table:
    """Results by contestant, each with all its runs."""

    def __init__(self, title):
        self.title = title
        self.runs = {}

    def add(self, name, run):
        self.runs.setdefault(name, []).append(run)

    def median(self, name, what):
        return statistics.median(getattr(run, what) for run in self.runs[name])

    def print(self, base=None):
        print(f"\n### {self.title}\n")
        print("| | CPU s (least–most) | of it kernel | wall s (least–most) | peak MiB |" + (f" CPU to {base} |" if base else ""))
        print("|---|---|---|---|---|" + ("---|" if base else ""))
        for name, runs in self.runs.items():
            cpu, wall = [run.cpu for run in runs], [run.wall for run in runs]
            line = (
                f"| {name} | {statistics.median(cpu):.3f} ({min(cpu):.3f}–{max(cpu):.3f}) | {self.median(name, 'system'):.3f} "
                f"| {statistics.median(wall):.3f} ({min(wall):.3f}–{max(wall):.3f}) | {max(run.memory for run in runs):.0f} |"
            )
            if base:
                line += f" {self.median(name, 'cpu') / self.median(base, 'cpu'):.2f} |"
            print(line)
        sys.stdout.flush()


class Verdicts:
    def __init__(self):
        self.lines = []

    def add(self, what, figure, limit, unit=""):
        met = "met" if figure <= limit else "MISSED"
        self.lines.append(f"| {what} | {figure:.3g}{unit} | {limit:g}{unit} | {met} |")

    def print(self):
        print("\n### Targets\n\n| | measured | at most | |\n|---|---|---|---|")
        print("\n".join(self.lines))


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECORDPORT_")}
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    kept = {name: value for name, value in kept.items() if name.lower() not in proxies}
    return kept | {"RECORDPORT_HOME": str(home / "home"), "RECORDPORT_KEYRING": "off", "HOME": str(home), "NO_COLOR": "1"}


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores of {model}, {platform.system()} {platform.release()}, load before {load}")


def searches(server, tool, program, env, args, title, gzip, node):
    """100,000 records in pages of 2,000, by everybody in turn."""
    server.set(args.records, 2000, gzip=gzip)
    table = Table(title)
    word = "gzip" if gzip else "plain"
    search = [program, "search", "bench", "Account", "--format", "ndjson"]
    for _ in range(args.runs):
        for name, way in [("(a) reqwest, discard", "discard"), ("(b) reqwest, RawValue", "raw"), ("(c) reqwest, Value", "value")]:
            table.add(name, Run([tool, "read", "salesforce", way, server.address, word], env))
        table.add("recordport search", Run(search, env))
        if gzip:
            continue
        with tempfile.TemporaryFile() as file:
            table.add("(b) to NDJSON in a file", Run([tool, "read", "salesforce", "raw-ndjson", server.address, word], env, file))
        with tempfile.TemporaryFile() as file:
            table.add("(c) to NDJSON in a file", Run([tool, "read", "salesforce", "value-ndjson", server.address, word], env, file))
        output = pathlib.Path(env["HOME"]) / "out.ndjson"
        table.add("recordport search --output", Run([*search, "--output", str(output)], env))
        with open(output, "rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        assert lines == args.records, f"{lines} records came"
        output.unlink()
        table.add("recordport search --where (checked here)", Run([*search, "--where", "Name LIKE '%Leeds%'"], env))
        table.add("recordport search --select 5 fields", Run([*search, "--select", "Id,Name,Phone,Industry,CreatedDate"], env))
    if node:
        for _ in range(max(1, args.runs // 2)):
            script = str(ROOT / "tests/clients/bench.mjs")
            table.add("jsforce 3.10.16", Run(["node", script, "search", server.address, str(args.records)], env))
    table.print("(b) reqwest, RawValue")
    return table


class Service:
    """A service whose searches are measured beside Salesforce's: how many records, pages of how many, which type."""

    def __init__(self, label, type, records, page):
        self.label, self.type, self.records, self.page = label, type, records, page


# Each page is the service's largest.
SERVICES = {
    "dynamics": Service("Dynamics 365", "account", 100_000, 5000),
    "jira": Service("Jira", "issue", 20_000, 100),
    "google-calendar": Service("Google Calendar", "event:bench@example.com", 100_000, 2500),
    "dropbox": Service("Dropbox", "file", 100_000, 2000),
}


def service(name, server, tool, program, env, args, verdicts):
    """All records of a service, by everybody in turn."""
    one = SERVICES[name]
    count = one.records * args.records // 100_000
    server.set(count, one.page, service=name)
    connection = f"bench-{name}"
    connect = [program, "connect", name, connection, "--endpoint", server.address, "--grant", "token"]
    subprocess.run(connect, env=env | {"RECORDPORT_TOKEN": "bench-token"}, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    table = Table(f"{one.label}: {count:,} records, pages of {one.page:,}")
    search = [program, "search", connection, one.type, "--format", "ndjson"]
    output = pathlib.Path(env["HOME"]) / f"{name}.ndjson"
    for _ in range(args.runs):
        for label, way in [("(a) reqwest, discard", "discard"), ("(b) reqwest, RawValue", "raw"), ("(c) reqwest, Value", "value")]:
            table.add(label, Run([tool, "read", name, way, server.address, "plain"], env))
        table.add("recordport search", Run(search, env))
        table.add("recordport search --output", Run([*search, "--output", str(output)], env))
        with open(output, "rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        assert lines == count, f"{lines} records came"
        output.unlink()
    table.print("(b) reqwest, RawValue")
    own = table.median("recordport search", "cpu")
    verdicts.add(f"{one.label}, search: CPU to (b)", own / table.median("(b) reqwest, RawValue", "cpu"), 2.5, "x")
    verdicts.add(f"{one.label}, search: CPU to (c)", own / table.median("(c) reqwest, Value", "cpu"), 0.5, "x")
    memory = max(run.memory for run in table.runs["recordport search"])
    verdicts.add(f"{one.label}, search: peak MiB, {count:,} records", memory, 64)


def contents(server, tool, program, env, args, verdicts):
    """A file of 1 GiB from and to Dropbox, beside a transfer by reqwest alone."""
    blocks = 256
    server.set(0, 1, service="dropbox", blocks=blocks)
    connect = [program, "connect", "dropbox", "bench-content", "--endpoint", server.address, "--grant", "token"]
    subprocess.run(connect, env=env | {"RECORDPORT_TOKEN": "bench-token"}, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    file = pathlib.Path(env["HOME"]) / "content.bin"
    with open(file, "wb") as out:
        subprocess.run([tool, "content", str(blocks)], stdout=out, check=True)
    for line, named in [(LINE, f"over a line of {LINE} MB/s"), (0, "as fast as loopback is")]:
        server.set(0, 1, service="dropbox", blocks=blocks, line=line)
        table = Table(f"Dropbox: content of {blocks * 4:,} MiB, {named}")
        for _ in range(args.runs):
            table.add("reqwest, down", Run([tool, "get", server.address], env))
            table.add("recordport content get", Run([program, "content", "get", "bench-content", "file", "/bench.bin"], env))
            table.add("reqwest, up", Run([tool, "put", server.address, str(file)], env))
            table.add("recordport content put", Run([program, "content", "put", "bench-content", "file", "/bench.bin", str(file)], env))
        table.print()
        for way, word in [("down", "get"), ("up", "put")]:
            rate = table.median(f"recordport content {word}", "wall") / table.median(f"reqwest, {way}", "wall")
            verdicts.add(f"Dropbox, content {way}, {named}: wall to reqwest", rate, 1 / 0.9, "x")
        memory = max(run.memory for word in ["get", "put"] for run in table.runs[f"recordport content {word}"])
        verdicts.add(f"Dropbox, content, {named}: peak MiB", memory, 96)
    file.unlink()


def runs(server, program, env, args, verdicts):
    """Whole runs of a mapping: records read, mapped, written down in the journal, and created."""
    rules = [{"to": name, "from": name} for name in ["AccountNumber", "Phone", "Website", "NumberOfEmployees"]]
    rules.append({"to": "Name", "template": "{Name} of {BillingCity}"})
    rules.append({"to": "Rating", "from": "Rating", "steps": [{"op": "picklist", "map": {"Hot": "Hot", "Warm": "Warm", "Cold": "Cold"}}]})
    table = Table("runs: records of a search mapped by six rules and created, 200 a request")
    for count in [args.records // 10, args.records]:
        name = f"{count:,} records"
        mapping = {
            "recordport": "mapping/1",
            "name": f"bench {count}",
            "source": {"connection": "bench", "type": "Account"},
            "target": {"connection": "bench", "type": "Account", "operation": "create"},
            "fields": rules,
        }
        file = pathlib.Path(env["HOME"]) / f"run-{count}.json"
        file.write_text(json.dumps(mapping))
        for _ in range(max(1, args.runs // 2)):
            server.set(count, 2000)
            table.add(f"recordport run, {name}", Run([program, "run", str(file)], env))
            counts = server.ask("counts")
            assert counts["rows"] == count, f"{counts['rows']} rows came"
        wall = table.median(f"recordport run, {name}", "wall")
        print(f"{name}: {count / wall:,.0f} rows/s")
    table.print()
    few, many = (max(run.memory for run in table.runs[name]) for name in table.runs)
    verdicts.add(f"run: peak MiB, {args.records:,} records", many, 96)
    verdicts.add("run: memory of ten times the records", many / few, 1.5, "x")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="three runs, nothing that takes long")
    parser.add_argument("--no-node", action="store_true", help="without jsforce")
    parser.add_argument("--only", choices=[*SERVICES, "content", "runs"], help="this service's searches alone, or contents, or runs")
    args = parser.parse_args()
    if args.quick:
        args.runs = 3
    node = not args.no_node and not args.only
    if node and not (ROOT / "tests/clients/node_modules/jsforce").exists():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=ROOT / "tests/clients", check=True, stdout=subprocess.DEVNULL)
    server = Server(args.tool)
    try:
        with tempfile.TemporaryDirectory() as home:
            measure(server, args, environment(pathlib.Path(home)), node)
    finally:
        server.process.kill()
        server.process.wait()


def measure(server, args, env, node):
    program, tool = args.program, args.tool
    verdicts = Verdicts()
    machine()
    if args.only == "content":
        contents(server, tool, program, env, args, verdicts)
        return verdicts.print()
    if args.only and args.only != "runs":
        service(args.only, server, tool, program, env, args, verdicts)
        return verdicts.print()
    server.set(args.records, 2000)
    connect = [program, "connect", "salesforce", "bench", "--endpoint", server.address, "--grant", "token"]
    subprocess.run(connect, env=env | {"RECORDPORT_TOKEN": "00Dbench!token"}, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    if args.only == "runs":
        runs(server, program, env, args, verdicts)
        return verdicts.print()

    plain = searches(server, tool, program, env, args, f"{args.records:,} records, pages of 2,000", False, node)
    packed = searches(server, tool, program, env, args, "the same, compressed by gzip", True, node and not args.quick)
    for table, word in [(plain, ""), (packed, ", gzip")]:
        own = table.median("recordport search", "cpu")
        verdicts.add(f"search{word}: CPU to (b)", own / table.median("(b) reqwest, RawValue", "cpu"), 2.5, "x")
        verdicts.add(f"search{word}: CPU to (c)", own / table.median("(c) reqwest, Value", "cpu"), 0.5, "x")
        if "jsforce 3.10.16" in table.runs:
            verdicts.add(f"search{word}: CPU to jsforce", own / table.median("jsforce 3.10.16", "cpu"), 1 / 3, "x")
    memory = max(run.memory for run in plain.runs["recordport search"])
    verdicts.add(f"search: peak MiB, {args.records:,} records", memory, 64)

    search = [program, "search", "bench", "Account", "--format", "ndjson"]
    longer = Table("ten times the records; 1,000 pages of 200")
    if not args.quick:
        server.set(args.records * 10, 2000)
        longer.add(f"{args.records * 10:,} records", Run(search, env))
        verdicts.add(f"search: peak MiB, {args.records * 10:,} records", longer.median(f"{args.records * 10:,} records", "memory"), 64)
    server.set(200_000, 200)
    longer.add("200,000 records in 1,000 pages", Run([*search, "--page-size", "200"], env))
    counts = server.ask("counts")
    print(f"\n1,000 pages: {counts['requests']} requests over {counts['connections']} connections")
    verdicts.add("search: connections for 1,000 pages", counts["connections"], 2)
    longer.print()

    for name in SERVICES:
        service(name, server, tool, program, env, args, verdicts)
    contents(server, tool, program, env, args, verdicts)
    writes(server, tool, program, env, args, node, verdicts)
    runs(server, program, env, args, verdicts)
    starts(program, env, args, verdicts)
    verdicts.print()


def writes(server, tool, program, env, args, node, verdicts):
    table = Table("creating records")
    rows = pathlib.Path(env["HOME"]) / "rows.ndjson"
    for count, think in [(10_000, 0), (10_000, 20), (2_000, 20)]:
        with open(rows, "wb") as file:
            subprocess.run([tool, "rows", str(count)], stdout=file, check=True)
        name = f"{count:,} rows, {think} ms of think time"
        for _ in range(max(2, args.runs // 2)):
            server.set(0, 1, think)
            table.add(f"recordport create, {name}", Run([program, "create", "bench", "Account", str(rows), "--format", "ndjson"], env))
            counts = server.ask("counts")
            assert counts["rows"] == count, f"{counts['rows']} rows came"
            if node:
                script = str(ROOT / "tests/clients/bench.mjs")
                table.add(f"jsforce create, {name}", Run(["node", script, "create", server.address, str(rows)], env))
        if (count, think) == (2_000, 20):
            verdicts.add("2,000 creates at 20 ms: wall s", table.median(f"recordport create, {name}", "wall"), 0.25)
    table.print()


def starts(program, env, args, verdicts):
    table = Table("start of the program")
    for words in [["--help"], ["connections", "list"], ["search", "--help"]]:
        name = " ".join(words)
        for _ in range(args.runs * 3):
            table.add(name, Run([program, *words], env))
        verdicts.add(f"start, {name}: wall ms", table.median(name, "wall") * 1000, 30)
    print("\n### start of the program\n\n| | CPU ms | wall ms (least–most) |\n|---|---|---|")
    for name, runs in table.runs.items():
        wall = [run.wall * 1000 for run in runs]
        print(f"| `{name}` | {table.median(name, 'cpu') * 1000:.1f} | {statistics.median(wall):.1f} ({min(wall):.1f}–{max(wall):.1f}) |")


if __name__ == "__main__":
    main()
