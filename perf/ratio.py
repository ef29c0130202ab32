# SPDX-License-Identifier: Apache-2.0
"""Speed as a share of what the machine can do: bounds and the real thing, alternately.

A virtual machine's speed wanders; a ratio of two medians whose runs alternate
in time wanders least. The floors are goals for a reader, never a timed test:
the exit status tells them only with --strict.
"""

import argparse
import json
import shlex
import sys
import time

import runs

EPILOG = """
Measures, one after the other and --repeats times over:
  bound   build/perf/bench ring-echo (window = -t, and 1); sign, verify on one lcore while
          the other does the same, as in the cluster
  real    oskr-cluster: unreplicated with MACs, without, signed, Merkle-signed
and prints each ratio of medians with the floor that is demanded of it.
Exit status: 0; 1 a run failed, or with --strict a ratio misses its floor.
"""


class Measure:
    """One thing that is measured again and again: a bench or a cluster."""

    def __init__(self, name, field, act, scale=1):
        self.name = name
        self.field = field
        self.act = act
        self.scale = scale  # of the field's unit
        self.values = []

    def once(self):
        result = self.act()
        value = result.get(self.field)
        if not isinstance(value, (int, float)) or value <= 0:
            raise runs.RunFailed(f"{self.name}: no positive number '{self.field}' in its JSON")
        self.values.append(value * self.scale)

    def median(self):
        return runs.median(self.values)


# Each demand: (key, what a reader sees, the real thing, the bounds, floor or ceiling, its kind).
# Of several bounds the tighter, that is the slowest, counts.
DEMANDS = (
    ("mac", "unreplicated, MACs / bare ring", "mac", ("ring",), 0.15, "at least"),
    ("none", "unreplicated, no authentication / bare ring", "none", ("ring",), 0.5, "at least"),
    ("signed", "unreplicated-signed / tighter of sign, verify", "signed", ("sign", "verify"),
     0.95, "at least"),
    ("batch", "Merkle-batched replies / one signature a reply", "batch", ("signed",), 15.0,
     "at least"),
    ("latency", "median, one client, no authentication / bare round trip", "latency",
     ("round_trip",), 3.0, "at most"),
)


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="ratio", usage="perf/ratio.sh [options]", description=__doc__.splitlines()[0],
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("-t", "--clients", type=runs.positive_int, default=64, metavar="N",
                        help="clients of the throughput rows, and the bare ring's window (64)")
    runs.measure_options(parser)
    return parser.parse_args(arguments)


def measures_make(options):
    def bench(field, *arguments, scale=1):
        return Measure(" ".join(arguments), field,
                       lambda: runs.run_bench(options.build, options.eal, arguments)[0], scale)

    def cluster(field, clients, *arguments):
        words = ["-m", *arguments, "-t", str(clients), "-d", f"{options.seconds:g}", "--warm", "1"]
        command = runs.cluster_command(options.build, options.eal, words)
        return Measure(" ".join(arguments) + f" -t {clients}", field,
                       lambda: runs.run_cluster(command, options.seconds + 1)[0])

    count = options.clients
    none = ("unreplicated", "--request-auth", "none", "--reply-auth", "none")
    # In the order of the runs: a real thing stands beside its bound.
    return {
        "mac": cluster("throughput", count, "unreplicated", "--request-auth", "mac",
                       "--reply-auth", "mac"),
        "ring": bench("ops_per_s", "ring-echo", "--window", str(count)),
        "none": cluster("throughput", count, *none),
        "sign": bench("ops_per_s", "sign", "--beside"),
        "verify": bench("ops_per_s", "verify", "--beside"),
        "signed": cluster("throughput", count, "unreplicated-signed"),
        "batch": cluster("throughput", count, "unreplicated-signed", "--reply-auth", "batch"),
        # In us, as the cluster's latency is.
        "round_trip": bench("rtt_ns", "ring-echo", "--window", "1", scale=0.001),
        "latency": cluster("p50_us", 1, *none),
    }


def measure_all(options, measures):
    progress = runs.Progress(options.repeats * len(measures))
    for repeat in range(1, options.repeats + 1):
        for measure in measures.values():
            what = f"{measure.name} (repeat {repeat} of {options.repeats})"
            progress.measure(what, options.seconds + 2, measure.once)


def ratios_make(measures):
    """One record a demand: both medians, the ratio, and whether it holds.

    The ratio is the median of the repeats' own ratios: a real thing is held against the bound
    that ran beside it, as the host may give this machine another speed a minute later.
    """
    medians = {key: measure.median() for key, measure in measures.items()}
    records = []
    for key, text, real, bounds, limit, kind in DEMANDS:
        bound = min(bounds, key=medians.get)
        pairs = zip(measures[real].values, measures[bound].values, strict=True)
        ratio = runs.median([mine / other for mine, other in pairs])
        records.append({
            "key": key, "text": text, "unit": "us" if key == "latency" else "ops/s",
            "real": medians[real], "bound": medians[bound], "bound_of": bound, "ratio": ratio,
            "limit": limit, "kind": kind,
            "holds": ratio >= limit if kind == "at least" else ratio <= limit,
        })
    return records


def ratios_print(records):
    print(f"{'':56} {'real':>10} {'bound':>10} {'ratio':>7}  demanded")
    for record in records:
        shown = runs.micro if record["unit"] == "us" else runs.kilo
        unit = "us" if record["unit"] == "us" else "K"
        verdict = "holds" if record["holds"] else "MISSED"
        print(f"{record['text']:56} {shown(record['real']) + ' ' + unit:>10} "
              f"{shown(record['bound']) + ' ' + unit:>10} {record['ratio']:>7.3g}  "
              f"{record['kind']} {record['limit']:g}: {verdict}")


def main(arguments):
    runs.install_signals()
    options = options_parse(arguments)
    runs.require_program(options.build, "oskr-cluster")
    runs.require_program(options.build, "perf/bench")
    options.build = options.build.resolve()
    measures = measures_make(options)
    try:
        measure_all(options, measures)
        records = ratios_make(measures)
        ratios_print(records)
        result = {
            "command": shlex.join(["perf/ratio.sh", *arguments]),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": runs.machine(options.build),
            "repeats": options.repeats, "clients": options.clients,
            "ratios": records,
            "measures": {key: {"what": m.name, "field": m.field, "median": m.median(),
                               "values": m.values} for key, m in measures.items()},
        }
        print(json.dumps(result))
        if options.json:
            runs.write_atomically(options.json, json.dumps(result, indent=1) + "\n")
    except KeyboardInterrupt:
        sys.stderr.write("\nratio: interrupted\n")
        return 130
    except (OSError, runs.RunFailed) as error:
        sys.stderr.write(f"ratio: {error}\n")
        return 1
    return 1 if options.strict and not all(record["holds"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
