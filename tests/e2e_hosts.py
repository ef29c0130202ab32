#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""perf/sweep.sh --hosts with network namespaces for hosts and `ip netns exec` for ssh.

Usage: e2e_hosts.py BUILD-FOLDER
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy"))
import local_net  # noqa: E402  (its folder is known only now)

REPLICAS = 4
TIMEOUT_S = 600
EXIT_SKIPPED = 77


def need(holds, text):
    if not holds:
        print(f"FAILED: {text}")
        sys.exit(1)


def hosts_make(folder, build, network, nodes):
    cluster = folder / "cluster"
    cluster.write_text("f 1\n" + "".join(f"replica {node.mac}%0\n" for node in nodes[:-1]),
                       encoding="utf-8")
    subprocess.run([ROOT / "deploy" / "keygen.sh", cluster, str(REPLICAS), "1"], check=True,
                   stdout=subprocess.DEVNULL)
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    lines = [f"bin {build}", f"cluster {cluster}"]
    for node in nodes:
        lines.append(f"{'client' if node is nodes[-1] else 'replica'} {network.space(node.name)} "
                     f"--lcores '0@({cpus})' --no-huge --no-shconf -m 512 --no-pci --file-prefix "
                     f"{network.space(node.name)} {' '.join(network.eal(node))}")
    path = folder / "hosts"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def sweep(folder, hosts, *words):
    return subprocess.run(
        [ROOT / "perf" / "sweep.sh", "-m", "pbft", "-t", "1,8", "--repeats", "1", "--seconds", "1",
         "--warm", "1", "--out", folder / "sweep", "--hosts", hosts, "--transport",
         "ip netns exec {host} sh -c", *words, "--", "--idle", "yield"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False)


def stories(folder, build, network, nodes):
    network.open(nodes)
    hosts = hosts_make(folder, build, network, nodes)
    done = sweep(folder, hosts)
    need(done.returncode == 0, f"sweep: {done.stdout}")
    points = json.loads((folder / "sweep" / "sweep.json").read_text(encoding="utf-8"))["points"]
    need([point["clients"] for point in points] == [1, 8], f"{len(points)} points")
    need(all(point["throughput"] > 0 and point["errors"] == 0 for point in points), f"{points}")
    # What is there is not run again, and another command is; a failure is told in one line.
    need("#1" not in sweep(folder, hosts).stdout, "a finished sweep runs again")
    done = sweep(folder, hosts, "--replica-options=--no-such-option")
    need(done.returncode == 1 and "no-such-option" in done.stdout, f"a bad option: {done.stdout}")
    left = subprocess.run(["pgrep", "-f", str(folder / "cluster")], check=False,
                          stdout=subprocess.PIPE, text=True).stdout
    need(left == "", f"processes {left} are left")


def main():
    build = os.path.abspath(sys.argv[1])
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], check=False).returncode:
        print("skipped: network namespaces need root")
        return EXIT_SKIPPED
    network = local_net.NETWORKS["netns"](None, f"{os.getpid():x}")
    nodes = [local_net.Node(f"r{i}", f"02:6f:75:00:00:{i + 1:02x}") for i in range(REPLICAS)]
    nodes.append(local_net.Node("client", "02:6f:75:00:01:01"))
    with tempfile.TemporaryDirectory() as name:
        try:
            stories(Path(name), build, network, nodes)
        finally:
            network.close()
    print("0 failures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
