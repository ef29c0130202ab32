# SPDX-License-Identifier: Apache-2.0
"""Where a microsecond goes: an operation's time by what lcores did, for every protocol.

The program counts itself, in a build made for it (-Dphases=true, engine/phases.h):
at each change of what an lcore does it reads the cycle counter, a few times a burst.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import runs

EPILOG = """
Builds oskr-cluster once more, with counters (a few per cent slower), runs each row --repeats
times, and prints the medians: microseconds of an lcore for an operation, of all replicas
and of all clients together, and the share of each phase:

  receive  frames out of queues, and buffers back     parse    headers; segments put together
  screen   the protocol's cheap checks                prove    MACs and signatures of what came
  step     the protocol itself, replies included      seal     MACs and signatures of what goes
  send     frames into queues, new envelopes          execute  the application, checkpoints, merge
  client   operations begun, answers judged

Bursts in which nothing was done are left out, and so is the poll loop around them. A burst that
the kernel interrupts to run something else is counted to its end: on a machine with other
load all of it is too large.
Exit status: 0; 1 a run or the build failed; 2 usage.
"""

BUSY = ("-b", "100", "--adaptive", "-t", "400")
CHAIN = ("-b", "100", "--adaptive", "-t", "800")
# (name, options): what perf/protocols.sh measures, and the echo without any of it.
ROWS = (
    ("unreplicated, no authentication",
     ("-m", "unreplicated", "--request-auth", "none", "--reply-auth", "none", "-t", "64")),
    ("unreplicated", ("-m", "unreplicated", "-t", "64")),
    ("unreplicated-signed", ("-m", "unreplicated-signed", "-t", "64")),
    ("pbft fast", ("-m", "pbft", "--profile", "fast", *BUSY)),
    ("pbft fast, one client", ("-m", "pbft", "--profile", "fast", "--adaptive", "-t", "1")),
    ("pbft seed", ("-m", "pbft", "--profile", "seed", *BUSY)),
    ("hotstuff fast", ("-m", "hotstuff", "--profile", "fast", *CHAIN)),
    ("hotstuff seed", ("-m", "hotstuff", "--profile", "seed", *CHAIN)),
    ("hotstuff2 fast", ("-m", "hotstuff2", "--profile", "fast", *CHAIN)),
    ("zyzzyva fast", ("-m", "zyzzyva", "--profile", "fast", *BUSY)),
    ("zyzzyva seed", ("-m", "zyzzyva", "--profile", "seed", *BUSY)),
)
SIDES = ("replicas", "clients")
MARGIN = 17  # of the names in front of a table


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="where", usage="perf/where.sh [options]", description=__doc__.splitlines()[0],
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--rows", metavar="TEXT", default="",
                        help="only rows whose name has this in it")
    parser.add_argument("--repeats", type=runs.positive_int, default=3, metavar="N",
                        help="runs of everything; medians count (3)")
    parser.add_argument("--seconds", type=runs.measured_seconds, default=2, metavar="S",
                        help="measured seconds of a run (2)")
    parser.add_argument("--build", type=Path, default=runs.ROOT / "build-phases", metavar="DIR",
                        help="folder of the build that counts (build-phases)")
    parser.add_argument("--eal", type=shlex.split, default=[], metavar="ARGS",
                        help="DPDK's own arguments, one word; without it the program chooses")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options = parser.parse_args(arguments)
    options.chosen = [row for row in ROWS if options.rows in row[0]]
    if not options.chosen:
        parser.error(f"no row has '{options.rows}' in its name")
    return options


def program_build(folder):
    """A build of its own, as the release is but for the counters."""
    if not (folder / "build.ninja").exists():
        if (folder / "oskr-cluster").exists():
            return  # made elsewhere
        subprocess.run(["meson", "setup", str(folder), str(runs.ROOT), "--buildtype=release",
                        "-Dphases=true"], check=True, env=dict(os.environ, CC="gcc"),
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(folder), "oskr-cluster"], check=True,
                   stdout=subprocess.DEVNULL)


def row_measure(options, row, progress):
    """Every repeat's JSON object."""
    name, arguments = row
    command = runs.cluster_command(
        options.build, options.eal,
        [*arguments, "-d", f"{options.seconds:g}", "--warm", "1"])
    results = []

    def once():
        result = runs.run_cluster(command, options.seconds + 1)[0]
        if "phases" not in result:
            raise runs.RunFailed(f"{options.build}: its oskr-cluster counts no phases; "
                                 "give another --build, or remove it")
        results.append(result)

    for repeat in range(1, options.repeats + 1):
        progress.measure(f"{name} (repeat {repeat} of {options.repeats})", options.seconds + 2,
                         once)
    return results


def row_record(row, results):
    """Medians over the repeats, phase by phase."""
    phases = {side: {phase: runs.median([r["phases"][side][phase] for r in results])
                     for phase in results[0]["phases"][side]} for side in SIDES}
    return {
        "name": row[0], "options": " ".join(row[1]), "phases": phases,
        "throughput": runs.median([r["throughput"] for r in results]),
        "cpu_us_per_op": runs.median([r["cpu_us_per_op"] for r in results]),
    }


def record_print(record):
    phases = record["phases"]
    names = list(phases["replicas"])
    total = sum(sum(phases[side].values()) for side in SIDES)
    print(f"{record['name']}: {runs.kilo(record['throughput'])} Kops/s, "
          f"{runs.micro(record['cpu_us_per_op'])} us of CPU an operation")
    print(" " * MARGIN + "".join(f"{name:>9}" for name in [*names, "all"]))
    for side in SIDES:
        values = [*phases[side].values(), sum(phases[side].values())]
        print(f"    {side + ' us':<{MARGIN - 4}}"
              + "".join(f"{runs.micro(value) if value > 0 else '-':>9}" for value in values))
    shares = [sum(phases[side][name] for side in SIDES) / total for name in names]
    print(f"    {'share':<{MARGIN - 4}}" + "".join(f"{share:>9.1%}" for share in [*shares, 1]))
    print()


def main(arguments):
    options = options_parse(arguments)
    runs.install_signals()
    try:
        program_build(options.build)
        progress = runs.Progress(options.repeats * len(options.chosen))
        records = []
        for row in options.chosen:
            records.append(row_record(row, row_measure(options, row, progress)))
            record_print(records[-1])
    except (runs.RunFailed, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"where: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json is not None:
        runs.write_atomically(options.json, json.dumps(
            {"machine": runs.machine(options.build), "rows": records}, indent=2) + "\n")
        print(f"written: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
