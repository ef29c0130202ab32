# SPDX-License-Identifier: Apache-2.0
"""One measured run of a program, and what every measurement says about itself.

Shared by perf/sweep.py, perf/ratio.py and deploy/report.py. A run is a child
process in a session of its own, so that an interruption reaches it in one way
only: this file forwards it, waits for the child, and kills it if it stays.
"""

import argparse
import json
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Time a program may take beyond what it was asked to measure: start, memory, end.
GRACE_S = 60
# Time a program may take to end after an interruption.
INTERRUPT_S = 5
# Without hugepages: flags that DPDK 22.11 accepts together.
EAL_NO_HUGEPAGES = ["--no-huge", "--no-shconf", "-m", "512", "--no-pci"]


class RunFailed(Exception):
    """A run ended without a usable result; the text is one line for the user."""


class OptionParser(argparse.ArgumentParser):
    """Says one clear line about a bad option, and exits with status 2."""

    def error(self, message):
        sys.stderr.write(f"{self.prog}: {message} (-h lists the options)\n")
        raise SystemExit(2)


def install_signals():
    """Both SIGINT and SIGTERM end a measurement as Ctrl-C does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def positive_int(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return value


positive_int.__name__ = "number"


def seconds(text):
    """A time to measure or to warm up, as the programs take it: fractions are fine."""
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds up to a day")
    return value


def measured_seconds(text):
    value = seconds(text)
    if value < 0.001:
        raise argparse.ArgumentTypeError("a millisecond at least")
    return value


def int_list(text):
    """'1,2,4' as a list without repetition, in the order given."""
    values = [positive_int(part) for part in text.split(",") if part]
    if not values:
        raise argparse.ArgumentTypeError("the list is empty")
    return list(dict.fromkeys(values))


int_list.__name__ = "list of numbers"


def shown(command):
    """The command as a user types it in the project's root."""
    words = []
    for word in command:
        try:
            path = Path(word)
            if path.is_absolute() and path.is_relative_to(ROOT):
                word = str(path.relative_to(ROOT))
        except ValueError:
            pass
        words.append(shlex.quote(word))
    return " ".join(words)


def cluster_command(build, eal, arguments):
    """oskr-cluster's own EAL arguments are taken when `eal` is empty."""
    program = str(Path(build) / "oskr-cluster")
    return [program, *eal, "--", *arguments] if eal else [program, *arguments]


def require_program(build, name):
    program = Path(build) / name
    if not os.access(program, os.X_OK):
        sys.stderr.write(f"{program} is not there: build first (./deploy/quickstart.sh, "
                         f"or: meson setup build --buildtype=release && ninja -C build)\n")
        raise SystemExit(2)


def eal_no_hugepages():
    """As many lcores as a cluster takes by default, on CPUs that this process may use."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    return [*EAL_NO_HUGEPAGES, "--file-prefix", f"oskr{os.getpid()}",
            "-l", ",".join(map(str, cpus))]


def child_end(child):
    """Asks the child to end; kills it when it does not. Never leaves one behind."""
    for number, wait_s in ((signal.SIGINT, INTERRUPT_S), (signal.SIGKILL, None)):
        if child.poll() is None:
            try:
                os.killpg(child.pid, number)
                child.wait(wait_s)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                continue


def failure_line(command, status, output):
    """The program's last words are the likeliest reason."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reason = lines[-1] if lines else "it printed nothing"
    how = f"exit status {status}" if status >= 0 else f"signal {-status}"
    return f"{shown(command)}: {how}: {reason}"


def run_program(command, limit_s):
    """Returns all that the program printed; raises RunFailed when it failed."""
    with tempfile.TemporaryFile() as sink:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink,
                                 stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT)
        try:
            child.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{shown(command)}: not finished after {limit_s:.0f} s") from None
        finally:
            child_end(child)
        sink.seek(0)
        output = sink.read().decode("utf-8", "replace")
    if child.returncode != 0:
        raise RunFailed(failure_line(command, child.returncode, output))
    return output


def run_cluster(command, seconds_asked):
    """One run of oskr-cluster: (its JSON object, its text output)."""
    with tempfile.TemporaryDirectory(prefix="oskr-") as folder:
        file = Path(folder) / "run.json"
        output = run_program([*command, "--json", str(file)], seconds_asked * 2 + GRACE_S)
        try:
            result = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise RunFailed(f"{shown(command)}: no usable JSON: {error}") from None
    for field in ("throughput", "p50_us", "p99_us"):
        if not isinstance(result.get(field), (int, float)):
            raise RunFailed(f"{shown(command)}: its JSON has no number '{field}'")
    if result["throughput"] <= 0:
        raise RunFailed(f"{shown(command)}: no operation completed")
    return result, output


def run_bench(build, eal, arguments):
    """One run of perf/bench: a list of its JSON objects, one a line."""
    program = str(Path(build) / "perf" / "bench")
    tail = [*arguments, "--json"]
    command = [program, *eal, "--", *tail] if eal else [program, *tail]
    results = []
    for line in run_program(command, GRACE_S).splitlines():
        if line.startswith("{"):
            try:
                results.append(json.loads(line))
            except ValueError as error:
                raise RunFailed(f"{shown(command)}: no usable JSON: {error}") from None
    if not results:
        raise RunFailed(f"{shown(command)}: it printed no JSON object")
    return results


