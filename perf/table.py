# SPDX-License-Identifier: Apache-2.0
"""The seed's table anew: every row, by worker lcores, beside the seed's own figures.

Runs each row of perf/seed.py alone and with the clients that fill its batches, on 1, 2, 4,
.. lcores as far as the machine has them, repeated, and writes medians. Every finished run
is kept in OUT/runs, and is not run again.
"""

import argparse
import csv
import io
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import runs
import seed
import sweep

EPILOG = """
Writes table.md, table.csv, table.json and table.svg to OUT. Where a row signs its replies, its
bound is printed beside it: with n replicas and L lcores no division of that work is faster than
L / (n S + r V), S and V being what bench sign and bench verify take here, and r the replies
that a client must verify. Workers above the machine's CPUs are left out: they would measure
the kernel's scheduler.
"""


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="sweep --table", usage="perf/sweep.sh --table [options]",
        description=__doc__.splitlines()[0], epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--workers", type=runs.int_list, metavar="LIST",
                        help="lcores of a run (1, 2, 4, .. and all that there are)")
    parser.add_argument("--rows", default="", metavar="TEXT",
                        help="only rows whose name has this in it")
    parser.add_argument("--repeats", type=runs.positive_int, default=3, metavar="N",
                        help="runs of every figure; the median counts (3)")
    parser.add_argument("--seconds", type=runs.seconds, default=3, metavar="S",
                        help="measured seconds of a run (3)")
    parser.add_argument("--out", type=Path, default=Path("sweep"), metavar="DIR",
                        help="where results go (sweep)")
    parser.add_argument("--fresh", action="store_true", help="measure again what is in OUT already")
    parser.add_argument("--build", type=Path, default=runs.ROOT / "build", metavar="DIR",
                        help="build folder (build)")
    options = parser.parse_args(arguments)
    cpus = len(os.sched_getaffinity(0))
    if options.workers is None:
        options.workers = sorted({1 << i for i in range(cpus.bit_length()) if 1 << i <= cpus}
                                 | {cpus})
    too_many = [w for w in options.workers if w < 1 or w > cpus]
    if too_many:
        parser.error(f"--workers {too_many[0]}: this machine lets us have 1 to {cpus} CPUs")
    options.build, options.out = options.build.resolve(), options.out.resolve()
    return options


def eal(workers):
    cpus = sorted(os.sched_getaffinity(0))[:workers]
    return ["--no-pci", "--in-memory", "-l", ",".join(map(str, cpus))]


def settings(options, workers, row, clients):
    """A sweep of one point."""
    made = sweep.options_parse(
        ["-m", shlex.join([row.mode, *row.extra]) + " ", "-t", ",".join(map(str, clients)),
         "--repeats", str(options.repeats), "--seconds", f"{options.seconds:g}", "--warm", "1",
         "--out", str(options.out), "--build", str(options.build)]
        + (["--fresh"] if options.fresh else []))
    made.eal = eal(workers)
    return made


def signatures(options):
    """What one signature and one verification take on an lcore, in us."""
    taken = {}
    for name in ("sign", "verify"):
        rates = [runs.run_bench(options.build, eal(1), [name])[0]["ops_per_s"]
                 for _ in range(options.repeats)]
        taken[name] = 1e6 / runs.median(rates)
    return taken


def bound(record, taken):
    """The most that its signed replies allow, or None where replies are not signed each."""
    result = record["last"]
    if result.get("reply_auth") != "sign":
        return None
    n, f = result["n"], result["f"]
    needed = {"unreplicated-signed": 1, "zyzzyva": 3 * f + 1}.get(record["mode"], f + 1)
    return 1e6 * result["lcores"] / (n * taken["sign"] + needed * taken["verify"])


def measure(options, rows):
    records, failures = [], 0
    for workers in options.workers:
        for row in rows:
            made = settings(options, workers, row, sorted({1, row.clients}))
            points = sweep.points_make(made)
            failures += sweep.measure_all(made, points, lambda point, repeat, result: None)
            if not all(point.results for point in points):
                continue
            alone, busy = points[0].row(), points[-1].row()
            record = {"row": row.label, "mode": row.mode, "workers": workers,
                      "clients": row.clients, "throughput": busy["throughput"],
                      "p50_us": busy["p50_us"], "p99_us": busy["p99_us"],
                      "cpu_us_per_op": busy["cpu_us_per_op"], "alone_p50_us": alone["p50_us"],
                      "seed": row.seed, "command": runs.shown(points[-1].command),
                      "last": points[-1].results[-1]}
            records.append(record)
            print(f"{row.label:36} {workers:>3} lcores {runs.kilo(record['throughput']):>7} "
                  f"Kops/s  median {runs.micro(record['p50_us']):>7} us, alone "
                  f"{runs.micro(record['alone_p50_us']):>7} us", flush=True)
    return records, failures


