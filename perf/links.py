# SPDX-License-Identifier: Apache-2.0
"""What a link between processes costs: oskr over it, beside oskr embedded and dpdk-testpmd.

For each link the same service runs in processes of its own (deploy/local.sh), in one process
(oskr-cluster), and testpmd sends frames of the same kind through the very same network to
another testpmd that returns them.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import runs

sys.path.insert(0, str(runs.ROOT / "deploy"))
import local  # noqa: E402
import local_net  # noqa: E402

EPILOG = """
Measures, one after the other and --repeats times over, and prints medians:
  embedded  oskr-cluster, no link at all
  LINK      deploy/local.sh LINK: ops/s, frames/s at all nodes, CPU time an operation
  testpmd   dpdk-testpmd flowgen <-> macswap over LINK: frames/s at both nodes, of those
            that arrive
and two ratios: oskr's frames a second as a share of testpmd's, and the CPU time of an
operation over the link by that of the embedded one. The CPU time is what lcores spent on
bursts that were not empty, of replicas and clients: not the switch's, nor the kernel's. A
memif is a port of oskr-switch, netns is af_packet on veth; testpmd never yields, so with
fewer CPUs than processes its frames wait for the kernel's scheduler, and so do oskr's.
Exit status: 0; 1 a run failed or gave a wrong answer.
"""

FRAME_BYTES = 128  # a small request with its headers
SETTLE_S = 1.5  # until testpmd's ports are up


def options_parse(arguments):
    parser = runs.OptionParser(
        prog="links", usage="perf/links.sh [options]", description=__doc__.splitlines()[0],
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("-m", "--mode", default="unreplicated",
                        help="the protocol (unreplicated)")
    parser.add_argument("--links", default="memif,netns", metavar="LIST",
                        help="of memif, netns, tap, xdp; all but memif need root (memif,netns)")
    parser.add_argument("--options", type=shlex.split, default=[], metavar="WORDS",
                        help="for replicas and clients, as '--profile fast -b 100 --adaptive'")
    parser.add_argument("-t", "--clients", type=runs.positive_int, default=64, metavar="N",
                        help="clients (64)")
    parser.add_argument("--repeats", type=runs.positive_int, default=3, metavar="N",
                        help="runs of everything; medians count (3)")
    parser.add_argument("--seconds", type=runs.measured_seconds, default=3, metavar="S",
                        help="measured seconds of a run (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--build", type=Path, default=runs.ROOT / "build", metavar="DIR",
                        help="build folder (build)")
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    options.links = [link for link in options.links.split(",") if link]
    for link in options.links:
        if link not in local_net.NETWORKS:
            parser.error(f"--links {link}: there are {', '.join(sorted(local_net.NETWORKS))}")
        if local_net.NETWORKS[link].needs_root and os.geteuid() != 0:
            parser.error(f"--links {link} needs root; memif does not")
    if shutil.which("dpdk-testpmd") is None:
        parser.error("dpdk-testpmd is missing; run as root: deploy/setup.sh")
    return options


def tsc_hz(options):
    facts = runs.run_bench(options.build, [], ["machine"])[0]
    return float(facts["tsc_hz"])


def embedded(options):
    words = ["-m", options.mode, *options.options, "-t", str(options.clients),
             "-d", f"{options.seconds:g}", "--warm", "1"]
    result, _ = runs.run_cluster(runs.cluster_command(options.build, [], words),
                                 options.seconds + 1)
    busy = sum(result["lcores_busy"]) * result["seconds"] * 1e6
    return {"ops_per_s": result["throughput"], "cpu_us_per_op": busy / result["operations"]}


def frames_of(stats):
    return sum(value for name, value in stats.items()
               if re.search(r"/(rx|tx)_frames$", name) and not name.startswith("port_"))


def busy_us(stats, hz):
    return sum(value for name, value in stats.items()
               if re.fullmatch(r"lcore_\d+/busy_cycles", name)) / hz * 1e6


def over_link(options, link, hz):
    """Counters are of a process's whole life, so they are held against all it executed."""
    with tempfile.TemporaryDirectory(prefix="oskr-links-") as folder:
        out = Path(folder)
        words = [str(runs.ROOT / "deploy/local.sh"), link, "-m", options.mode, "-q",
                 "--build", str(options.build), "--out", folder,
                 *(["--all", shlex.join(options.options)] if options.options else []),
                 "--", "-t", str(options.clients), "-d", f"{options.seconds:g}", "--warm", "1"]
        runs.run_program(words, options.seconds + 2 * runs.GRACE_S)
        client = json.loads((out / "client.json").read_text(encoding="utf-8"))
        replicas = [json.loads(file.read_text(encoding="utf-8"))
                    for file in sorted(out.glob("r*.stats.json"))]
    node = client["nodes"][0]
    completed = node["completed"]
    client_us = sum(client["lcores_busy"]) * client["seconds"] * 1e6 / client["operations"]
    frames = node["rx_frames"] + node["tx_frames"] + sum(map(frames_of, replicas))
    replicas_us = sum(busy_us(stats, hz) for stats in replicas) / completed
    return {"ops_per_s": client["throughput"], "p50_us": client["p50_us"],
            "frames_per_s": frames / completed * client["throughput"],
            "cpu_us_per_op": client_us + replicas_us}


