"""Reads the output of `cargo test -- fault_` and prints one line per row of the fault matrix."""

import re
import sys

results: dict[int, list[tuple[str, bool]]] = {}
for line in sys.stdin:
    match = re.match(r"test (?:\S+::)?fault_(\d+)_(\w+) \.\.\. (\w+)", line)
    if match:
        row, name, verdict = match.groups()
        results.setdefault(int(row), []).append((name.replace("_", " "), verdict == "ok"))

for row in sorted(results):
    for name, passed in results[row]:
        print(f"{row:3}  {'ok    ' if passed else 'FAILED'}  {name}")
total = sum(len(cases) for cases in results.values())
failed = sum(1 for cases in results.values() for _, passed in cases if not passed)
print(f"{len(results)} rows, {total} tests, {failed} failed")
sys.exit(1 if failed or not total else 0)
