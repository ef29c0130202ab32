#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replicas and clients as processes of their own, joined by veth and network
namespaces, and by memif and oskr-switch: right answers, clean ends, replicas that are
killed and start anew, pings, and what a plain UDP socket is told.

    e2e_process.py BUILD [STORY...]

Stories that the machine cannot play are skipped and named.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import e2e_process_rig as rig
from e2e_process_rig import Failed, Skipped, need

MODES = ["unreplicated", "unreplicated-signed", "pbft"]

programs = ""


def netns(folder, queues=1):
    return rig.Netns(folder, queues)


def memif(folder):
    return rig.Memif(folder, os.path.join(programs, "oskr-switch"))


def modes(folder, net):
    """Every mode, with right answers and clean ends."""
    cluster = None
    try:
        for life, mode in enumerate(MODES, 1):
            cluster = rig.Cluster(programs, folder, net, mode, ["--life", str(life)])
            cluster.start_all()
            result = cluster.client(["-t", "16"])
            need(result["clients"] == 16, f"{result['clients']} clients, not 16")
            cluster.end_all()
    finally:
        if cluster is not None:
            cluster.close()
        net.close()


def modes_netns(folder):
    modes(folder, netns(folder))


def modes_memif(folder):
    modes(folder, memif(folder))


def values(folder, net):
    """A key-value store, twice by the same client node: its second life goes on above."""
    cluster = rig.Cluster(programs, folder, net, "pbft", ["-w", "ycsb-a"])
    try:
        cluster.start_all()
        for _ in range(2):
            result = cluster.client(["--records", "500", "-t", "8"])
            need(result["wrong"] == 0, "wrong answers")
        cluster.end_all()
    finally:
        cluster.close()
        net.close()


def values_netns(folder):
    values(folder, netns(folder))


def values_memif(folder):
    values(folder, memif(folder))


def helpers_memif(folder):
    """Lcores beside the queue's sign and verify."""
    cluster = rig.Cluster(programs, folder, memif(folder), "pbft", ["--profile", "paranoid"],
                          helpers=1)
    try:
        cluster.start_all()
        result = cluster.client(["-t", "8"])
        need(result["helpers"] == 1 and result["helper_jobs"] > 0, "the helper did nothing")
        cluster.end_all()
    finally:
        cluster.close()
        cluster.net.close()


def pillars(net, folder, queues):
    """Replicas of several lcores, whose leader is killed: each lcore has work, and keeps it."""
    if queues > 1 and len(rig.cpus()) < 2:
        net.close()
        raise Skipped("fewer than 2 CPUs")
    cluster = rig.Cluster(programs, folder, net, "pbft", ["-w", "ycsb-a"], pillars=2)
    with open(cluster.file, "r+", encoding="utf-8") as file:
        text = re.sub(r"(?m)^instances .*", "instances 2", file.read())
        file.seek(0)
        file.write(text)
    try:
        cluster.start_all(queues)
        # Ports that led astray have been changed when the first client is done.
        for _ in range(2 if queues > 1 else 1):
            before = {i: landed(replica) for i, replica in cluster.replicas.items()}
            result = cluster.client(["-t", "16", "--records", "200"])
            need(result["wrong"] == 0, "wrong answers")
        for index, replica in cluster.replicas.items():
            pillars_look(index, replica, queues, before[index])
        client = cluster.client_begin(["-d", "4", "--warm", "0.2", "-t", "16", "--records", "200"])
        client.wait_text("run ")
        cluster.kill(0)
        time.sleep(1)
        cluster.start(0, queues)
        result = cluster.client_result(client)
        need(result["wrong"] == 0 and result["lost"] == 0, "wrong or lost answers")
        cluster.end_all()
    finally:
        cluster.close()
        net.close()


def pillars_look(index, replica, queues, before):
    rows = shards(replica)
    for part in range(2):
        name = f"replica_{index}_pillar_{part}/messages"
        need(rows.get(name, 0) > 100, f"{name}: {rows}")
    right, handed = (after - first for after, first in zip(landed(replica), before))
    print(f"    replica {index}: {right} landed right, {handed} handed over")
    need(handed > 100 if queues == 1 else right > 19 * handed, f"{right} right, {handed} handed")


