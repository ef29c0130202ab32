# SPDX-License-Identifier: Apache-2.0
"""What lcores and ordering instances bring and cost, and a model of lcores that are not here.

Runs oskr-cluster on more and more lcores, and with more and more instances on all CPUs,
prints medians, and fits costs of an operation to them.
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
import scale_model
import sweep

LIMIT = 1.15  # CPU time an operation with S instances, by that with one
CLIENTS = 3200  # two batches of 100 in each of 14 instances: one under way, one to come
CLIENTS_CHAIN = 12800  # a chain has five blocks under way, and three more to come
MODES = ("pbft --profile fast -b 100 --adaptive", "hotstuff --profile fast -b 100 --adaptive")
PILLARS_MAX = 15  # what oskr-cluster takes

EPILOG = """
Measures, one after the other and --repeats times over, for every mode:
  lcores     1, 2, 4 .. lcores, a CPU each, with one instance and with as many as lcores
  instances  S = 1, 2, 4, 8, 14 on S + 1 lcores, one for execution and one for each
             instance, that share all CPUs, dealt out in turn: --lcores '0@0,1@1,2@0,..'
             (with --floating all on all, where the kernel moves them: '(0-S)@(CPUS)')
A replica has all instances on one lcore, or spreads them over pillars, lcores of their own.
Pillars bring nothing where they share CPUs, and cost: small bursts, waits for the kernel to
run the other half. So --pillars auto takes them in runs of several instances on more than
two lcores that have a CPU each; all takes them everywhere, none nowhere. Their cost is then
part of the comparison with S = 1, which stays the plain protocol.

Two figures of CPU time an operation, all replicas and clients together:
  busy     sum(lcores_busy) * seconds / operations: time in bursts that were not empty.
           The verdicts and the model are by this one, since lcores that poll take all
           of their CPUs, whether there is work or not. What the kernel takes from a burst
           to run something else is not in it, where rseq(2) tells of that (lcores_taken has
           it); that caches are cold afterwards is. Where it exceeds the other all the
           same, it is marked with *: trust the smaller one there.
  process  cpu_us_per_op: all CPU time of the process, its idle polling included
The verdict: busy with S instances at most 1.15 times that with one, as the median of the
repeats' own ratios; the same of process is beside it. All runs of a mode have the same
clients (-t), so more instances make smaller batches, as the last column says; with
--per-instance each instance has as many clients as the one. A chain has five blocks under
way at a time, and clients of eight or so keep them full: HotStuff has 12800 therefore.

The model, fitted to each mode's points by least squares, neither a nor b below 0:
  busy an operation  a + b S    a is work that is divided among lcores, b is what an instance
                                adds: its empty slots, its messages, its part of the merge
  undivided          u          the busiest lcore's time an operation in the run that divided
                                it best: no run here has shown less, more lcores may
  throughput         min(L / (a + b L), 1 / u)   of L lcores that never wait, with S = L
It knows nothing of caches, memory, NICs or of waiting for each other. Its line goes on to
lcores that this machine does not have and is marked "model, not measured" everywhere;
beside measured lcores stands what share of it they reach. The fit's residual is
printed, and a poor one (over 10 % of the mean) is said to be so.

