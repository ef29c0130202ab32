# SPDX-License-Identifier: Apache-2.0
"""Instructions an operation, of every protocol, against those that were recorded.

Counts do not depend on the load of a machine: the simulator runs one seed without
faults, with real cryptography, under valgrind's callgrind, and its loop is counted,
without what is the simulator's own.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import runs

EPILOG = """
Builds the simulator for one instruction set (x86-64-v3, which valgrind knows and every
machine of the last ten years has), counts the instructions of a run of each row, of all
replicas and clients, and compares them with perf/regress.json. A row fails that needs more
than --bound percent above the recorded figure. One that needs less by as much fails, too:
then --record, so that what was won is kept. What valgrind lacks, SHA and AVX-512, makes
digests and MACs dearer than they are outside it.
Exit status: 0 all rows are within the bound; 1 one is not, or a run failed; 2 usage.
"""

HERE = Path(__file__).resolve().parent
RECORD = HERE / "regress.json"
MARCH = "x86-64-v3"

COMMON = ("--faults", "none", "--plain", "--real-crypto", "--seed", "1", "--quiet",
          "-w", "null")
BUSY = ("-b", "100", "--adaptive", "-t", "64")
# (name, options, operations): as many as tell the cost; signatures are dear to count.
ROWS = (
    ("unreplicated none", ("-m", "unreplicated", "-t", "64"), 6400),
    ("unreplicated-signed", ("-m", "unreplicated-signed", "-t", "64"), 256),
    ("pbft fast", ("-m", "pbft", "--profile", "fast", *BUSY), 6400),
    ("pbft fast, alone", ("-m", "pbft", "--profile", "fast", "-b", "1", "-t", "1"), 320),
    ("pbft seed", ("-m", "pbft", "--profile", "seed", *BUSY), 128),
    ("hotstuff fast", ("-m", "hotstuff", "--profile", "fast", *BUSY), 1280),
    ("hotstuff2 fast", ("-m", "hotstuff2", "--profile", "fast", *BUSY), 1280),
    ("zyzzyva fast", ("-m", "zyzzyva", "--profile", "fast", *BUSY), 1280),
)

# Where an instruction is: by library, else by the source's path; the first that fits.
PLACES = (
    ("signatures", re.compile(r"libsecp256k1")),
    ("digests, MACs", re.compile(r"^[?]+$|libcrypto|(^|/)crypto/")),  # IPsec-MB has no lines
    ("simulator", re.compile(r"(^|/)tests/")),
    ("protocol", re.compile(r"(^|/)protocols/")),
    ("parse, screen", re.compile(r"(^|/)engine/(message|claims)")),
    ("execute", re.compile(r"(^|/)engine/(executor|merge|session|state|app|kv)")),
    ("client", re.compile(r"(^|/)engine/(client|workload|ycsb|histogram|history|recorder)")),
    ("engine", re.compile(r"(^|/)engine/")),
    ("libc", re.compile(r"")),
)

# "fn=(12) name": callgrind writes a name once, and then its number.
NAMED = re.compile(r"^(fl|fi|fe|ob|fn|cfn|cfi|cfl|cob)=\((\d+)\)(?: (.*))?$")


class Counted:
    """The self costs in a callgrind file, by place."""

    def __init__(self, path):
        self.places = {}
        self.names = {}
        self.object = self.file = self.function = ""
        skip = False
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line[0] in "0123456789+-*":
                    if not skip:
                        self.add(int(line.split()[1]))
                    skip = False
                elif line.startswith("calls="):
                    skip = True  # the next line is what was called, counted there
                else:
                    self.name(line)

    def name(self, line):
        match = NAMED.match(line)
        if not match:
            return
        kind, number, text = match.groups()
        table = "ob" if kind.endswith("ob") else "fn" if kind.endswith("fn") else "fl"
        if text is not None:
            self.names[table, number] = text
        if kind == "ob":
            self.object = self.names[table, number]
        elif kind == "fn":
            self.function = self.names[table, number]
        elif kind in ("fl", "fi", "fe"):
            self.file = self.names[table, number]

    def add(self, count):
        where = self.object if ".so" in self.object else self.file
        if self.function == "audit":  # a protocol's check(), after each of its steps
            where = "/tests/"
        for place, pattern in PLACES:
            if pattern.search(where):
                self.places[place] = self.places.get(place, 0) + count
                break


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="regress", usage="perf/regress.sh [options]", description=__doc__.splitlines()[0],
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--build", metavar="DIR", default="build-count",
                        help="folder of the build that is counted (build-count)")
    parser.add_argument("--bound", metavar="P", type=float, default=5,
                        help="percent that a row may differ (5)")
    parser.add_argument("--rows", metavar="TEXT", default="",
                        help="only rows whose name has this in it")
    parser.add_argument("--record", action="store_true",
                        help="write the figures to perf/regress.json")
    parser.add_argument("--jobs", metavar="N", type=runs.positive_int,
                        default=os.cpu_count() or 1, help="rows at a time (all cores)")
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON, too")
    options = parser.parse_args(arguments)
    options.chosen = [row for row in ROWS if options.rows in row[0]]
    if not options.chosen:
        parser.error(f"no row has '{options.rows}' in its name")
    if options.record and options.rows:
        parser.error("--record is of all rows: leave --rows out")
    return options


def program_build(folder):
    """The simulator, for an instruction set that valgrind knows, with lines."""
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(folder), str(runs.ROOT), "--buildtype=release",
                        "-Ddebug=true", f"-Dmarch={MARCH}"], check=True,
                       env=dict(os.environ, CC="gcc"), stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(folder), "oskr-sim"], check=True,
                   stdout=subprocess.DEVNULL)
    return folder / "oskr-sim"


def row_count(program, row):
    name, arguments, operations = row
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                   "--toggle-collect=sim_loop*", str(program), *COMMON, *arguments,
                   "--ops", str(operations)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise runs.RunFailed(f"{name}: {' '.join(command[4:])}: exit status "
                                 f"{run.returncode}: {run.stderr.strip()[-300:]}")
        done = re.search(r"operations (\d+)", run.stdout)
        if not done or int(done.group(1)) < operations:
            raise runs.RunFailed(f"{name}: not all operations were answered")
        counted = Counted(out)
    each = {place: round(counted.places.get(place, 0) / int(done.group(1)), 1)
            for place, _ in PLACES}
    ours = round(sum(count for place, count in each.items() if place != "simulator"), 1)
    return {"row": name, "instructions": ours, "places": each,
            "command": " ".join(["oskr-sim", *command[5:]])}


def judge(figure, recorded, bound):
    """The share by which it differs, and whether that is allowed."""
    if recorded is None:
        return None, False
    share = figure["instructions"] / recorded["instructions"] - 1
    return share, abs(share) <= bound / 100


def table_print(figures):
    names = [place for place, _ in PLACES]
    print(f"{'instructions an operation':<26}{'all':>9}" + "".join(f"{n:>15}" for n in names))
    for figure in figures:
        print(f"{figure['row']:<26}{figure['instructions']:>9.0f}" + "".join(
            f"{figure['places'].get(n, 0):>15.0f}" for n in names))


def main(arguments):
    options = options_parse(arguments)
    try:
        program = program_build(Path(options.build).resolve())
        with ThreadPoolExecutor(options.jobs) as pool:
            figures = list(pool.map(lambda row: row_count(program, row), options.chosen))
    except subprocess.CalledProcessError as error:
        raise runs.RunFailed(f"{' '.join(map(str, error.cmd))} failed") from error
    table_print(figures)
    if options.record:
        RECORD.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(f"recorded in {RECORD.relative_to(runs.ROOT)}")
        return 0
    known = {f["row"]: f for f in json.loads(RECORD.read_text(encoding="utf-8"))} \
        if RECORD.exists() else {}
    failed = 0
    print()
    for figure in figures:
        share, holds = judge(figure, known.get(figure["row"]), options.bound)
        figure["share"], figure["holds"] = share, holds
        failed += not holds
        text = "was never recorded" if share is None else f"{100 * share:+.1f} % of the recorded"
        print(f"{figure['row']:<26}{text}: {'ok' if holds else 'FAILED'}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if failed:
        print("if that is meant: perf/regress.sh --record, and say why in the commit")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except runs.RunFailed as error:
        sys.stderr.write(f"regress: {error}\n")
        sys.exit(1)
