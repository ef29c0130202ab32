# SPDX-License-Identifier: Apache-2.0
"""Throughput-latency curves: modes x client counts (or rates), repeated.

Every finished run is one JSON file in OUT/runs, named by its command and its
repeat; what is there already is not run again, which makes an interrupted
sweep resume. Repeats are the outermost loop, so that a slow spell of the
machine touches every point alike.
"""

import argparse
import csv
import hashlib
import io
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import hosts
import runs

EPILOG = """
Writes sweep.csv, sweep.json, curve.svg and curve.png to OUT, and one file a run
to OUT/runs. The same command again resumes after an interruption.

perf/sweep.sh --table measures the seed's table instead (--table -h).

Examples:
  perf/sweep.sh -m unreplicated,unreplicated-signed -t 1,4,16,64,256
  perf/sweep.sh -m 'unreplicated --reply-auth batch' -m unreplicated --repeats 5
  perf/sweep.sh -m unreplicated -t 256 --rates 100000,200000,400000 -- --app kv -w ycsb-b
"""

# Fields of oskr-cluster's JSON that a point reports, as medians of the repeats.
POINT_FIELDS = ("throughput", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "mean_us",
                "errors", "retransmissions", "view_changes", "cpu_us_per_op", "client_busy",
                "replica_busy")


