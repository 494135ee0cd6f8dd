"""Reads the output of `cargo test -- fault_` and prints one line per row of the fault matrix and service."""

import re
import sys

# A case that runs over several services is a module with a test for each; others stand alone.
LINE = re.compile(r"test (?:\S+::)?fault_(\d+)_([a-z0-9_]+)(?:::(\w+))? \.\.\. (\w+)")

results: dict[int, dict[str, dict[str, bool]]] = {}
for line in sys.stdin:
    if match := LINE.match(line):
        row, name, service, verdict = match.groups()
        cases = results.setdefault(int(row), {})
        cases.setdefault(name.replace("_", " "), {})[service or "any"] = verdict == "ok"

for row in sorted(results):
    for name, services in results[row].items():
        for service, passed in sorted(services.items()):
            print(f"{row:3}  {'ok    ' if passed else 'FAILED'}  {service:<10}  {name}")

verdicts = [passed for cases in results.values() for services in cases.values() for passed in services.values()]
for service in sorted({service for cases in results.values() for services in cases.values() for service in services}):
    rows = [row for row, cases in results.items() if any(service in services for services in cases.values())]
    print(f"{service}: {len(rows)} rows")
failed = verdicts.count(False)
print(f"{len(results)} rows, {len(verdicts)} tests, {failed} failed")
sys.exit(1 if failed or not verdicts else 0)