def modes_offered(build):
    """The modes of this build's oskr-cluster, as it lists them itself."""
    lines = run_program([str(Path(build) / "oskr-cluster"), "--modes"], 20).splitlines()
    return [line.split()[0] for line in lines if line.split()]


def measure_options(parser):
    """The options that everything has which repeats runs and holds medians against limits."""
    parser.add_argument("--repeats", type=positive_int, default=5, metavar="N",
                        help="runs of everything; medians count (5)")
    parser.add_argument("--seconds", type=measured_seconds, default=3, metavar="S",
                        help="measured seconds of a cluster's run (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--strict", action="store_true",
                        help="exit with status 1 when a limit is missed")
    parser.add_argument("--build", type=Path, default=ROOT / "build", metavar="DIR",
                        help="build folder (build)")
    parser.add_argument("--eal", type=shlex.split, default=[], metavar="ARGS",
                        help="DPDK's own arguments for all programs, one word; without it they "
                             "choose")


def median(values):
    return statistics.median(values) if values else None


def write_atomically(path, text):
    """A reader, or the next start after a crash, never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def read_first(path, pattern, default="unknown"):
    try:
        match = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return default
    return match.group(1).strip() if match else default


def captured(*command):
    """The first line a tool prints, or 'unknown': descriptions never fail a run."""
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20,
                             check=True)
        return (run.stdout.splitlines() or ["unknown"])[0]
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def hugepages():
    """(free, total) pages of 2 MiB."""
    folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
    counts = []
    for name in ("free_hugepages", "nr_hugepages"):
        try:
            counts.append(int((folder / name).read_text()))
        except (OSError, ValueError):
            counts.append(0)
    return tuple(counts)


def source_version():
    commit = captured("git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD")
    if commit == "unknown":
        return commit
    changed = captured("git", "-c", "safe.directory=*", "status", "--porcelain", "-uno")
    return commit if changed == "unknown" else commit + " with local changes"


def build_facts(build):
    """How the measured programs were built, by meson's own records in the build folder."""
    build = Path(build)
    kind = "unknown"
    try:
        for option in json.loads((build / "meson-info/intro-buildoptions.json").read_text()):
            if option["name"] == "buildtype":
                kind = option["value"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    compiler = read_first(build / "meson-logs/meson-log.txt",
                          r"^C compiler for the host machine: (.*)$")
    return kind, compiler


def machine(build):
    """What a reader needs to judge a figure."""
    build_type, compiler = build_facts(build)
    memory_kib = int(read_first("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0"))
    free, total = hugepages()
    flags = read_first("/proc/cpuinfo", r"^flags\s*:(.*)$", "")
    return {
        "cpu": read_first("/proc/cpuinfo", r"^model name\s*:(.*)$"),
        "cores": len(os.sched_getaffinity(0)),
        "cores_total": os.cpu_count(),
        "virtual": " hypervisor " in f" {flags} ",
        "memory_gib": round(memory_kib / 2**20, 1),
        "hugepages_2mib": total,
        "hugepages_2mib_free": free,
        "system": read_first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "kernel": platform.release(),
        "build_type": build_type,
        "compiler": compiler,
        "dpdk": captured("pkg-config", "--modversion", "libdpdk"),
        "root": os.geteuid() == 0,
        "source": source_version(),
    }


class Progress:
    """A line that says what runs, how far all is, and how long the rest takes."""

    def __init__(self, total):
        self.total = total
        self.done = 0
        self.measured = 0
        self.spent_s = 0.0
        self.terminal = sys.stderr.isatty()

    def left(self, estimate_s):
        each_s = self.spent_s / self.measured if self.measured else estimate_s
        left_s = round(each_s * (self.total - self.done))
        return f"{left_s // 60}:{left_s % 60:02d} left"

    def show(self, what, estimate_s):
        line = f"[{self.done + 1}/{self.total}, {self.left(estimate_s)}] {what}"
        if self.terminal:
            sys.stderr.write("\r\033[K" + line[:terminal_columns() - 1])
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def clear(self):
        if self.terminal:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def measure(self, what, estimate_s, act):
        """Runs `act`, accounting its time; its exception passes through."""
        self.show(what, estimate_s)
        begin = time.monotonic()
        try:
            return act()
        finally:
            self.clear()
            self.done += 1
            self.measured += 1
            self.spent_s += time.monotonic() - begin

    def skip(self):
        self.done += 1


def terminal_columns():
    try:
        return max(40, os.get_terminal_size(sys.stderr.fileno()).columns)
    except OSError:
        return 100


def kilo(value):
    """Operations a second in thousands, with three digits that mean something."""
    thousands = value / 1000
    return f"{thousands:.0f}" if thousands >= 100 else f"{thousands:.3g}"


def micro(value):
    """Microseconds, with no digits that mean nothing."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
