#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster of processes on one machine: replicas, a client, a network between them.

Starts each as a process of its own, waits until the replicas answer their telemetry, runs
the client, kills and restarts replicas when told to, and collects what all of them said.
Ends only what it started, whatever happens.
"""
import argparse
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import local_net
import local_story
import telemetry

HERE = Path(__file__).resolve().parent
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
READY_S = 60  # for a process to answer after its start
END_S = 20  # for a process to end after SIGINT
CLIENT_GRACE_S = 120  # that the client may take beyond what it measures
DEFAULT_SECONDS = 5


class RehearsalFailed(Exception):
    """The text is one line for the user."""


class OptionParser(argparse.ArgumentParser):
    def error(self, message):
        sys.stderr.write(f"local: {message} (-h lists the options)\n")
        raise SystemExit(EXIT_USAGE)


class Process:
    """A child: its log, and whether we ended it on purpose."""

    def __init__(self, name, words, log, stdin=subprocess.DEVNULL):
        self.name, self.log, self.killed, self.asked = name, log, False, False
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"$ {shlex.join(words)}\n")
            file.flush()
            # Should this script itself be killed, its children do not stay.
            guard = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
            self.child = subprocess.Popen(guard + words, stdin=stdin, stdout=file,
                                          stderr=subprocess.STDOUT, start_new_session=True)

    def running(self):
        return self.child.poll() is None

    def last_line(self):
        lines = Path(self.log).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing in its log"

    def kill(self):
        self.killed = True
        self.child.kill()
        self.child.wait()

    def ask_to_end(self):
        """SIGINT, once: a second one would end it at once."""
        if self.running() and not self.asked:
            self.child.send_signal(signal.SIGINT)
        self.asked = True

    def end(self):
        """Asks it to, waits, then SIGKILL. Its exit status; None: it had to be killed."""
        self.ask_to_end()
        try:
            return self.child.wait(END_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            return None


class Rehearsal:
    def __init__(self, options, out, run_folder):
        self.options, self.out, self.folder = options, out, run_folder
        self.tag = f"{os.getpid():x}"
        self.network = local_net.NETWORKS[options.network](run_folder, self.tag)
        self.replicas = [local_net.Node(f"r{i}", f"02:6f:73:00:00:{i + 1:02x}")
                         for i in range(options.n)]
        self.client_node = local_net.Node("client", "02:6f:73:00:01:01")
        self.cluster = run_folder / "cluster"
        self.processes = {}
        self.ended = []
        self.client = self.switch = self.story = None
        self.begin = 0  # when the client started

    # ---- preparing

    def out_clear(self):
        """What a former rehearsal left there is not taken for this one's."""
        names = [node.name for node in self.replicas + [self.client_node]] + ["switch"]
        for path in self.out.iterdir():
            if path.name.split(".")[0] in names and path.suffix in (".log", ".json"):
                path.unlink()

    def prefix(self, name):
        return f"oskr-{self.tag}-{name}"

    def files_make(self):
        lines = [f"f {self.options.f}"]
        lines += [f"replica {node.mac}%0" for node in self.replicas]
        if self.options.multicast:
            lines.append("multicast 01:00:5e:00:00:01%255")
        self.cluster.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.keys_make()

    def keys_make(self):
        words = [str(HERE / "keygen.sh"), str(self.cluster), str(self.options.n), "1"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, text=True, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RehearsalFailed(f"keygen: {done.stderr.strip()}")

    def eal(self, name):
        # Lcores are not bound to CPUs: there are more processes than those.
        cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
        return ["--no-huge", "--no-shconf", "-m", str(self.options.memory), "--no-pci",
                "--file-prefix", self.prefix(name), "--lcores", f"0@({cpus})"]

    def program(self, name):
        return str(self.options.build / name)

    def start(self, node, words):
        log = self.out / f"{node.name}.log"
        words = self.network.command(node) + words
        process = Process(node.name, words, log)
        self.processes[node.name] = process
        if self.network.attaches:
            self.wait_ready(node.name)
            self.network.attach(node)
        return process

    def replica_start(self, index):
        node = self.replicas[index]
        words = [self.program("oskr-replica"), *self.eal(node.name), *self.network.eal(node),
                 "--", "-m", self.options.mode, "-c", str(self.cluster), "-i", str(index),
                 "--idle", self.options.idle, *self.options.all, *self.options.replicas]
        return self.start(node, words)

    def client_start(self):
        node = self.client_node
        words = [self.program("oskr-client"), *self.eal(node.name), *self.network.eal(node),
                 "--", "-m", self.options.mode, "-c", str(self.cluster), "--idle",
                 self.options.idle, "--json", str(self.out / "client.json"), *self.options.all,
                 *self.options.client]
        self.client = self.start(node, words)

    def script(self):
        given = self.options.script.read_text(encoding="utf-8") if self.options.script else ""
        return given + "".join(f"{line}\n" for line in self.options.fault)

    def switch_start(self):
        names = ",".join(node.name for node in self.replicas + [self.client_node])
        script = self.out / "faults.txt"
        script.write_text(self.script(), encoding="utf-8")
        words = [self.program("oskr-switch"), *self.eal("switch"), "--", "--names", names,
                 "--folder", str(self.folder), "--script", str(script), "--wait", "--seed",
                 str(self.options.seed), "--idle", self.options.idle]
        self.switch = Process("switch", words, self.out / "switch.log")
        self.processes["switch"] = self.switch
        self.wait_ready("switch")

    def wait_ready(self, name):
        process = self.processes[name]

        def ready(connection):
            return "/oskr/info" in connection.commands()

        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if telemetry.wait_for(glob.escape(self.prefix(name)), 0.2, ready):
                return
            if not process.running():
                raise RehearsalFailed(f"{name} did not start: {process.last_line()}")
        raise RehearsalFailed(f"{name} does not answer after {READY_S} s: {process.last_line()}")

    # ---- running

    def telemetry_ask(self, name, command):
        for path in telemetry.socket_paths(glob.escape(self.prefix(name))).values():
            try:
                with telemetry.Connection(path) as connection:
                    return connection.ask(command)
            except telemetry.Unreachable:
                pass
        return None

    def act(self, what, index):
        name = f"r{index}"
        if what == "kill":
            self.say(f"kills {name}")
            self.processes[name].kill()
        else:
            if self.processes[name].running():
                raise RehearsalFailed(f"--restart {index}: {name} runs; give --kill before")
            self.say(f"starts {name} again")
            self.replica_start(index)

    def watch(self, due):
        """Between events: who has ended that should not have?"""
        while time.monotonic() < due and self.client.running():
            self.story.go_on(time.monotonic() - self.begin)
            for process in self.processes.values():
                if process is not self.client and not process.killed and not process.running():
                    raise RehearsalFailed(f"{process.name} ended: {process.last_line()}")
            time.sleep(0.05)

    def run(self):
        nodes = self.replicas + [self.client_node]
        self.out_clear()
        self.files_make()
        self.network.open(nodes)
        if self.network.has_switch:
            self.switch_start()
        for index in range(len(self.replicas)):
            self.replica_start(index)
        for node in self.replicas:
            self.wait_ready(node.name)
        self.say(f"{len(self.replicas)} replicas answer")
        self.client_start()
        self.begin = time.monotonic()
        self.story = local_story.Story(self.say, self.client.log, self.script())
        if self.network.has_switch:
            self.telemetry_ask("switch", "/oskr/switch/start")
        for at_s, what, index in self.options.events:
            self.watch(self.begin + at_s)
            if not self.client.running():
                raise RehearsalFailed(f"the client ended before --{what} {index}@{at_s:g}s: "
                                      f"{self.client.last_line()}")
            self.act(what, index)
        self.watch(self.begin + self.options.patience)
        if self.client.running():
            raise RehearsalFailed(f"the client still runs after {self.options.patience:g} s")
        self.story.go_on(time.monotonic() - self.begin)
        # Who was started again a moment ago can be asked to end once it answers.
        for node in self.replicas:
            if not self.processes[node.name].killed:
                self.wait_ready(node.name)

    def say(self, text):
        if not self.options.quiet:
            print(f"local: {text}", flush=True)

    # ---- ending

    def stats_collect(self):
        for name, process in self.processes.items():
            if process is self.client or not process.running():
                continue
            for command in ("info", "stats", "view", "peers"):
                answer = self.telemetry_ask(name, f"/oskr/{command}")
                if answer is not None:
                    path = self.out / f"{name}.{command}.json"
                    path.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")

    def end(self):
        """Ends all children, the network's last. Names of those that did not end cleanly."""
        bad = []
        ordered = sorted(self.processes.values(), key=lambda p: p is self.switch)
        for process in ordered:
            if process is not self.switch:
                process.ask_to_end()
        for process in ordered:
            if process.killed:
                continue
            status = process.end()
            if status != 0:
                how = "had to be killed" if status is None else f"exit status {status}"
                bad.append(f"{process.name}: {how} ({process.last_line()})")
        self.processes.clear()
        return bad

    def close(self):
        for process in self.processes.values():
            if process.running():
                process.child.kill()
                process.child.wait()
        self.network.close()


def judge(rehearsal, bad):
    """The verdict, as one line and an exit status."""
    path = rehearsal.out / "client.json"
    if not path.exists():
        raise RehearsalFailed(f"the client gave no result: {rehearsal.client.last_line()}")
    result = json.loads(path.read_text(encoding="utf-8"))
    if bad:
        raise RehearsalFailed("no clean end: " + "; ".join(bad))
    errors, operations = result["errors"], result["operations"]
    text = (f"{rehearsal.options.mode} over {rehearsal.options.network}, "
            f"{rehearsal.options.n} replicas: {operations} operations, "
            f"{result['throughput']:.0f} ops/s, p50 {result['p50_us']:.1f} us, "
            f"p99 {result['p99_us']:.1f} us, {errors} errors")
    if errors > 0 or operations == 0:
        raise RehearsalFailed(text)
    rehearsal.say(local_story.service_text(rehearsal.out, result,
                                           [node.name for node in rehearsal.replicas]))
    if rehearsal.network.has_switch:
        rehearsal.say(local_story.frames_text(
            local_story.stats_of(rehearsal.out, "switch", "stats")))
    return text


def event_of(what):
    def parse(text):
        match = re.fullmatch(r"(\d+)@(\d+(?:\.\d+)?)s?", text)
        if match is None:
            raise argparse.ArgumentTypeError(f"'{text}' is not REPLICA@SECONDS, as 0@3s")
        return float(match[2]), what, int(match[1])
    return parse


def number_of(least, most):
    def parse(text):
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is no number {least}..{most}")
        return int(text)
    return parse


def options_parser():
    parser = OptionParser(
        prog="local.sh", allow_abbrev=False,
        usage="deploy/local.sh memif|netns|tap|xdp -m MODE [OPTION...] [-- CLIENT'S OPTIONS]",
        description="Rehearses a cluster on this machine: each replica and the client in a "
                    "process of its own; right answers and a clean end, or exit status 1.",
        epilog="Networks: memif (shared memory and oskr-switch, any user), netns (a network "
               "namespace each, veth, a bridge; root), tap (TAP devices and a bridge; root), "
               "xdp (as netns, with AF_XDP in place of af_packet; root). "
               "Exit status: 0 all answers right, all ended cleanly; 1 not so; 2 a bad option, "
               "or it cannot be done here; 130 interrupted.")
    add = parser.add_argument
    add("network", choices=sorted(local_net.NETWORKS))
    add("-m", dest="mode", required=True, help="the protocol, as pbft")
    add("-n", type=number_of(1, 64), help="replicas (4; unreplicated: 1)")
    add("-f", type=number_of(0, 31), help="faults to tolerate ((n - 1) / 3)")
    add("--kill", type=event_of("kill"), action="append", default=[], metavar="R@T",
        help="kill replica R, T seconds after the client's start: 0@3s")
    add("--restart", type=event_of("restart"), action="append", default=[], metavar="R@T",
        help="start it again, without its memory: 0@6s")
    add("--script", type=Path, metavar="FILE",
        help="faults for oskr-switch (memif); times count from the client's start")
    add("--fault", action="append", default=[], metavar="LINE",
        help="a line of such a script, as 'at 2 loss 10%%'; may be repeated")
    add("--seed", type=number_of(0, 2 ** 63), default=1, help="of the switch's chance (1)")
    add("--multicast", action="store_true", help="a multicast line in the cluster file")
    add("--all", type=shlex.split, default=[], metavar="OPTIONS",
        help="options for replicas and client, as '--app kv'")
    add("--replicas", type=shlex.split, default=[], metavar="OPTIONS",
        help="options for the replicas, as '-b 100'")
    add("--idle", choices=("yield", "sleep", "poll"), default="yield",
        help="what processes do when there is nothing to do (yield)")
    add("--memory", type=number_of(64, 65536), default=512, metavar="MIB",
        help="DPDK's memory of each process (512)")
    add("--build", type=Path, default=HERE.parent / "build", help="the build folder (build)")
    add("--out", type=Path, help="where logs and results go (a new folder in /tmp)")
    add("-q", "--quiet", action="store_true", help="print the verdict alone")
    return parser


def client_seconds(words):
    """What the client measures, as far as its options say so."""
    for i, word in enumerate(words):
        match = re.fullmatch(r"(?:-d|--seconds=?)(\d+(?:\.\d+)?)?", word)
        if match:
            value = match[1] or (words[i + 1] if i + 1 < len(words) else "")
            return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else DEFAULT_SECONDS
    return None


def options_read(words):
    split = words.index("--") if "--" in words else len(words)
    parser = options_parser()
    options = parser.parse_args(words[:split])
    options.client = words[split + 1:]
    single = options.mode.startswith("unreplicated")
    options.n = options.n or (1 if single else 4)
    options.f = options.f if options.f is not None else (0 if single else (options.n - 1) // 3)
    if client_seconds(options.client) is None:
        options.client += ["-d", str(DEFAULT_SECONDS)]
    options.patience = client_seconds(options.client) + CLIENT_GRACE_S
    options.events = sorted(options.kill + options.restart)
    network = local_net.NETWORKS[options.network]
    if network.needs_root and os.geteuid() != 0:
        parser.error(f"{options.network} needs root; memif does not")
    if (options.script or options.fault) and not network.has_switch:
        parser.error(f"--script and --fault need oskr-switch: take memif, not {options.network}")
    if options.script and not options.script.is_file():
        parser.error(f"--script {options.script}: no such file")
    for _, what, index in options.events:
        if index >= options.n:
            parser.error(f"--{what} {index}: there are replicas 0..{options.n - 1}")
    for name in ["oskr-replica", "oskr-client"] + ["oskr-switch"] * network.has_switch:
        if not os.access(options.build / name, os.X_OK):
            parser.error(f"{options.build / name} is not there: build it, or give --build")
    return options


def rehearse(options, out, folder):
    rehearsal = Rehearsal(options, out, folder)
    try:
        rehearsal.run()
        rehearsal.stats_collect()
        bad = rehearsal.end()
        verdict = judge(rehearsal, bad)
    finally:
        # A second signal must not keep children or namespaces alive.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        rehearsal.close()
    print(f"local: {verdict}")
    return 0


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = options_read(sys.argv[1:])
    out = options.out or Path(tempfile.mkdtemp(prefix="oskr-local-"))
    # Sockets' paths are short; keys are this user's alone.
    folder = Path(tempfile.mkdtemp(prefix="oskr-run-", dir="/tmp"))
    status = 1
    try:
        out.mkdir(parents=True, exist_ok=True)
        status = rehearse(options, out, folder)
    except (RehearsalFailed, local_net.NetworkFailed) as error:
        print(f"local: FAILED: {error}", file=sys.stderr)
    except OSError as error:
        print(f"local: FAILED: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("local: interrupted", file=sys.stderr)
        status = EXIT_INTERRUPTED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not options.quiet or status == 1:
            print(f"local: logs and results: {out}")
    return status


if __name__ == "__main__":
    sys.exit(main())