def options_parse(arguments):
    own, extra = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        own, extra = arguments[:cut], arguments[cut + 1:]
    parser = runs.OptionParser(
        prog="sweep", usage="perf/sweep.sh -m MODES [options] [-- oskr-cluster options]",
        description=__doc__.splitlines()[0], epilog=EPILOG, add_help=True,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("-m", "--modes", action="append", required=True, metavar="MODES",
                        help="modes, with commas; a mode may carry options of its own "
                             "('pbft --adaptive'); may be given several times")
    parser.add_argument("-t", "--clients", type=runs.int_list, metavar="LIST",
                        default=[1, 2, 4, 8, 16, 32, 64, 128, 256],
                        help="closed-loop client counts (1,2,4,8,16,32,64,128,256)")
    parser.add_argument("--rates", type=runs.int_list, metavar="LIST",
                        help="open loop: offered operations a second; -t is then one count (256)")
    parser.add_argument("--repeats", type=runs.positive_int, default=3, metavar="N",
                        help="runs of every point; the median counts (3)")
    parser.add_argument("--seconds", type=runs.seconds, default=5, metavar="S",
                        help="measured seconds of a run (5)")
    parser.add_argument("--warm", type=runs.seconds, default=1, metavar="S",
                        help="seconds before, not measured (1)")
    parser.add_argument("--out", type=Path, default=Path("sweep"), metavar="DIR",
                        help="where results go (sweep)")
    parser.add_argument("--fresh", action="store_true",
                        help="measure again what is in OUT already")
    parser.add_argument("--build", type=Path, default=runs.ROOT / "build", metavar="DIR",
                        help="build folder (build)")
    parser.add_argument("--eal", type=shlex.split, default=[], metavar="ARGS",
                        help="DPDK's own arguments, one word ('-l 0-1 --no-pci --in-memory'); "
                             "without it the program chooses")
    parser.add_argument("--hosts", type=Path, metavar="FILE",
                        help="run oskr-replica and oskr-client on the hosts of this file "
                             "(perf/hosts.py says its form) instead of oskr-cluster here")
    parser.add_argument("--transport", type=shlex.split, default=["ssh", "{host}"],
                        metavar="COMMAND",
                        help="with --hosts: what runs a line in a host's shell ('ssh {host}')")
    parser.add_argument("--replica-options", type=shlex.split, default=[], metavar="OPTIONS",
                        help="with --hosts: options that replicas alone take ('-b 100')")
    options = parser.parse_args(own)
    options.extra = extra
    options.cluster = None  # what runs a point, where that is on hosts
    if options.rates:
        clients_given = options.clients is not parser.get_default("clients")
        if clients_given and len(options.clients) > 1:
            parser.error("with --rates, -t takes one count")
        options.clients = options.clients if clients_given else [256]
    options.series = series_parse(options.modes)
    if options.seconds < 0.001:
        parser.error("--seconds is a millisecond at least")
    if not options.series:
        parser.error("-m names no mode")
    return options


def series_parse(modes):
    """[(title, [mode, option, ...])]: commas separate modes, blanks a mode's options."""
    series = []
    for group in modes:
        for part in group.split(",") if " " not in group.strip() else [group]:
            words = shlex.split(part)
            if words:
                series.append((" ".join(words), words))
    return list(dict(series).items())


class Point:
    """One place on a curve: a command, and the runs of it that are finished."""

    def __init__(self, options, series, clients, rate):
        self.series = series[0]
        self.clients = clients
        self.rate = rate
        arguments = ["-m", *series[1], "-t", str(clients)]
        if rate:
            arguments += ["--rate", str(rate)]
        arguments += ["-d", f"{options.seconds:g}", "--warm", f"{options.warm:g}", *options.extra]
        self.command = runs.cluster_command(options.build, options.eal, arguments)
        self.seconds = options.seconds + options.warm
        self.hosts = options.cluster
        if self.hosts is not None:
            # Slots are the same for all processes, so that a session is one.
            self.shared = ["-m", *series[1], "--slots", str(max(options.clients)),
                           *options.extra]
            self.load = arguments[arguments.index("-t"):len(arguments) - len(options.extra)]
            self.command = ["oskr-client", "--", *self.shared, *self.load]
            arguments = [str(options.hosts), *self.command, *options.replica_options]
        self.key = hashlib.sha256(json.dumps([options.eal, arguments]).encode()).hexdigest()
        self.results = []

    def run(self):
        if self.hosts is not None:
            return self.hosts.run(self.shared, self.load, self.seconds)
        return runs.run_cluster(self.command, self.seconds)

    def file(self, out, repeat):
        load = f"t{self.clients}" + (f"-rate{self.rate}" if self.rate else "")
        slug = re.sub(r"[^a-z0-9]+", "-", self.series.lower()).strip("-")[:60]
        return out / "runs" / f"{slug}-{load}-{self.key[:10]}-{repeat}.json"

    def load_text(self):
        return f"-t {self.clients}" + (f" --rate {self.rate}" if self.rate else "")

    def row(self):
        """Medians, and the spread of the throughput."""
        row = {"series": self.series, "clients": self.clients, "rate": self.rate,
               "runs": len(self.results)}
        for field in POINT_FIELDS:
            values = [result[field] for result in self.results
                      if isinstance(result.get(field), (int, float))]
            row[field] = runs.median(values)
        throughputs = [result["throughput"] for result in self.results]
        row["throughput_min"] = min(throughputs)
        row["throughput_max"] = max(throughputs)
        return row


def points_make(options):
    rates = options.rates or [0]
    return [Point(options, series, clients, rate) for series in options.series
            for clients in options.clients for rate in rates]


def finished(file, point):
    """The result of an earlier run of the same command, or None."""
    try:
        record = json.loads(file.read_text())
        return record["result"] if record["key"] == point.key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure_all(options, points, report):
    """Fills the points' results; returns the number of runs that failed."""
    progress = runs.Progress(len(points) * options.repeats)
    failures = 0
    for repeat in range(1, options.repeats + 1):
        for point in points:
            file = point.file(options.out, repeat)
            result = None if options.fresh else finished(file, point)
            if result is not None:
                progress.skip()
                point.results.append(result)
                continue
            what = f"{point.series} {point.load_text()} (repeat {repeat} of {options.repeats})"
            try:
                result, _ = progress.measure(
                    what, options.seconds + options.warm + 1,
                    point.run)
            except runs.RunFailed as error:
                failures += 1
                sys.stderr.write(f"sweep: {error}\n")
                continue
            record = {"key": point.key, "command": runs.shown(point.command), "repeat": repeat,
                      "result": result}
            runs.write_atomically(file, json.dumps(record, indent=1) + "\n")
            point.results.append(result)
            report(point, repeat, result)
    return failures


def print_run(point, repeat, result):
    load = point.load_text()
    throughput = runs.kilo(result["throughput"])
    median, p99 = runs.micro(result["p50_us"]), runs.micro(result["p99_us"])
    print(f"{point.series:36.36} {load:>14} #{repeat} {throughput:>7} Kops/s"
          f"  median {median:>6} us  p99 {p99:>6} us", flush=True)


def curve_data(rows):
    """The plot's input: one block a series, points in the order of their load."""
    blocks = {}
    for row in rows:
        blocks.setdefault(row["series"], []).append(row)
    text = io.StringIO()
    for title, block in blocks.items():
        text.write(f'"{title}"\n')
        for row in sorted(block, key=lambda r: (r["rate"], r["clients"])):
            text.write(f"{row['throughput'] / 1000:.6g} {row['p50_us']:.6g} "
                       f"{row['p99_us']:.6g}\n")
        text.write("\n\n")
    return text.getvalue(), len(blocks)


def plot(data, series, kind, out=None, reference=None, size=(79, 24)):
    """Draws `data` (a file) with gnuplot; returns what it printed (the dumb terminal)."""
    settings = (f"kind='{kind}'; data='{data}'; series={series}; "
                f"columns={size[0]}; rows={size[1]}")
    if out:
        settings += f"; out='{out}'"
    if reference:
        settings += f"; reference='{reference}'"
    script = Path(__file__).with_name("plot.gp")
    try:
        done = subprocess.run(["gnuplot", "-e", settings, str(script)], capture_output=True,
                              text=True, timeout=60, check=True)
    except FileNotFoundError:
        raise runs.RunFailed("gnuplot is missing; run as root: deploy/setup.sh") from None
    except subprocess.CalledProcessError as error:
        raise runs.RunFailed(f"gnuplot: {error.stderr.strip()}") from None
    return done.stdout


def write_results(options, points, arguments):
    rows = [point.row() for point in points if point.results]
    if not rows:
        return
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    runs.write_atomically(options.out / "sweep.csv", table.getvalue())
    record = {
        "command": shlex.join(["perf/sweep.sh", *arguments]),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": runs.machine(options.build),
        "repeats": options.repeats,
        "points": [{**point.row(), "command": runs.shown(point.command), "results": point.results}
                   for point in points if point.results],
    }
    runs.write_atomically(options.out / "sweep.json", json.dumps(record, indent=1) + "\n")
    data, series = curve_data(rows)
    runs.write_atomically(options.out / "curve.dat", data)
    for kind in ("svg", "png"):
        plot(options.out / "curve.dat", series, kind, options.out / f"curve.{kind}")
    print(f"written: {options.out}/sweep.csv, sweep.json, curve.svg, curve.png")


def main(arguments):
    if "--table" in arguments:
        import table  # pylint: disable=import-outside-toplevel; it is made of sweeps
        return table.main([word for word in arguments if word != "--table"])
    runs.install_signals()
    options = options_parse(arguments)
    options.build = options.build.resolve()
    options.out = options.out.resolve()
    try:
        if options.hosts is None:
            runs.require_program(options.build, "oskr-cluster")
        else:
            options.cluster = hosts.Hosts(options.hosts, options.transport,
                                          options.replica_options)
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"sweep: {error}\n")
        return 2
    points = points_make(options)
    try:
        (options.out / "runs").mkdir(parents=True, exist_ok=True)
        failures = measure_all(options, points, print_run)
        write_results(options, points, arguments)
    except KeyboardInterrupt:
        kept = sum(len(point.results) for point in points)
        sys.stderr.write(f"\nsweep: interrupted; {kept} of {len(points) * options.repeats} runs "
                         f"are kept in {options.out}/runs: the same command resumes\n")
        return 130
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"sweep: {error}\n")
        return 1
    if failures:
        sys.stderr.write(f"sweep: {failures} of {len(points) * options.repeats} runs failed\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