class Echo(local.Rehearsal):
    """Two testpmd where a replica and a client would be."""

    def testpmd(self, node, words):
        eal = self.eal(node.name)
        cpus = eal[-1].partition("@")[2]
        # The main lcore of testpmd only waits; a second one forwards.
        eal[-1] = f"0@{cpus},1@{cpus}"
        log = self.out / f"{node.name}.log"
        command = self.network.command(node) + ["dpdk-testpmd", *eal, *self.network.eal(node),
                                                "--", "--auto-start", "--nb-cores=1",
                                                "--total-num-mbufs=16384", *words]
        # It would take the end of its input as the wish to end.
        process = local.Process(node.name, command, log, stdin=subprocess.PIPE)
        self.processes[node.name] = process
        if self.network.attaches:
            time.sleep(SETTLE_S)
            self.network.attach(node)

    def measure(self, seconds):
        nodes = [self.replicas[0], self.client_node]
        self.network.open(nodes)
        if self.network.has_switch:
            self.switch_start()
        self.testpmd(nodes[0], ["--forward-mode=macswap"])
        time.sleep(SETTLE_S)
        self.testpmd(nodes[1], ["--forward-mode=flowgen", f"--txpkts={FRAME_BYTES}",
                                f"--eth-peer=0,{nodes[0].mac}"])
        time.sleep(SETTLE_S)
        before = [self.received(node) for node in nodes]
        begin = time.monotonic()
        time.sleep(seconds)
        after = [self.received(node) for node in nodes]
        elapsed_s = time.monotonic() - begin
        for process in self.processes.values():
            if not process.running():
                raise runs.RunFailed(f"testpmd: {process.name} ended: {process.last_line()}")
        # A frame that arrived was sent, too: the flood that was dropped is not counted.
        return 2 * (sum(after) - sum(before)) / elapsed_s

    def received(self, node):
        stats = self.telemetry_ask(node.name, "/ethdev/stats,0")
        if stats is None:
            raise runs.RunFailed(f"testpmd: {node.name} does not answer: "
                                 f"{self.processes[node.name].last_line()}")
        return stats["ipackets"]


def testpmd(options, link):
    words = [link, "-m", "unreplicated", "--build", str(options.build), "-q"]
    with tempfile.TemporaryDirectory(prefix="oskr-links-") as out, \
            tempfile.TemporaryDirectory(prefix="oskr-run-", dir="/tmp") as folder:
        echo = Echo(local.options_read(words), Path(out), Path(folder))
        try:
            return {"frames_per_s": echo.measure(options.seconds)}
        finally:
            echo.close()


def medians(results):
    return {name: runs.median([result[name] for result in results]) for name in results[0]}


def report(options, found):
    lines = [f"{'':22} {'ops/s':>9} {'median':>9} {'CPU an op':>10} {'frames/s':>10}"]
    inside = found["embedded"]
    lines.append(f"{'embedded':22} {runs.kilo(inside['ops_per_s']) + ' K':>9} {'':>9} "
                 f"{inside['cpu_us_per_op']:>7.2f} us")
    for link in options.links:
        mine, theirs = found[link], found[f"{link} testpmd"]
        lines.append(f"{link:22} {runs.kilo(mine['ops_per_s']) + ' K':>9} "
                     f"{runs.micro(mine['p50_us']) + ' us':>9} {mine['cpu_us_per_op']:>7.2f} us "
                     f"{runs.kilo(mine['frames_per_s']) + ' K':>10}")
        lines.append(f"{link + ', testpmd':22} {'':>9} {'':>9} {'':>10} "
                     f"{runs.kilo(theirs['frames_per_s']) + ' K':>10}")
    for link in options.links:
        mine = found[link]
        frames = mine["frames_per_s"] / found[f"{link} testpmd"]["frames_per_s"]
        cpu = mine["cpu_us_per_op"] / inside["cpu_us_per_op"]
        mine["frames_of_testpmd"], mine["cpu_of_embedded"] = frames, cpu
        lines.append(f"{link}: {frames:.2f} of testpmd's frames a second; an operation costs "
                     f"{cpu:.2f} times the embedded one's CPU time")
    print("\n".join(lines))


def main(arguments):
    runs.install_signals()
    options = options_parse(arguments)
    for program in ("oskr-cluster", "oskr-replica", "oskr-client", "oskr-switch", "perf/bench"):
        runs.require_program(options.build, program)
    try:
        hz = tsc_hz(options)
        acts = {"embedded": lambda: embedded(options)}
        for link in options.links:
            acts[link] = lambda link=link: over_link(options, link, hz)
            acts[f"{link} testpmd"] = lambda link=link: testpmd(options, link)
        results = {name: [] for name in acts}
        progress = runs.Progress(options.repeats * len(acts))
        for repeat in range(1, options.repeats + 1):
            for name, act in acts.items():
                what = f"{options.mode}, {name} (repeat {repeat} of {options.repeats})"
                progress.measure(what, options.seconds + 4, lambda n=name, a=act:
                                 results[n].append(a()))
        found = {name: medians(list_) for name, list_ in results.items()}
        report(options, found)
        if options.json:
            record = {"command": shlex.join(["perf/links.sh", *arguments]),
                      "machine": runs.machine(options.build), "mode": options.mode,
                      "clients": options.clients, "frame_bytes": FRAME_BYTES, "found": found,
                      "runs": results}
            runs.write_atomically(options.json, json.dumps(record, indent=1) + "\n")
    except (runs.RunFailed, local.RehearsalFailed, local_net.NetworkFailed,
            subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"links: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("links: interrupted\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
