#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/ansible on one machine: the playbooks' syntax, and site.yml and run.yml with network
namespaces for hosts.

Usage: e2e_ansible.py BUILD-FOLDER
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
sys.path.insert(0, str(DEPLOY))
import local_net  # noqa: E402  (its folder is known only now)

ANSIBLE = DEPLOY / "ansible"
REPLICAS = 4
TIMEOUT_S = 600
EXIT_SKIPPED = 77


def playbook(folder, inventory, *words):
    return subprocess.run(
        ["ansible-playbook", "-i", str(inventory), *words], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False,
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": f"{folder}/tmp", "ANSIBLE_NOCOLOR": "1",
             "ANSIBLE_REMOTE_TEMP": f"{folder}/tmp", "ANSIBLE_HOME": f"{folder}/home",
             "ANSIBLE_FORKS": "8", "ANSIBLE_PIPELINING": "1",
             "PYTHONDONTWRITEBYTECODE": "1"})


def need(holds, text):
    if not holds:
        print(f"FAILED: {text}")
        sys.exit(1)


def inventory_make(folder, build, network, nodes):
    """Each host is a namespace of this machine, with folders of its own."""
    def host(node, index):
        own = {"oskr_index": index, "oskr_mac": node.mac,
               "oskr_port": " ".join(network.eal(node)),
               "oskr_before": " ".join(network.command(node)),
               # Lcores are not bound to CPUs: all hosts are this machine.
               "oskr_eal": "--lcores '0@(" + ",".join(map(str, sorted(os.sched_getaffinity(0)))) +
                           ")' --no-huge --no-shconf -m 512 --no-pci --file-prefix {{ oskr_name }}"}
        for name in ("etc", "work", "bin"):
            own[f"oskr_{name}"] = f"{folder}/{node.name}/{name}"
            os.makedirs(own[f"oskr_{name}"], exist_ok=True)
        return own
    hosts = {node.name: host(node, i) for i, node in enumerate(nodes[:-1])}
    everything = {"all": {
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3",
                 "oskr_system": False, "oskr_build": build, "oskr_keys": f"{folder}/keys",
                 "oskr_results": f"{folder}/results", "oskr_all_options": "--idle yield",
                 "oskr_client_options": "-t 8 -d 3",
                 "oskr_name": f"oskr-{network.tag}-" + "{{ 'r' if 'replicas' in group_names else "
                              "'c' }}{{ oskr_index }}"},
        "children": {"replicas": {"hosts": hosts},
                     "clients": {"hosts": {"client": host(nodes[-1], 0)}}}}}
    path = folder / "inventory.yml"
    path.write_text(json.dumps(everything), encoding="utf-8")
    return path


def rehearse(folder, build):
    network = local_net.NETWORKS["netns"](folder, f"{os.getpid():x}")
    nodes = [local_net.Node(f"r{i}", f"02:6f:74:00:00:{i + 1:02x}") for i in range(REPLICAS)]
    nodes.append(local_net.Node("client", "02:6f:74:00:01:01"))
    try:
        network.open(nodes)
        inventory = inventory_make(folder, build, network, nodes)
        done = playbook(folder, inventory, str(ANSIBLE / "site.yml"))
        need(done.returncode == 0, f"site.yml: {done.stdout}")
        for i in range(REPLICAS):
            private = sorted(path.name for path in (folder / f"r{i}" / "etc").glob("*.pem"))
            need(private == [f"cluster-{i}.pem"], f"replica {i} has the keys {private}")
        done = playbook(folder, inventory, str(ANSIBLE / "site.yml"))
        need(done.returncode == 0 and "changed=0" in done.stdout and
             not any("changed=" in line and "changed=0" not in line
                     for line in done.stdout.splitlines()), f"site.yml again: {done.stdout}")
        done = playbook(folder, inventory, str(ANSIBLE / "run.yml"))
        need(done.returncode == 0, f"run.yml: {done.stdout}")
        results = folder / "results"
        result = json.loads(
            (results / f"oskr-{network.tag}-c0.json").read_text(encoding="utf-8"))
        need(result["operations"] > 0 and result["errors"] == 0, "the client's result")
        need(len(list(results.glob("*.log"))) == REPLICAS + 1, "not all logs were fetched")
        print(f"run.yml: {result['operations']} operations, {result['throughput']:.0f} ops/s")
    finally:
        network.close()


def main():
    build = os.path.abspath(sys.argv[1])
    if shutil.which("ansible-playbook") is None:
        print("skipped: no ansible-playbook (deploy/setup.sh installs it)")
        return EXIT_SKIPPED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for book in ("site.yml", "run.yml"):
            done = playbook(folder, ANSIBLE / "inventory.example.yml", "--syntax-check",
                            str(ANSIBLE / book))
            need(done.returncode == 0, f"{book}: {done.stdout}")
        if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], check=False).returncode:
            print("skipped: the run against namespaces needs root")
            return EXIT_SKIPPED
        rehearse(folder, build)
    print("0 failures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