FIELDS = ("row", "mode", "workers", "clients", "throughput", "bound", "p50_us", "p99_us",
          "alone_p50_us", "cpu_us_per_op", "seed")


def markdown(records, machine):
    lines = ["| row | lcores | clients | Kops/s | of the bound | median | one client's | "
             "CPU an operation | the seed |", "|---|--:|--:|--:|--:|--:|--:|--:|---|"]
    for r in records:
        share = f"{r['throughput'] / r['bound']:.2f}" if r["bound"] else ""
        lines.append(
            f"| {r['row']} | {r['workers']} | {r['clients']} | {runs.kilo(r['throughput'])} | "
            f"{share} | {runs.micro(r['p50_us'])} us | {runs.micro(r['alone_p50_us'])} us | "
            f"{runs.micro(r['cpu_us_per_op'])} us | {r['seed']} |")
    return (f"{machine['cpu']}, {machine['cores']} CPUs. {seed.SEED_NOTE}\n\n"
            + "\n".join(lines) + "\n")


def chart(options, records):
    """Bars: throughput of each row, a colour for each number of lcores."""
    data = io.StringIO()
    rows = list(dict.fromkeys(r["row"] for r in records))
    known = {(r["row"], r["workers"]): r["throughput"] / 1000 for r in records}
    data.write('"row" ' + " ".join(
        f'"{w} lcore{"" if w == 1 else "s"}"' for w in options.workers) + "\n")
    for row in rows:
        figures = (known.get((row, w)) for w in options.workers)
        data.write(f'"{row}" ' + " ".join("?" if x is None else f"{x:.6g}" for x in figures)
                   + "\n")
    file = options.out / "table.dat"
    runs.write_atomically(file, data.getvalue())
    script = Path(__file__).with_name("table.gp")
    line = (f"data='{file}'; out='{options.out / 'table.svg'}'; "
            f"columns={len(options.workers)}; rows={len(rows)}")
    try:
        subprocess.run(["gnuplot", "-e", line, str(script)], check=True, timeout=60,
                       capture_output=True, text=True)
    except FileNotFoundError:
        raise runs.RunFailed("gnuplot is missing; run as root: deploy/setup.sh") from None
    except subprocess.CalledProcessError as error:
        raise runs.RunFailed(f"gnuplot: {error.stderr.strip()}") from None


def write(options, records, taken, arguments):
    machine = runs.machine(options.build)
    for record in records:
        record["bound"] = bound(record, taken)
    text = markdown(records, machine)
    runs.write_atomically(options.out / "table.md", text)
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    runs.write_atomically(options.out / "table.csv", sheet.getvalue())
    runs.write_atomically(options.out / "table.json", json.dumps({
        "command": shlex.join(["perf/sweep.sh", "--table", *arguments]),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": machine,
        "repeats": options.repeats, "sign_us": taken["sign"], "verify_us": taken["verify"],
        "rows": [{k: v for k, v in r.items() if k != "last"} for r in records]}, indent=1) + "\n")
    chart(options, records)
    print(f"\n{text}\nwritten: {options.out}/table.md, table.csv, table.json, table.svg")


def main(arguments):
    runs.install_signals()
    options = options_parse(arguments)
    runs.require_program(options.build, "oskr-cluster")
    try:
        offered = runs.modes_offered(options.build)
        rows = [r for r in seed.ROWS if r.mode in offered and options.rows in r.label]
        if not rows:
            raise runs.RunFailed(f"no row of the build's modes has '{options.rows}' in its name")
        (options.out / "runs").mkdir(parents=True, exist_ok=True)
        taken = signatures(options)
        records, failures = measure(options, rows)
        if records:
            write(options, records, taken, arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\nsweep: interrupted; what was run is kept: the same command resumes\n")
        return 130
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"sweep: {error}\n")
        return 1
    return 1 if failures else 0
