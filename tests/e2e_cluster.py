#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Short runs of oskr-cluster as its users make them: each must end with exit
status 0, with operations, and without a single error.

    e2e_cluster.py OSKR_CLUSTER [STORY...]

Stories that the machine cannot play (hugepages, a second CPU, an ordinary user)
are skipped and named.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

NO_HUGE = ["--no-huge", "--no-shconf", "-m", "512", "--no-pci"]
MODES = ["unreplicated", "unreplicated-signed", "pbft"]
NOBODY = 65534
TIMEOUT_S = 120
SLOW = os.environ.get("ASAN_OPTIONS") is not None
# What a run measures and warms up that has to give some operations, and no more.
SECONDS, WARM = (0.3, 0.1) if SLOW else (0.2, 0.05)
FIELDS = """
protocol n f instances lcores clients batch adaptive profile auth request_auth reply_auth
app workload seconds operations throughput p50_us p90_us p99_us p999_us max_us mean_us
errors retransmissions view_changes cpu_us_per_op client_busy replica_busy
""".split()

program = ""
folder = ""


class Failed(Exception):
    """A run that was not as it should be."""


class Skipped(Exception):
    """A story that this machine cannot play."""


def need(truth, text):
    if not truth:
        raise Failed(text)


def hugepages_free():
    try:
        with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
                  encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return 0


def need_cpus(count):
    if len(os.sched_getaffinity(0)) < count:
        raise Skipped(f"fewer than {count} CPUs")


def cpus(count):
    return ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:count])


def command(eal, ours, before=()):
    words = list(before) + [program]
    if eal:
        words += list(eal) + [f"--file-prefix=oskr-e2e-{os.getpid()}", "--"]
    return words + list(ours)


def run(ours, eal=(), before=(), seconds=SECONDS, target=folder):
    """Runs to the end and returns the JSON object."""
    return run_shown(ours, eal, before, seconds, target)[0]


def run_shown(ours, eal=(), before=(), seconds=SECONDS, target=folder):
    """Runs to the end and returns the JSON object, and what was printed."""
    path = os.path.join(target or folder, "out.json")
    words = command(eal, ["-d", str(seconds), "--warm", str(WARM), "--json", path] + ours, before)
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    tail = " | ".join((done.stdout + done.stderr).splitlines()[-12:])
    need(done.returncode == 0, f"{' '.join(words)}: exit status {done.returncode}: {tail}")
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    os.unlink(path)
    need(result["errors"] == 0, f"{' '.join(words)}: {result['errors']} errors")
    need(result["operations"] > 0, f"{' '.join(words)}: no operations")
    need("throughput" in done.stdout, "no summary")
    return result, done.stdout + done.stderr


def one_lcore():
    for mode in MODES:
        result = run(["-m", mode], NO_HUGE + ["-l", cpus(1)])
        need(result["lcores"] == 1, "not one lcore")


def two_lcores():
    need_cpus(2)
    for mode in MODES:
        result = run(["-m", mode, "-t", "64"], NO_HUGE + ["-l", cpus(2)])
        need(result["lcores"] == 2, "not two lcores")


def shared_lcores():
    need_cpus(2)
    for mode in MODES:
        result = run(["-m", mode], NO_HUGE + ["--lcores", f"(0-3)@({cpus(2)})"])
        need(result["lcores"] == 4, "not four lcores")


def helping_lcores():
    need_cpus(2)
    for mode in ("unreplicated", "pbft"):
        result = run(["-m", mode, "--profile", "paranoid", "-t", "16", "--helpers", "2"],
                     NO_HUGE + ["--lcores", f"(0-3)@({cpus(2)})"], seconds=1 if SLOW else 0.4)
        need(result["helpers"] == 2 and len(result["lcores_busy"]) == 4, "not two helpers")
        need(result["helper_jobs"] > 0, f"{mode}: helpers did nothing")
        need(all(node["lcore"] < 2 for node in result["nodes"]), "a helper serves a node")