def pillars_memif(folder):
    pillars(memif(folder), folder, 1)


def pillars_netns(folder):
    pillars(netns(folder), folder, 3)


def large_netns(folder):
    """Messages of many frames."""
    cluster = rig.Cluster(programs, folder, netns(folder), "pbft", ["-w", "echo:20000/9000"])
    try:
        cluster.start_all()
        cluster.client(["-t", "4"])
        cluster.end_all()
    finally:
        cluster.close()
        cluster.net.close()


def leader(folder, net):
    """The first primary is killed under load and starts anew, without its memory. DPDK's recorder
    of another one has what it saw of that."""
    cluster = rig.Cluster(programs, folder, net, "pbft", ["-w", "ycsb-a"])
    trace = os.path.join(folder, "trace")
    cluster.eal[1] = ["--trace=oskr.*", f"--trace-dir={trace}"]
    try:
        cluster.start_all()
        client = cluster.client_begin(["-d", "5", "--warm", "0.2", "-t", "16", "--records", "200"])
        client.wait_text("run ")
        cluster.kill(0)
        time.sleep(1)
        cluster.start(0)
        cluster.replicas[0].wait_text("restarted without its memory")
        result = cluster.client_result(client)
        need(result["wrong"] == 0 and result["lost"] == 0, "wrong or lost answers")
        for replica in cluster.replicas.values():
            replica.wait_text(" serve ")
        again = cluster.client(["--records", "200", "-t", "16"])
        need(again["view_changes"] >= 1, "nobody replaced the leader that was killed")
        cluster.end_all()
        shown = subprocess.run(["babeltrace2", trace], capture_output=True, text=True,
                               check=False, timeout=60)
        need(shown.returncode == 0, f"babeltrace2: {shown.stderr[-300:]}")
        for event in (r"oskr\.replica\.commit: .*replica = 0x1,", r"oskr\.replica\.checkpoint: ",
                      r"oskr\.node\.note: .* text = \"enters view"):
            need(re.search(event, shown.stdout), f"no '{event}' in {shown.stdout[-1000:]}")
    finally:
        cluster.close()
        net.close()


def leader_netns(folder):
    leader(folder, netns(folder))


def leader_memif(folder):
    leader(folder, memif(folder))


def restart_refused(folder):
    """Where nobody could help, a replica that lost its state says so."""
    cluster = rig.Cluster(programs, folder, netns(folder), "unreplicated")
    try:
        cluster.start_all()
        cluster.end_all()
        cluster.start(0)
        status = cluster.replicas[0].child.wait(rig.START_S)
        need(status == 2, f"exit status {status}")
        need("--life" in cluster.replicas[0].tail(), cluster.replicas[0].tail())
        cluster.replicas.clear()
        cluster.options = ["--life", "2"]
        cluster.start_all()
        cluster.client()
        cluster.end_all()
    finally:
        cluster.close()
        cluster.net.close()


def refused(folder):
    """A client on other terms than the replicas', and one that meets nobody."""
    cluster = rig.Cluster(programs, folder, netns(folder), "unreplicated")
    cases = [
        ("--slots", ["--slots", "300"]),
        ("--reply-auth", ["--reply-auth", "sign"]),
        ("--workload", ["-w", "echo:100/100"]),
        ("no answer from replica 0", ["--life", "7", "--wait", "1"]),
    ]
    try:
        cluster.start_all()
        for word, ours in cases:
            client = cluster.client_begin(ours)
            status = client.child.wait(rig.START_S)
            last = client.text().splitlines()[-1]
            need(status == 1, f"{ours}: exit status {status}: {last}")
            need(last.startswith("oskr-client: ") and word in last, f"{ours}: {last}")
        stranger(cluster, folder)
        cluster.end_all()
    finally:
        cluster.close()
        cluster.net.close()


