# SPDX-License-Identifier: Apache-2.0
"""Counts one `meson test` run, and shows what CUnit said at the end of each suite.

    results.py BUILD/meson-logs/testlog.json COUNTS

Appends one line "passed failed skipped" to the file COUNTS.
"""

import json
import sys

PASSED = ("OK", "EXPECTEDFAIL")
SKIPPED = ("SKIP",)


def cunit_summary(output):
    """CUnit's closing summary: from 'Run Summary' to the elapsed time."""
    lines = output.splitlines()
    begins = [index for index, line in enumerate(lines) if line.startswith("Run Summary:")]
    if not begins:
        return []
    summary = []
    for line in lines[begins[-1]:]:
        if line.strip():
            summary.append(line.rstrip())
        if line.startswith("Elapsed time"):
            break
    return summary


def main(log, counts):
    passed = failed = skipped = 0
    with open(log) as file:
        for line in file:
            test = json.loads(line)
            print(f"{test['result']:8} {test['name']}  ({test['duration']:.2f} s)")
            for summary_line in cunit_summary(test.get("stdout") or ""):
                print(f"         {summary_line}")
            if test["result"] in PASSED:
                passed += 1
            elif test["result"] in SKIPPED:
                skipped += 1
            else:
                failed += 1
    with open(counts, "a") as file:
        file.write(f"{passed} {failed} {skipped}\n")
    print(f"{passed} of {passed + failed} tests passed"
          + (f", {skipped} skipped" if skipped else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