def idle_lcores_help():
    """Each other, where each has a CPU and nobody said that none shall help."""
    need_cpus(2)
    signed = ["-m", "pbft", "--profile", "paranoid", "-t", "4"]
    shared = ["--lcores", f"(0-3)@({cpus(2)})"]
    result = run(signed, NO_HUGE + ["-l", cpus(2)])
    need(result["helpers"] == 0 and result["helper_jobs"] > 0, "idle lcores did not help")
    need(result["signature_us"] > 1 and result["verification_us"] > 1, "signatures take no time")
    result = run([*signed, "--helpers", "0"], NO_HUGE + ["-l", cpus(2)])
    need(result["helper_jobs"] == 0, "they helped though nobody should")
    result = run(signed, NO_HUGE + shared)
    need(result["helper_jobs"] == 0, "lcores that share CPUs helped each other")
    result = run(["-m", "pbft", "--profile", "fast"], NO_HUGE + ["-l", cpus(2)])
    need(result["signature_us"] == 0 and result["verification_us"] == 0,
         "signatures where there are none")


def pillars():
    """Replicas of several lcores: shared, alone, without and with a restart."""
    need_cpus(2)
    for mode in ["unreplicated", "pbft", "hotstuff"]:
        for lcores in [["-l", cpus(2)], ["--lcores", f"(0-4)@({cpus(2)})"]]:
            result = run(["-m", mode, "-t", "64", "--instances", "4", "--pillars", "2"],
                         NO_HUGE + lcores)
            need(result["instances"] == 4, "not four instances")
    run(["-m", "pbft", "--instances", "3", "--pillars", "3", "-w", "echo:3000/3000"],
        NO_HUGE + ["-l", cpus(1)], seconds=0.5)
    run(["-m", "pbft", "--pillars", "1", "-w", "ycsb-a", "--records", "1000", "--read-only"],
        NO_HUGE + ["-l", cpus(2)], seconds=0.5)
    result = run(["-m", "pbft", "-t", "32", "--instances", "4", "--pillars", "2",
                  "--view-timeout", "500", "--kill-leader-at", "0.5", "--restart-at", "1.2"],
                 NO_HUGE + ["-l", cpus(2)], seconds=2.5)
    need(result["view_changes"] > 0, "nobody took the leader's place")


def own_choice():
    """Of lcores by a word of ours; DPDK's arguments by the program itself are in many a story."""
    need(run(["-m", "unreplicated", "--cores", "one"])["lcores"] == 1, "not one lcore")


def hugepages():
    if os.geteuid() != 0 or hugepages_free() < 300:
        raise Skipped("no free hugepages, or not root")
    run(["-m", "unreplicated"], ["--no-pci", "--in-memory", "-l", cpus(1)])
    need(hugepages_free() >= 300, "hugepages are not given back")


def ordinary_user():
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        raise Skipped("not root, or no setpriv: the other stories run as an ordinary user")
    before = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    own = os.path.join(folder, "nobody")
    os.mkdir(own, 0o700)
    os.chown(own, NOBODY, NOBODY)
    copied = os.path.join(own, "oskr-cluster")
    shutil.copy(program, copied)
    os.chown(copied, NOBODY, NOBODY)
    path = os.path.join(own, "out.json")
    for eal in ([], NO_HUGE + ["-l", cpus(1), "--"]):
        words = before + [copied] + eal + ["-m", "unreplicated", "-d", "0.3", "--warm", "0.1",
                                           "--json", path]
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S,
                              check=False, cwd=own)
        need(done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-500:]}")
        with open(path, encoding="utf-8") as file:
            need(json.load(file)["errors"] == 0, "errors")


def authentication():
    """Each way of each direction, and each profile."""
    for request, reply in (("none", "batch"), ("mac", "sign"), ("sign", "mac"), ("mac", "none")):
        result = run(["-m", "unreplicated", "--request-auth", request, "--reply-auth", reply])
        need(result["request_auth"] == request, f"requests are not by {request}")
        need(result["reply_auth"] == reply, f"replies are not by {reply}")
    for profile, request, reply in (("fast", "mac", "mac"), ("seed", "none", "sign"),
                                    ("paranoid", "sign", "sign")):
        result = run(["-m", "unreplicated", "--profile", profile])
        need(result["profile"] == profile, profile)
        need((result["request_auth"], result["reply_auth"]) == (request, reply), f"{result}")
    need(run(["-m", "unreplicated-signed"])["reply_auth"] == "sign", "replies are not signed")