def stranger(cluster, folder):
    """One whose key replicas do not have is served by none, whatever else it knows: as client
    node 0, whom they know by another key, and as 1, whom they do not know."""
    other = os.path.join(folder, "other")
    os.mkdir(other)
    for name in ["quad"] + [f"quad-{i}.pub" for i in range(4)]:
        shutil.copy(os.path.join(folder, name), other)
    rig.call(rig.KEYGEN, "--add", os.path.join(other, "quad"), "4", "2")
    known, cluster.file = cluster.file, os.path.join(other, "quad")
    for index, counter in (("0", "enrol_unproven"), ("1", "enrol_malformed")):
        if index == "0":
            os.rename(f"{other}/quad-client-1.pub", f"{other}/aside")
        before = stats(cluster.replicas[0])[counter]
        client = cluster.client_begin(["-i", index, "--wait", "1"])
        need(client.child.wait(rig.START_S) == 1, f"client node {index}: {client.tail()}")
        need("no answer from replica 0" in client.text(), client.tail())
        need(stats(cluster.replicas[0])[counter] > before, f"client node {index}: not by {counter}")
        if index == "0":
            os.rename(f"{other}/aside", f"{other}/quad-client-1.pub")
    cluster.file = known


ASK = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.settimeout(5)
link.connect((sys.argv[1], 7000))
for size in (5, 17, 60):
    link.send(b"oskr?".ljust(size))
    answer = link.recv(2048)
    if len(answer) > size:
        sys.exit("more than was asked with")
print(answer.decode(), end="")
"""


def neighbours(folder):
    """ping, and an ordinary UDP socket, from a host beside the replicas."""
    net = netns(folder)
    cluster = rig.Cluster(programs, folder, net, "pbft")
    host = net.before(5)
    try:
        rig.call(*host, "ip", "address", "add", "10.0.0.1/8", "dev", "eth0")
        cluster.start_all()
        ip = rig.ip_of(rig.MACS[2])
        asked = subprocess.run(host + [sys.executable, "-c", ASK, ip], capture_output=True,
                               text=True, check=False, timeout=30)
        need(asked.stdout == "oskr replica 2 pbft\n", f"{asked.stdout}{asked.stderr}")
        ping(host, ip)
        cluster.end_all()
    finally:
        cluster.close()
        net.close()


def ping(host, ip):
    for size in (0, 56, 57, 1472):
        done = subprocess.run(host + ["ping", "-c", "3", "-i", "0.2", "-s", str(size), ip],
                              capture_output=True, text=True, check=False, timeout=30)
        # It compares what comes back with what it sent, and says so where they differ.
        whole = "wrong data" not in done.stdout and "truncated" not in done.stdout
        need(done.returncode == 0 and re.search(r"\b3 received", done.stdout) and whole,
             f"ping -s {size}: {done.stdout}{done.stderr}")


def steering(folder):
    """Two queues: nearly all frames land at the owner's, whatever the kernel hashes by."""
    if len(rig.cpus()) < 2:
        raise Skipped("fewer than 2 CPUs")
    net = netns(folder)
    cluster = rig.Cluster(programs, folder, net, "pbft")
    try:
        cluster.start_all(queues=2)
        # Whoever starts learns first which of its ports lead astray: that is over in a second.
        client = cluster.client_begin(["-t", "16", "-d", "3", "--warm", "0.2"])
        client.wait_text("run ")
        begin = [landed(replica) for replica in cluster.replicas.values()]
        cluster.client_result(client)
        for index, before in enumerate(begin):
            after = landed(cluster.replicas[index])
            right, handed = after[0] - before[0], after[1] - before[1]
            share = right / max(right + handed, 1)
            print(f"    replica {index}: {right} landed right, {handed} handed over: "
                  f"{100 * share:.2f} %")
            need(right > 100 and share >= 0.99,
                 f"replica {index}: only {100 * share:.2f} % landed right")
        cluster.end_all()
    finally:
        cluster.close()
        net.close()


def stats(replica):
    """The replica's counters, without the name before them."""
    prefix = next(w for w in replica.words if w.startswith("--file-prefix=")).split("=", 1)[1]
    rows, part = {}, "/oskr/stats"
    while part is not None:
        answer = rig.telemetry(prefix, part)["/oskr/stats"]
        rows.update(answer)
        part = f"/oskr/stats,{answer['next']}" if "next" in answer else None
    return {re.sub(r"^replica_\d+/", "", name): value for name, value in rows.items()}


def telemetry(process, command):
    prefix = next(w for w in process.words if w.startswith("--file-prefix=")).split("=", 1)[1]
    return rig.telemetry(prefix, command)[command]