Writes scale.txt, scale.csv, scale.json and scale.svg to --out.
Exit status: 0; 1 a run failed, or with --strict a verdict is a miss.
"""


class Configuration:
    """A command, and the runs of it by repeat."""

    def __init__(self, options, series, kind, lcores, instances):
        cpus = sorted(os.sched_getaffinity(0))
        if kind == "lcores":
            cpus = cpus[:lcores]
            eal = ["-l", ",".join(map(str, cpus))]
        elif options.floating:
            eal = ["--lcores", f"(0-{lcores - 1})@({','.join(map(str, cpus))})"]
        else:
            eal = ["--lcores", ",".join(f"{lcore}@{cpus[lcore % len(cpus)]}"
                                        for lcore in range(lcores))]
        self.series, self.kind = series[0], kind
        self.lcores, self.instances, self.cpus = lcores, instances, len(cpus)
        worth = options.pillars == "all" or 2 < lcores <= len(cpus)
        spread = options.pillars != "none" and worth and instances > 1 and lcores > 1
        self.pillars = min(instances, PILLARS_MAX) if spread else 0
        is_chain = "hotstuff" in series[1]
        self.clients = options.clients or (CLIENTS_CHAIN if is_chain else CLIENTS)
        clients = self.clients * (instances if options.per_instance else 1)
        words = ["-m", *series[1], "-t", str(clients), "--instances", str(instances),
                 *(["--pillars", str(self.pillars)] if self.pillars else []),
                 "-d", f"{options.seconds:g}", "--warm", "1"]
        self.command = runs.cluster_command(options.build, [*options.eal, *eal], words)
        self.limit_s = options.seconds + 1
        self.results = {}

    def title(self):
        return (f"{self.series}: {self.lcores} lcores on {self.cpus} CPUs, "
                f"{self.instances} instances")

    def once(self, repeat):
        result, _ = runs.run_cluster(self.command, self.limit_s)
        for field in ("cpu_us_per_op", "seconds", "operations"):
            if not isinstance(result.get(field), (int, float)) or result[field] <= 0:
                raise runs.RunFailed(f"{runs.shown(self.command)}: its JSON has no positive "
                                     f"number '{field}'")
        if len(result.get("lcores_busy") or ()) != self.lcores:
            raise runs.RunFailed(f"{runs.shown(self.command)}: its JSON has not 'lcores_busy' "
                                 f"of {self.lcores} lcores")
        if result.get("errors"):
            raise runs.RunFailed(f"{runs.shown(self.command)}: {result['errors']} operations "
                                 "had no answer or a wrong one")
        self.results[repeat] = result


def lcore_us(result):
    """Time in bursts that were not empty, an operation, of each lcore."""
    each_us = result["seconds"] * 1e6 / result["operations"]
    return [busy * each_us for busy in result["lcores_busy"]]


def batch_mean(result):
    """Requests a batch, empty ones included; None where nodes do not tell."""
    nodes = [node for node in result.get("nodes") or () if node.get("batches")]
    batches = sum(node["batches"] for node in nodes)
    return sum(node["executed"] for node in nodes) / batches if batches else None


def row_make(configuration):
    """Medians of a configuration."""
    results = list(configuration.results.values())

    def median(field):
        return runs.median([result[field] for result in results])

    each = [runs.median(shares) for shares in zip(*map(lcore_us, results), strict=True)]
    batches = [batch for batch in map(batch_mean, results) if batch is not None]
    busy_us = runs.median([sum(lcore_us(result)) for result in results])
    return {
        "series": configuration.series, "source": "measured", "kind": configuration.kind,
        "lcores": configuration.lcores, "cpus": configuration.cpus,
        "instances": configuration.instances, "pillars": configuration.pillars,
        "runs": len(results), "throughput": median("throughput"), "p50_us": median("p50_us"),
        "p99_us": median("p99_us"), "busy_us_per_op": busy_us,
        "cpu_us_per_op": median("cpu_us_per_op"),
        "interrupted": busy_us > median("cpu_us_per_op"),
        "busiest_us_per_op": max(each), "busiest_lcore": each.index(max(each)),
        "batch_mean": runs.median(batches), "command": runs.shown(configuration.command),
    }


def verdicts_make(configurations):
    """Of every S above one, whether an operation costs little more than with one."""
    shards = {c.instances: c for c in configurations if c.kind == "instances"}
    verdicts = []
    for instances, configuration in sorted(shards.items()):
        if instances == 1:
            continue
        pairs = [(result, shards[1].results[repeat])
                 for repeat, result in configuration.results.items()
                 if repeat in shards[1].results]
        ratio = runs.median([sum(lcore_us(many)) / sum(lcore_us(one)) for many, one in pairs])
        verdicts.append({
            "instances": instances, "ratio": ratio, "limit": LIMIT,
            "process_ratio": runs.median([many["cpu_us_per_op"] / one["cpu_us_per_op"]
                                          for many, one in pairs]),
            "holds": ratio is not None and ratio <= LIMIT,
        })
    return verdicts


def model_make(options, rows):
    """The fit and its line, as a record; None where the points do not tell."""
    if not rows:
        return None
    best = min(rows, key=lambda row: row["busiest_us_per_op"])
    costs = scale_model.fit([(row["instances"], row["busy_us_per_op"]) for row in rows],
                            best["busiest_us_per_op"])
    if costs is None:
        return None
    measured = {row["lcores"]: row["throughput"] for row in rows
                if row["kind"] == "lcores" and row["instances"] == row["lcores"]}
    line = []
    for lcores in sorted({*options.lcores, *options.ahead}):
        throughput, bound_by = costs.throughput(lcores)
        line.append({"series": best["series"], "source": scale_model.MARK, "kind": "lcores",
                     "lcores": lcores, "instances": lcores, "throughput": throughput,
                     "busy_us_per_op": costs.busy_us(lcores), "bound_by": bound_by,
                     "measured": measured.get(lcores)})
    return {"source": scale_model.MARK, "a_us": costs.divided, "b_us": costs.each,
            "u_us": costs.undivided, "u_lcore": best["busiest_lcore"],
            "u_lcores": best["lcores"], "u_instances": best["instances"],
            "points": costs.points, "residual_us": costs.residual,
            "residual_share": costs.residual / costs.mean,
            "worst_instances": costs.worst[0], "worst_us": costs.worst[1],
            "exact": costs.exact(), "poor": costs.poor(), "note": costs.note,
            "line": line}


def parser_make():
    parser = runs.OptionParser(
        prog="scale", usage="perf/scale.sh [options]", description=__doc__.splitlines()[0],
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        conflict_handler="resolve")
    parser.add_argument("-m", "--modes", action="append", metavar="MODE",
                        help="a mode with its options, may be given several times ("
                             + "; ".join(f"'{mode}'" for mode in MODES) + ")")
    parser.add_argument("-t", "--clients", type=runs.positive_int, metavar="N",
                        help=f"clients of every run ({CLIENTS}; HotStuff: {CLIENTS_CHAIN})")
    parser.add_argument("--floating", action="store_true",
                        help="lcores that share CPUs may run on any of them")
    parser.add_argument("--per-instance", action="store_true",
                        help="-t is of each instance, so that batches stay as large")
    parser.add_argument("--lcores", type=runs.int_list, metavar="LIST",
                        help="lcores with a CPU each (1, 2, 4, .. and all that there are)")
    parser.add_argument("--instances", type=runs.int_list, default=[1, 2, 4, 8, 14],
                        metavar="LIST", help="instances on all CPUs; 1 is among them "
                                             "(1,2,4,8,14)")
    parser.add_argument("--ahead", type=runs.int_list, default=[14, 30], metavar="LIST",
                        help="lcores to which the model's line is continued (14,30)")
    parser.add_argument("--pillars", choices=["auto", "all", "none"], default="auto",
                        metavar="WHEN",
                        help="auto: where each lcore has a CPU; all; none (auto)")
    parser.add_argument("--out", type=Path, default=Path("scale"), metavar="DIR",
                        help="where results go (scale)")
    runs.measure_options(parser)
    parser.add_argument("--eal", type=shlex.split, default=["--no-pci", "--in-memory"],
                        metavar="ARGS", help="DPDK's own arguments beside -l and --lcores, one "
                                             "word ('--no-pci --in-memory')")
    parser.add_argument("--repeats", type=runs.positive_int, default=3, metavar="N",
                        help="runs of everything; medians count (3)")
    return parser


def options_parse(arguments):
    parser = parser_make()
    options = parser.parse_args(arguments)
    cpus = len(os.sched_getaffinity(0))
    if options.lcores is None:
        options.lcores = sorted({1 << i for i in range(cpus.bit_length())} | {cpus})
    if max(options.lcores) > cpus:
        parser.error(f"--lcores {max(options.lcores)}: this machine lets us have 1 to {cpus} "
                     "CPUs")
    if 1 not in options.instances:
        parser.error("--instances has no 1, which the others are held against")
    options.series = sweep.series_parse([mode + " " for mode in options.modes or MODES])
    if not options.series:
        parser.error("-m names no mode")
    options.build, options.out = options.build.resolve(), options.out.resolve()
    return options


def configurations_make(options):
    made = []
    for series in options.series:
        for lcores in options.lcores:
            for instances in sorted({1, lcores}):
                made.append(Configuration(options, series, "lcores", lcores, instances))
        for instances in options.instances:
            made.append(Configuration(options, series, "instances", instances + 1, instances))
    return made


def has_pillars(build):
    return "--pillars" in runs.run_program([str(build / "oskr-cluster"), "-h"], 20)


def measure_all(options, configurations):
    """Repeats are outermost, so that a slow spell touches all alike; returns what failed."""
    progress = runs.Progress(options.repeats * len(configurations))
    failures = []
    for repeat in range(1, options.repeats + 1):
        for made in configurations:
            what = f"{made.title()} (repeat {repeat} of {options.repeats})"
            try:
                progress.measure(what, options.seconds + 2, lambda c=made, r=repeat: c.once(r))
            except runs.RunFailed as error:
                failures.append(str(error))
                sys.stderr.write(f"scale: {error}\n")
    return failures


def table_text(rows):
    lines = [f"{'':9} {'lcores':>6} {'CPUs':>4} {'S':>3} {'pillars':>7} {'Kops/s':>7} "
             f"{'median us':>9} {'busy us/op':>11} {'process us/op':>13} "
             f"{'busiest lcore us/op':>19} {'batch':>6}"]
    for row in rows:
        busy = runs.micro(row["busy_us_per_op"]) + ("*" if row["interrupted"] else " ")
        busiest = f"{runs.micro(row['busiest_us_per_op'])} (#{row['busiest_lcore']})"
        batch = "" if row["batch_mean"] is None else f"{row['batch_mean']:.3g}"
        lines.append(f"{row['kind']:9} {row['lcores']:>6} {row['cpus']:>4} "
                     f"{row['instances']:>3} {row['pillars']:>7} "
                     f"{runs.kilo(row['throughput']):>7} {runs.micro(row['p50_us']):>9} "
                     f"{busy:>11} {runs.micro(row['cpu_us_per_op']):>13} {busiest:>19} "
                     f"{batch:>6}")
    if any(row["interrupted"] for row in rows):
        lines.append("* more than the process took: the kernel interrupted bursts")
    return lines


def verdict_text(verdict):
    judged = "holds" if verdict["holds"] else "MISSED"
    ratio = "not measured"
    if verdict["ratio"] is not None:
        ratio = f"{verdict['ratio']:.3f} times (process: {verdict['process_ratio']:.3f})"
    return f"S = {verdict['instances']}: {ratio}, within 15 % of S = 1: {judged}"


def model_text(model):
    if model is None:
        return ["no model: that takes runs with one instance and with several"]
    lines = [f"{scale_model.MARK}: an operation takes a + b S, a = {runs.micro(model['a_us'])} "
             f"us, b = {runs.micro(model['b_us'])} us;",
             f"  u = {runs.micro(model['u_us'])} us, of lcore {model['u_lcore']} of "
             f"{model['u_lcores']} at S = {model['u_instances']}",
             f"  residual {model['residual_us']:.3f} us, "
             f"{100 * model['residual_share']:.1f} % of the mean of {model['points']} points; "
             f"the worst {model['worst_us']:+.3f} us at S = {model['worst_instances']}"]
    if model["note"]:
        lines.append(f"  {model['note']}")
    if model["exact"]:
        lines.append("  as many unknowns as points: the residual tells nothing")
    if model["poor"]:
        lines.append("  POOR FIT: the points are no line, and what follows is worth little")
    for point in model["line"]:
        measured = ""
        if point["measured"] is not None:
            measured = (f"; measured {runs.kilo(point['measured'])}, "
                        f"{point['measured'] / point['throughput']:.2f} of it")
        lines.append(f"  L = S = {point['lcores']:>2}: {runs.kilo(point['throughput']):>7} "
                     f"Kops/s by {point['bound_by']} ({scale_model.MARK}){measured}")
    return lines


def text(records):
    lines = []
    for record in records:
        lines += [record["series"], *table_text(record["rows"]),
                  *map(verdict_text, record["verdicts"]), *model_text(record["model"]), ""]
    return "\n".join(lines)


FIELDS = ("series", "source", "kind", "lcores", "cpus", "instances", "pillars", "runs",
          "throughput", "bound_by", "p50_us", "p99_us", "busy_us_per_op", "cpu_us_per_op",
          "interrupted", "busiest_us_per_op", "busiest_lcore", "batch_mean")


def sheet(records):
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerows(record["rows"])
        writer.writerows(record["model"]["line"] if record["model"] else [])
    return out.getvalue()


def plot_blocks(record, lcores_max):
    """What scale.gp draws of one mode: five lists of (x, y)."""
    rows = record["rows"]
    lcores = [row for row in rows if row["kind"] == "lcores"]
    model_lcores, model_busy = [], []
    if record["model"]:
        costs = scale_model.Costs(*(record["model"][key] for key in ("a_us", "b_us", "u_us")),
                                  residual=0, mean=0, worst=(), points=0, note="")
        model_lcores = [(x, costs.throughput(x)[0] / 1000) for x in range(1, lcores_max + 1)]
        model_busy = [(x, costs.busy_us(x)) for x in range(1, lcores_max + 1)]
    return [
        [(row["lcores"], row["throughput"] / 1000) for row in lcores if row["instances"] == 1],
        [(row["lcores"], row["throughput"] / 1000) for row in lcores
         if row["instances"] == row["lcores"]],
        model_lcores,
        [(row["instances"], row["busy_us_per_op"]) for row in rows
         if row["kind"] == "instances"],
        model_busy,
    ]


def chart(options, records):
    data = io.StringIO()
    lcores_max = max(*options.lcores, *options.ahead, *options.instances)
    for record in records:
        for block in plot_blocks(record, lcores_max):
            data.write(f'"{record["series"]}"\n')
            # A block without a point is one that gnuplot draws nothing of.
            data.writelines(f"{x} {y:.6g}\n" for x, y in block or [(1, float("nan"))])
            data.write("\n\n")
    file = options.out / "scale.dat"
    runs.write_atomically(file, data.getvalue())
    line = (f"data='{file}'; out='{options.out / 'scale.svg'}'; series={len(records)}; "
            f"mark='{scale_model.MARK}'")
    try:
        subprocess.run(["gnuplot", "-e", line, str(Path(__file__).with_name("scale.gp"))],
                       check=True, timeout=60, capture_output=True, text=True)
    except FileNotFoundError:
        raise runs.RunFailed("gnuplot is missing; run as root: deploy/setup.sh") from None
    except subprocess.CalledProcessError as error:
        raise runs.RunFailed(f"gnuplot: {error.stderr.strip()}") from None


def records_make(options, configurations):
    records = []
    for name, _ in options.series:
        mine = [c for c in configurations if c.series == name]
        rows = [row_make(c) for c in mine if c.results]
        records.append({"series": name, "rows": rows, "verdicts": verdicts_make(mine),
                        "model": model_make(options, rows)})
    return records


def write(options, configurations, records, failures, arguments):
    told = text(records)
    print(told)
    result = {
        "command": shlex.join(["perf/scale.sh", *arguments]),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": runs.machine(options.build), "repeats": options.repeats,
        "seconds": options.seconds,
        "clients": {c.series: c.clients for c in configurations},
        "clients_per_instance": options.per_instance, "limit": LIMIT,
        "modes": records, "failures": failures,
        "results": [{"command": runs.shown(c.command), "repeat": repeat, "result": one}
                    for c in configurations for repeat, one in c.results.items()],
    }
    written = json.dumps(result, indent=1) + "\n"
    runs.write_atomically(options.out / "scale.txt", told + "\n")
    runs.write_atomically(options.out / "scale.csv", sheet(records))
    runs.write_atomically(options.out / "scale.json", written)
    if options.json:
        runs.write_atomically(options.json, written)
    if any(record["rows"] for record in records):
        chart(options, records)
    print(f"written: {options.out}/scale.txt, scale.csv, scale.json, scale.svg")


def main(arguments):
    runs.install_signals()
    options = options_parse(arguments)
    runs.require_program(options.build, "oskr-cluster")
    try:
        if not has_pillars(options.build):
            options.pillars = "none"
        configurations = configurations_make(options)
        failures = measure_all(options, configurations)
        records = records_make(options, configurations)
        write(options, configurations, records, failures, arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\nscale: interrupted\n")
        return 130
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"scale: {error}\n")
        return 1
    if failures:
        sys.stderr.write(f"scale: {len(failures)} of {options.repeats * len(configurations)} "
                         "runs failed\n")
        return 1
    held = all(verdict["holds"] for record in records for verdict in record["verdicts"])
    return 1 if options.strict and not held else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