def echo():
    for size in ("0/1", "64/64", "1/65536", "65536/1"):
        run(["-m", "unreplicated", "-t", "8", "-w", f"echo:{size}"])
    run(["-m", "unreplicated", "-t", "2", "-w", "echo:1048576/1048576"], seconds=1)
    run(["-m", "unreplicated-signed", "-t", "2", "-w", "echo:1048576/1048576"], seconds=1)


def ycsb():
    for letter in "abcdef":
        result = run(["-m", "unreplicated", "-w", f"ycsb-{letter}", "--records", "2000"])
        need(result["loaded"] == 2000, f"ycsb-{letter}: {result['loaded']} records loaded")


def lost_frames():
    for extra in (["-t", "64"], ["-t", "16", "-w", "ycsb-a", "--records", "500"]):
        result = run(["-m", "unreplicated", "--drop", "0.1", "--retry", "2"] + extra)
        need(result["retransmissions"] > 0, "nothing was sent again")


def open_loop():
    result = run(["-m", "unreplicated", "--rate", "20000", "-t", "256"], seconds=0.5)
    need(15000 < result["throughput"] < 25000, f"{result['throughput']} operations a second")


def many_clients():
    for mode in MODES:
        result = run(["-m", mode, "-t", "10000"], seconds=1)
        need(result["clients"] == 10000, "not 10,000 clients")


def memory_available_mib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemAvailable:\s+(\d+)", file.read()).group(1)) >> 10


def memory_as_needed():
    # Packets of more than the 512 MiB that are asked for else: chosen so, not told too late.
    if memory_available_mib() < 4096:
        raise Skipped("less than 4 GiB of memory")
    run(["-m", "unreplicated", "-t", "40000", "--mtu", "9216", "--rate", "20000"], seconds=1)


def protocol_figures():
    result, shown = run_shown(["-m", "pbft", "-t", "16"])
    need("protocol    " in shown and "executed seq" in shown, f"no protocol's figures: {shown}")
    replicas = [node for node in result["nodes"] if node["role"] == "replica"]
    need(len(replicas) == 4, f"{len(replicas)} replicas")
    for node in replicas:
        need(node["protocol"]["executed_seq"] > 0, f"nothing executed: {node['protocol']}")
    clients = [node for node in result["nodes"] if node["role"] == "client"]
    need(all("executed_seq" not in node.get("protocol", {}) for node in clients),
         "a client shows a replica's figures")
    need("f = 1" in shown and "n = 4" in shown, "n and f are not shown")
    result, shown = run_shown(["-m", "unreplicated"])
    need("f = " not in shown and result["f"] == 0, "faults where nothing is replicated")


def options_of_replication():
    for extra in (["--tentative"], ["--read-only", "-w", "ycsb-b", "--records", "500"],
                  ["--watch-primary"], ["--checkpoint-interval", "8"],
                  ["--instances", "4", "--leader-offset", "0"],
                  ["--tentative", "--read-only", "-w", "ycsb-a", "--records", "500"]):
        result = run(["-m", "pbft", "-t", "16", "--view-timeout", "1000"] + extra)
        need(result["tentative"] == ("--tentative" in extra), "tentative")
        need(result["read_only"] == ("--read-only" in extra), "read_only")
        need(result["watch_primary"] == ("--watch-primary" in extra), "watch_primary")
        need(result["view_timeout_ms"] == 1000, "view_timeout_ms")
        leaders = sum(node.get("protocol", {}).get("proposals", 0) > 0 for node in result["nodes"])
        need(leaders == 1, f"{leaders} leaders")
    need(result["checkpoint_interval"] == 128, "checkpoint_interval")
    result = run(["-m", "pbft", "-t", "16", "--view-timeout", "1000", "--instances", "4"])
    leaders = sum(node.get("protocol", {}).get("proposals", 0) > 0 for node in result["nodes"])
    need(leaders == 4, f"{leaders} leaders of four instances")