def shards(replica):
    return telemetry(replica, "/oskr/shards")


def landed(replica):
    rows = stats(replica)
    return rows["landed_right"], rows["handed_over"]


def memory_kib(replica):
    """What it has asked the kernel for, but stacks of threads (each lies above a guard page): DPDK
    answers each connection to its telemetry in a thread, and our last one may not have ended."""
    total, guard_end = 0, None
    with open(f"/proc/{replica.child.pid}/maps", encoding="utf-8") as file:
        for line in file:
            area, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in area.split("-"))
            if rights == "rw-p" and begin != guard_end:
                total += end - begin
            guard_end = end if rights == "---p" and end - begin == 4096 else None
    return total // 1024


def drops(before, after):
    return sum(after[name] - before[name] for name in after if name.startswith("drop_"))


def flood(folder):
    """Malformed and forged frames, as many as a host can send, to the primary: honest clients
    go on."""
    net = netns(folder)
    cluster = rig.Cluster(programs, folder, net, "pbft")
    seconds = 3
    host = net.before(5) + [os.path.join(programs, "tests", "flood"), "eth0", "02:00:00:00:00:66",
                            rig.MACS[0], rig.ip_of(rig.MACS[0]), "7000"]

    def client():
        begin = stats(cluster.replicas[0])
        result = cluster.client(["-t", "32", "-d", str(seconds)])
        return result, begin, stats(cluster.replicas[0])

    try:
        cluster.start_all()
        before, begin, end = client()
        honest = end["rx_frames"] - begin["rx_frames"]
        memory = memory_kib(cluster.replicas[0])
        info = telemetry(cluster.replicas[0], "/oskr/info")
        known = [str(info["cluster"]), str(info["protocol_number"])]
        flooder = rig.Process(host + [str(20 * rig.SLOW)] + known,
                              os.path.join(folder, "flood.log"))
        time.sleep(0.5)
        during, begin, end = client()
        need(flooder.runs(), f"the flood ended before the client: {flooder.tail()}")
        flooder.end()
        frames, dropped = end["rx_frames"] - begin["rx_frames"], drops(begin, end)
        grown = memory_kib(cluster.replicas[0]) - memory
        after, _, _ = client()
        unproven = end["enrol_unproven"] - begin["enrol_unproven"]
        print(f"    {before['throughput']:.0f} ops/s before, {during['throughput']:.0f} in the "
              f"flood, {after['throughput']:.0f} after; the primary took {frames} frames in the "
              f"flood and dropped {dropped} and {unproven} forged HELLOs, where it took {honest} "
              f"before; memory +{grown} KiB")
        need(dropped > honest, "the flood did not arrive")
        need(unproven > 0 and end["drop_unproven"] > begin["drop_unproven"], "no forgery arrived")
        # What the honest lost, the port was busy with: it took no fewer frames than before.
        need(frames >= honest / 2, f"{frames} frames in the flood, {honest} before")
        need(grown == 0, f"memory grew by {grown} KiB")
        need(during["throughput"] > before["throughput"] / 20, "the service stood still")
        need(after["throughput"] > before["throughput"] / 3, "the service does not come back")
        cluster.end_all()
    finally:
        cluster.close()
        net.close()


STORIES = [modes_netns, modes_memif, values_netns, values_memif, helpers_memif, pillars_memif,
           pillars_netns, large_netns, leader_netns, leader_memif, restart_refused, refused,
           neighbours, steering, flood]


def main():
    global programs
    programs = os.path.abspath(sys.argv[1])
    chosen = [s for s in STORIES if len(sys.argv) < 3 or s.__name__ in sys.argv[2:]]
    failed = 0
    for story in chosen:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="oskr-") as folder:
            try:
                story(folder)
                verdict = "passed"
            except Skipped as skipped:
                verdict = f"SKIPPED: {skipped}"
            except (Failed, subprocess.TimeoutExpired) as fault:
                failed += 1
                verdict = f"FAILED: {fault}"
        print(f"{story.__name__}: {verdict} ({time.monotonic() - begin:.1f} s)", flush=True)
    print(f"{len(chosen)} stories, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
