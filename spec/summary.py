#!/usr/bin/env python3
"""Counts what `meson test` ran, down to the single scenario, and says what was skipped and why.

    spec/summary.py build/meson-logs/testlog.json

A test of meson counts as its doctest scenarios where it prints doctest's closing line, else as one. A scenario that
misses its equipment prints a line "skipped: WHAT: WHY" and counts as skipped. The last line is exactly
"N passed, N failed, N skipped"; the exit status is 1 if anything failed or nothing ran.
"""

import json
import re
import sys

CASES = re.compile(r"^\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", re.M)
SKIPPED = re.compile(r"^\s*skipped:?\s+(.+)$", re.I | re.M)
SKIP_STATUS = 77


def count(test):
    """(passed, failed, [why skipped]) of one line of meson's log."""
    output = test.get("stdout") or ""
    reasons = [line.strip() for line in SKIPPED.findall(output)]
    cases = CASES.findall(output)
    passed = sum(int(x[1]) for x in cases)
    failed = sum(int(x[2]) for x in cases)
    if test["result"] == "SKIP" or test.get("returncode") == SKIP_STATUS:
        return 0, 0, reasons or ["the whole test"]
    ended_well = test["result"] in ("OK", "EXPECTEDFAIL")
    if not cases:
        if not ended_well:
            return 0, 1, reasons
        return (0, 0, reasons) if reasons else (1, 0, [])
    if not ended_well and failed == 0:
        failed = 1
    return max(0, passed - len(reasons)), failed, reasons


def main(path):
    with open(path, encoding="utf-8") as log:
        tests = [json.loads(line) for line in log if line.strip()]
    passed = failed = 0
    skipped = []
    print(f"{'test':40} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for test in tests:
        good, bad, reasons = count(test)
        name = test["name"].removeprefix("novacron:").split(" / ")[-1]
        note = "" if test["result"] in ("OK", "SKIP") else f"  {test['result']}"
        print(f"{name:40} {good:7} {bad:7} {len(reasons):8} {test.get('duration', 0):8.1f}{note}")
        passed += good
        failed += bad
        skipped += [f"{name}: {reason}" for reason in reasons]
    if skipped:
        print("\nskipped:")
        for line in skipped:
            print(f"  {line}")
    print(f"\n{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1]))
    except OSError as problem:
        print(f"no test has run: {problem}\n\n0 passed, 1 failed, 0 skipped")
        sys.exit(1)