# What a killed leader may cost: the view's timeout and a client's retry, and the machine's mood.
VIEW_TIMEOUT_MS = 1000 if SLOW else 250
GAP_MS_MAX = 8 * VIEW_TIMEOUT_MS


def crash_of(ours, seconds):
    """A run whose leader is killed: the JSON's object of that, and what was printed."""
    extra = ["-t", "16", "--view-timeout", str(VIEW_TIMEOUT_MS)]
    result, shown = run_shown(["-m", "pbft"] + extra + ours, seconds=seconds)
    crash = result["crash"]
    need(crash["replica"] == 0 and crash["view_before"] == 0, f"not the leader: {crash}")
    need(crash["view_after"] > 0 and crash["operations_lost"] == 0, f"{crash}")
    need(crash["gap_ms"] <= GAP_MS_MAX, f"no answer for {crash['gap_ms']} ms")
    need(crash["gap_ms"] >= 1, f"a leader that nobody missed: {crash}")
    need(crash["recovered_ms"] is not None, f"the throughput did not come back: {shown}")
    need("replica 0, primary of view 0, is killed" in shown, f"no line of the kill: {shown}")
    need("0 operations lost" in shown, f"not in the summary: {shown}")
    need("leaves view 0" in shown and "enters view 1" in shown, f"no notes: {shown}")
    need(result["nodes"][0]["drop_down"] > 0, "the dead replica's frames are not counted")
    return crash, shown


def killed_leader():
    crash, shown = crash_of(["--kill-leader-at", "0.5"], 2)
    need(crash["restarted_s"] is None and not crash["caught_up"], f"{crash}")
    need(abs(crash["killed_s"] - 0.5) < 0.5, f"killed at {crash['killed_s']}")
    need("restarted" not in shown, shown)


def restarted_leader():
    at = (1, 2, 5) if SLOW else (0.5, 1.2, 3)
    crash, shown = crash_of(["--kill-leader-at", str(at[0]), "--restart-at", str(at[1])], at[2])
    need(abs(crash["restarted_s"] - at[1]) < 0.5, f"restarted at {crash['restarted_s']}")
    need(crash["caught_up"] and crash["caught_up_ms"] >= 0, f"did not catch up: {shown}")
    for text in ("replica 0 starts anew", "replica 0 has caught up", "has caught up with"):
        need(text in shown, f"'{text}' is not shown: {shown}")


