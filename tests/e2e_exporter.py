#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/exporter against a running oskr-cluster: every line is Prometheus' text format, the
figures are the telemetry's, counters grow, and what has ended is not up.

Usage: e2e_exporter.py BUILD-FOLDER
"""
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
sys.path.insert(0, str(DEPLOY))
import telemetry  # noqa: E402  (its folder is known only now)

PREFIX = f"oskr-exporter-{os.getpid()}"
START_S = 90
SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\} (-?[0-9.e+-]+)')
failures = 0


def need(holds, text):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {text}", flush=True)


def page_read(text):
    """{(metric, labels): value}; each line must be of the format, each metric in one place."""
    samples, types, current, closed = {}, {}, None, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            need(name not in types, f"{name} has two types")
            types[name] = kind
        if line.startswith("#"):
            name = line.split(" ")[2]
            need(name == current or name not in closed, f"{name} is in two places")
            closed.add(name)
            current = name
            continue
        match = SAMPLE.fullmatch(line)
        need(match is not None, f"no sample: {line}")
        if match is None:
            continue
        base = re.sub(r"_(bucket|sum|count)$", "", match[1])
        need(current in (match[1], base), f"{match[1]} stands under {current}")
        need((types[current] == "counter") == match[1].endswith("_total"),
             f"{match[1]} is a {types[current]}")
        key = (match[1], match[2])
        need(key not in samples, f"{key} is there twice")
        samples[key] = float(match[3])
    return samples


def page_get(port, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        need(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), "its type")
        return answer.read().decode()


def value(samples, metric, **labels):
    """The one sample with these labels beside `process`."""
    wanted = {"process": PREFIX, **labels}
    text = ",".join(f'{key}="{wanted[key]}"' for key in wanted)
    need((metric, text) in samples, f"no {metric}{{{text}}}")
    return samples.get((metric, text), -1)


def histogram_is_whole(samples):
    buckets = sorted((float(labels.split('le="')[1].rstrip('"')), count)
                     for (metric, labels), count in samples.items()
                     if metric == "oskr_latency_seconds_bucket")
    need(len(buckets) > 20 and buckets[-1][0] == float("inf"), f"buckets {buckets}")
    need(all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:])), "buckets fall")
    count = value(samples, "oskr_latency_seconds_count")
    need(count == buckets[-1][1] > 0, "the last bucket has not all")
    mean = value(samples, "oskr_latency_seconds_sum") / count
    least, most = (value(samples, f"oskr_latency_{name}_seconds") for name in ("min", "max"))
    need(0 < least <= mean <= most, f"latency: {least} <= {mean} <= {most}")
    # Half of all are below p50, within a bound's width.
    p50 = value(samples, "oskr_latency_p50_seconds")
    below = max(number for bound, number in buckets if bound <= p50) if p50 >= 1e-6 else 0
    above = min(number for bound, number in buckets if bound >= p50)
    need(below <= count * 0.52 and above >= count * 0.48, f"p50 {p50}: {below}..{above}/{count}")


def figures_are_right(samples, connection):
    need(value(samples, "oskr_up") == 1, "the process is not up")
    need(not any(metric == "oskr_other" for metric, _ in samples), "entries without a rule")
    stats = connection.ask("/oskr/stats")
    for node in ("replica_0", "replica_3", "client_0"):
        messages = f"{node}/messages"
        exported = value(samples, "oskr_messages_total", node=node)
        need(0 < exported <= stats[messages], f"{messages}: {exported}, then {stats[messages]}")
    for index in range(4):
        node = f"replica_{index}"
        view = value(samples, "oskr_view", node=node, instance="0")
        now = connection.ask("/oskr/view")[f"{node}/instance_0/view"]
        need(0 <= view <= now, f"{node} is in view {view}, then {now}")
        need(value(samples, "oskr_life", node=node, life="runs") == 1, f"{node} does not run")
        for peer in range(4):
            if peer == index:
                continue
            heard = value(samples, "oskr_peer_messages_total", node=node, peer=f"replica_{peer}")
            silent = value(samples, "oskr_peer_silent_seconds", node=node, peer=f"replica_{peer}")
            need(heard > 0 and 0 <= silent < START_S, f"{node} heard {heard} of {peer}, {silent} s")
    histogram_is_whole(samples)


def counters_grow(first, second):
    grown = 0
    for key, number in first.items():
        if key[0].endswith(("_total", "_count", "_bucket", "_sum")) and "exporter" in key[1]:
            need(second.get(key, -1) >= number, f"{key} fell from {number} to {second.get(key)}")
            grown += second.get(key, -1) > number
    need(grown > 20, f"{grown} counters grew")


def measured(connection):
    return (connection.ask("/oskr/latency") or {}).get("count", 0) > 100


def watch(exporter):
    port = int(re.search(r":(\d+)/", exporter.stdout.readline())[1])
    path = telemetry.socket_paths(PREFIX)[PREFIX]
    first = page_read(page_get(port))
    with telemetry.Connection(path) as connection:
        figures_are_right(first, connection)
    time.sleep(0.5)
    counters_grow(first, page_read(page_get(port)))
    try:
        page_get(port, "/nothing")
        need(False, "there is something but /metrics")
    except urllib.error.HTTPError as error:
        need(error.code == 404, f"status {error.code}")
    return port


def main():
    cluster = subprocess.Popen(
        [f"{sys.argv[1]}/oskr-cluster", "--no-huge", "--no-shconf", "-m", "512", "--no-pci",
         "--file-prefix", PREFIX, "--lcores",
         "0@(" + ",".join(map(str, sorted(os.sched_getaffinity(0)))) + ")", "--", "-m", "pbft",
         "-t", "8", "-d", "300", "--idle", "yield", "--quiet"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    exporter = subprocess.Popen(
        [DEPLOY / "exporter", "--prefix", PREFIX, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, text=True)
    try:
        need(telemetry.wait_for(PREFIX, START_S, measured), "the cluster does not answer")
        port = watch(exporter) if failures == 0 else 0
        cluster.send_signal(signal.SIGINT)
        need(cluster.wait(60) == 0, f"oskr-cluster: exit status {cluster.returncode}")
        if port > 0:
            need(not any(metric != "oskr_up" for metric, _ in page_read(page_get(port))),
                 "figures of a process that has ended")
    finally:
        for child in (cluster, exporter):
            child.kill()
            child.wait()
    taken = subprocess.run([DEPLOY / "exporter", "--listen", "nowhere:x"], check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    need(taken.returncode == 2 and not taken.stdout, "a bad --listen is taken")
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