def linearizable(path, *options):
    """oskr-linear's words on a history, which must be linearizable."""
    linear = os.path.join(os.path.dirname(program), "oskr-linear")
    if not os.access(linear, os.X_OK):
        raise Skipped("no oskr-linear beside the program")
    done = subprocess.run([linear, *options, path], capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)
    need(done.returncode == 0, f"not linearizable: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.stdout


def reads_linearizable():
    """Reads beside the order, among writes: the witness finds a place for each of them."""
    path = os.path.join(folder, "history")
    for workload in ("ycsb-a", "ycsb-e"):
        run(["-m", "pbft", "--read-only", "-w", workload, "--records", "200", "-t", "16",
             "--history", path])
        said = linearizable(path, "--check", "witness")
        placed = int(re.search(r"(\d+) reads placed", said).group(1))
        need(placed >= 20, f"{workload}: only {placed} reads had to be placed: {said}")


def killed_leader_linearizable():
    path = os.path.join(folder, "history")
    crash_of(["--kill-leader-at", "0.5", "--restart-at", "1.2", "-w", "ycsb-a", "--records", "200",
              "--rate", "4000", "--history", path], 3)
    linearizable(path)


def pillars_linearizable():
    path = os.path.join(folder, "pillars")
    crash_of(["--kill-leader-at", "0.5", "--restart-at", "1.2", "-w", "ycsb-a", "--records", "200",
              "--instances", "4", "--pillars", "2", "--rate", "4000", "--history", path], 3)
    linearizable(path)


def json_fields():
    result = run(["-m", "unreplicated-signed", "-t", "7"])
    missing = [field for field in FIELDS if field not in result]
    need(not missing, f"missing in the JSON: {' '.join(missing)}")
    need(result["protocol"] == "unreplicated-signed" and result["clients"] == 7, "wrong fields")
    need(0 < result["p50_us"] <= result["p90_us"] <= result["p99_us"] <= result["p999_us"],
         "percentiles do not ascend")
    need(result["p999_us"] <= result["max_us"] * 1.01, "a percentile above the maximum")
    rate = result["operations"] / result["seconds"]
    need(abs(rate - result["throughput"]) < 0.01 * rate, "throughput is not operations a second")
    need(0 <= result["client_busy"] <= 1 and 0 <= result["replica_busy"] <= 1, "busy shares")


def hgrm():
    path = os.path.join(folder, "out.hgrm")
    result = run(["-m", "unreplicated", "--hgrm", path])
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    rows = [line.split() for line in lines if re.match(r"\s*[0-9.]+\s+[0-9.]+\s+[0-9]+", line)]
    need(len(rows) > 5, "no rows in the .hgrm file")
    need(int(rows[-1][2]) == result["operations"], "the .hgrm file counts other operations")
    percentiles = [float(row[1]) for row in rows]
    need(percentiles == sorted(percentiles) and percentiles[-1] == 1, "percentiles")


def start(seconds, extra=(), eal=(), mode="unreplicated"):
    words = command(eal, ["-m", mode, "-d", str(seconds), "--warm", "0"] + list(extra))
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_line(process, text):
    """Until the line that tells of the first second."""
    for line in process.stdout:
        if text in line:
            return
    raise Failed(f"ended before '{text}': {process.stderr.read()[-500:]}")


def interrupted():
    path = os.path.join(folder, "interrupted.json")
    process = start(60, ["--json", path])
    wait_for_line(process, "ops/s")
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    need(process.returncode == 0, f"SIGINT: exit status {process.returncode}: {err[-500:]}")
    need(time.monotonic() - begin < (30 if SLOW else 5), "SIGINT: took too long")
    need("throughput" in out and "interrupted" in out, "SIGINT: no summary")
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    need(result["interrupted"] and result["errors"] == 0, "SIGINT: wrong results")


def interrupted_twice():
    # Nothing is answered any more when nine frames in ten are lost: the end takes its time.
    process = start(60, ["--drop", "0.9", "--retry", "60000", "-t", "1000"])
    wait_for_line(process, "ops/s")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    need(process.poll() is None, "ended though answers are missing")
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    need(time.monotonic() - begin < 1, "the second SIGINT does not end it at once")
    need(process.returncode != 0, "the second SIGINT ends with status 0")


def runtime_folder():
    if os.geteuid() == 0:
        return "/var/run"
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return given if os.access(given, os.W_OK | os.X_OK) else f"/tmp/oskr-{os.geteuid()}"


def ask(connection, text):
    connection.send(text.encode())
    return json.loads(connection.recv(65536).decode())


def ask_all(connection, command):
    """All parts of an answer that may be too long for one."""
    part = ask(connection, command)[command]
    rows = dict(part)
    while "next" in part:
        asked = f"{command},{part['next']}"
        part = ask(connection, asked)[command]
        rows.update(part)
    return rows


def telemetry():
    for mode in ("unreplicated", "pbft"):
        telemetry_of(mode)


def pool_is_shown(stats):
    size, free, used, least = (stats[f"pool_oskr/{name}"]
                               for name in ("size", "available", "used", "available_min"))
    # Envelopes that lie ready are taken all the time, and a run that works has buffers left.
    need(free + used == size and 0 < used < size, f"pool: {free} + {used} of {size}")
    need(0 < least < size, f"pool: the low-water mark is {least} of {size}")


def telemetry_of(mode):
    eal = NO_HUGE + ["-l", cpus(1)]
    process = start(60, eal=eal, mode=mode)
    try:
        wait_for_line(process, "ops/s")
        path = f"{runtime_folder()}/dpdk/oskr-e2e-{os.getpid()}/dpdk_telemetry.v2"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(10)
            connection.connect(path)
            need("pid" in json.loads(connection.recv(65536).decode()), "no greeting")
            commands = ask(connection, "/")["/"]
            need("/oskr/info" in commands and "/oskr/stats" in commands, f"{commands}")
            info = ask(connection, "/oskr/info")["/oskr/info"]
            need(info["protocol"] == mode and info["clients"] == 64, f"{info}")
            need(("f" in info) == (mode == "pbft"), f"{info}")
            first = ask_all(connection, "/oskr/stats")
            time.sleep(0.2)
            second = ask_all(connection, "/oskr/stats")
        growing = ["client_0/completed", "replica_0/executed", "lcore_0/busy_cycles"]
        if mode == "pbft":
            growing += ["replica_3/protocol/executed_seq", "replica_0/protocol/proposals"]
            need("replica_1/transfer_begun" in first, "no counters of state transfer")
        for name in growing:
            need(0 < first[name] < second[name], f"{name} does not grow")
        need("replica_0/drop_frame_short" in first, "no reasons for drops")
        pool_is_shown(first)
        pool_is_shown(second)
        need(second["pool_oskr/available_min"] <= first["pool_oskr/available_min"],
             "a low-water mark rises")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    need(process.returncode == 0, f"exit status {process.returncode}")


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def traced():
    """DPDK's recorder has a view change, commits and checkpoints."""
    with tempfile.TemporaryDirectory() as place:
        run(["-m", "pbft", "--kill-leader-at", "0.3", "--view-timeout", "50"], seconds=1,
            eal=NO_HUGE + ["-l", cpus(1), "--trace=oskr.*", f"--trace-dir={place}"])
        shown = subprocess.run(["babeltrace2", place], capture_output=True, text=True,
                               check=False, timeout=TIMEOUT_S)
    need(shown.returncode == 0, f"babeltrace2: {shown.stderr[-300:]}")
    commits = re.findall(r"oskr\.replica\.commit: .* replica = (\w+), position = (\w+)",
                         shown.stdout)
    need({int(replica, 16) for replica, _ in commits} == {0, 1, 2, 3}, "not all replicas commit")
    positions = [int(position, 16) for replica, position in commits if replica == "0x1"]
    need(positions == sorted(positions) and positions[-1] > 10, f"positions {positions[-5:]}")
    need(re.search(r"oskr\.replica\.checkpoint: .* stable = 0x[1-9a-f]", shown.stdout),
         "no checkpoint")
    need(re.search(r"oskr\.node\.note: .* who = \"replica\", .* text = \"enters view",
                   shown.stdout), "no view change")


def memory_is_constant():
    """Of three that run at once: it is their memory that is looked at, not their speed."""
    extras = (["-t", "1000"], ["-t", "8", "-w", "echo:30000/30000"],
              ["-w", "ycsb-f", "--records", "2000"])
    processes = [start(60, extra + ["--idle", "yield"]) for extra in extras]
    try:
        for process in processes:
            wait_for_line(process, "run ")
        time.sleep(0.5)
        first = [rss_kib(process.pid) for process in processes]
        time.sleep(1.5)
        second = [rss_kib(process.pid) for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            process.communicate(timeout=TIMEOUT_S)
    for i, extra in enumerate(extras):
        need(processes[i].returncode == 0, f"{extra}: exit status {processes[i].returncode}")
        growth = second[i] - first[i]
        need(growth < (65536 if SLOW else 1024), f"{extra}: grew by {growth} KiB in 1.5 s")


STORIES = [one_lcore, two_lcores, shared_lcores, helping_lcores, idle_lcores_help, pillars,
           own_choice, hugepages, ordinary_user, authentication, echo, ycsb, lost_frames,
           open_loop, many_clients, memory_as_needed, protocol_figures, options_of_replication,
           killed_leader, restarted_leader, killed_leader_linearizable, pillars_linearizable,
           reads_linearizable, json_fields, hgrm, interrupted, interrupted_twice, telemetry,
           traced, memory_is_constant]


def main():
    global program, folder
    program = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        for story in STORIES:
            name = story.__name__
            if wanted and name not in wanted:
                continue
            begin = time.monotonic()
            try:
                story()
                outcome = "ok"
            except Skipped as reason:
                outcome = f"skipped ({reason})"
            except (Failed, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as fault:
                failed += 1
                outcome = f"FAILED: {fault!r}"
            print(f"{name:20} {time.monotonic() - begin:6.1f} s  {outcome}", flush=True)
    print(f"{failed} stories failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
