#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Broken command lines: each ends at once with exit status 2, one line that names
the fault on stderr, nothing on stdout, and no output file.

    e2e_bad_start.py OSKR_CLUSTER
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

# DPDK's arguments of starts that would work.
EAL = ["--no-huge", "--no-shconf", "-m", "64", "--no-pci", "--no-telemetry"]
GOOD = ["-m", "unreplicated", "-d", "0.1"]
PBFT = ["-m", "pbft", "-d", "1"]

# (a word that the line must have, arguments). OUT stands for a file that must not appear.
OURS = [
    ("mode", []),
    ("mode", ["-d", "1"]),
    ("nosuch", ["-m", "nosuch"]),
    ("-m", ["-m"]),
    ("--nonsense", GOOD + ["--nonsense"]),
    ("-y", GOOD + ["-y"]),
    ("stray", GOOD + ["stray"]),
    ("-f", GOOD + ["-f", "-1"]),
    ("-f", GOOD + ["-f", "32"]),
    ("--replicas", GOOD + ["-n", "65"]),
    ("--clients", GOOD + ["-t", "0"]),
    ("--clients", GOOD + ["-t", "65536"]),
    ("--clients", GOOD + ["-t", "many"]),
    ("--clients", GOOD + ["-t", ""]),
    ("--clients", GOOD + ["-t", "12x"]),
    ("--clients", GOOD + ["-t", "99999999999999999999"]),
    ("-b", GOOD + ["-b", "0"]),
    ("-b", GOOD + ["-b", "4097"]),
    ("--window", GOOD + ["--window", "0"]),
    ("--instances", GOOD + ["--instances", "65"]),
    ("--seconds", ["-m", "unreplicated", "-d", "0"]),
    ("--seconds", ["-m", "unreplicated", "-d", "nan"]),
    ("--seconds", ["-m", "unreplicated", "-d", "-3"]),
    ("--warm", GOOD + ["--warm", "-1"]),
    ("--retry", GOOD + ["--retry", "0"]),
    ("--rate", GOOD + ["--rate", "-5"]),
    ("--profile", GOOD + ["--profile", "slow"]),
    ("--auth", GOOD + ["--auth", "none"]),
    ("--request-auth", GOOD + ["--request-auth", "batch"]),
    ("--reply-auth", GOOD + ["--reply-auth", "maybe"]),
    ("--app", GOOD + ["--app", "sql"]),
    ("--app-memory", GOOD + ["--app-memory", "0"]),
    ("-w", GOOD + ["-w", "ycsb-g"]),
    ("-w", GOOD + ["-w", "echo:1"]),
    ("-w", GOOD + ["-w", "echo:1/1048577"]),
    ("ycsb-a", GOOD + ["--app", "echo", "-w", "ycsb-a"]),
    ("--request-size", GOOD + ["-w", "echo", "--request-size", "1048577"]),
    ("--records", GOOD + ["-w", "ycsb-a", "--records", "0"]),
    ("--record-size", GOOD + ["-w", "ycsb-a", "--record-size", "15"]),
    ("--distribution", GOOD + ["-w", "ycsb-a", "--distribution", "normal"]),
    ("--mtu", GOOD + ["--mtu", "575"]),
    ("--mtu", GOOD + ["--mtu", "9217"]),
    ("--drop", GOOD + ["--drop", "1"]),
    ("--drop", GOOD + ["--drop", "-0.1"]),
    ("--cores", GOOD + ["--cores", "3"]),
    ("--idle", GOOD + ["--idle", "nap"]),
    ("--log-level", GOOD + ["--log-level", "oskr"]),
    ("--log-level", GOOD + ["--log-level", "oskr:loud"]),
    ("--json", GOOD + ["--json"]),
    ("/nonexistent/out", GOOD + ["--json", "/nonexistent/out"]),
    ("/nonexistent/out", GOOD + ["--hgrm", "/nonexistent/out"]),
    ("/nonexistent/out", GOOD + ["--json", "OUT", "--hgrm", "/nonexistent/out"]),
    ("/nonexistent/out", GOOD + ["-w", "ycsb-a", "--history", "/nonexistent/out"]),
    ("--app kv", GOOD + ["--history", "OUT"]),
    ("--checkpoint-interval", PBFT + ["--checkpoint-interval", "0"]),
    ("--checkpoint-interval", PBFT + ["--checkpoint-interval", "1025"]),
    ("--window", PBFT + ["--checkpoint-interval", "7"]),
    ("--view-timeout", PBFT + ["--view-timeout", "0"]),
    ("--view-timeout", PBFT + ["--view-timeout", "soon"]),
    ("--kill-leader-at", PBFT + ["--kill-leader-at", "0"]),
    ("--seconds", PBFT + ["--kill-leader-at", "1"]),
    ("--faults", PBFT + ["-f", "0", "--kill-leader-at", "0.5"]),
    ("--kill-leader-at", PBFT + ["--restart-at", "0.5"]),
    ("--restart-at", PBFT + ["--kill-leader-at", "0.5", "--restart-at", "0.5"]),
    ("--restart-at", PBFT + ["--kill-leader-at", "0.5", "--restart-at", "2"]),
    ("--kill-leader-at", GOOD + ["--kill-leader-at", "0.1"]),
    ("--restart-at", GOOD + ["--restart-at", "0.1"]),
    ("--tentative", GOOD + ["--tentative"]),
    ("--tentative", PBFT + ["--tentative", "--instances", "2"]),
    ("--read-only", GOOD + ["--read-only"]),
    ("--watch-primary", GOOD + ["--watch-primary"]),
    ("--view-timeout", GOOD + ["--view-timeout", "10"]),
    ("--checkpoint-interval", GOOD + ["--checkpoint-interval", "64"]),
    ("--clients", GOOD + ["--json", "OUT", "-t", "0"]),
    # More than any memory there is: told before anything runs.
    ("memory", GOOD + ["--json", "OUT", "-w", "ycsb-a", "--records", "1000000",
                       "--app-memory", "1"]),
]

DPDK = [
    ("--bogus", ["--bogus"]),
    ("-Z", ["-Z"]),
    ("-m", ["-m"]),
    ("1000", EAL + ["-l", "1000"]),
    ("0-77", EAL + ["-l", "0-77"]),
    ("lcores", EAL + ["-l", "zero"]),
    ("lcores", EAL + ["--lcores", "(0-"]),
    ("--main-lcore", EAL + ["-l", "0", "--main-lcore", "1"]),
    ("exclude", ["--no-huge", "--in-memory"]),
    ("-m", ["--in-memory", "--no-pci", "-m", "99999999"]),
    ("--proc-type", EAL + ["--proc-type", "secondary"]),
    ("net_nosuch0", EAL + ["--vdev", "net_nosuch0"]),
    ("net_af_packet0", EAL + ["--vdev", "net_af_packet0,iface=nosuch0"]),
    ("--bogus", ["--bogus", "OUTPUT"]),
    ("99:00.0", ["--no-huge", "--no-shconf", "-m", "64", "--no-telemetry", "-a", "99:00.0"]),
    ("128", ["--no-pci"] * 129),
    ("--helpers", EAL + ["-l", "0", "HELPERS"]),
    # Too little for the packets of so many clients.
    ("-m", EAL + ["CLIENTS"]),
]


def judge(program, word, arguments, folder):
    """What is wrong with how the program ended, or None."""
    out = os.path.join(folder, "out")
    arguments = [out if a == "OUT" else a for a in arguments]
    try:
        done = subprocess.run([program] + arguments, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "still running after 60 s"
    lines = done.stderr.splitlines()
    last = lines[-1] if lines else ""
    if done.returncode != 2:
        return f"exit status {done.returncode}, last line '{last}'"
    if done.stdout and not done.stdout.startswith("eal: "):
        return f"on stdout: {done.stdout[:200]!r}"
    # What DPDK itself has to say of a device may come before.
    before = [line for line in lines[:-1] if "--vdev" not in arguments or "oskr" in line]
    if before:
        return f"{len(lines)} lines on stderr: {done.stderr[:600]!r}"
    if not last.startswith("oskr-cluster: ") and not last.startswith(program + ": "):
        return f"does not say who speaks: '{last}'"
    if word not in last:
        return f"does not name '{word}': '{last}'"
    if not last.isprintable() or len(last) > 500:
        return f"no clear line: {last!r}"
    if os.path.exists(out):
        return "left an output file behind"
    return None


def play(program, word, arguments):
    with tempfile.TemporaryDirectory() as folder:
        return judge(program, word, arguments, folder)


def main():
    program = os.path.abspath(sys.argv[1])
    cases = [(word, arguments) for word, arguments in OURS]
    for word, arguments in DPDK:
        ours = GOOD + ["-t", "60000"] if "CLIENTS" in arguments else GOOD
        if "HELPERS" in arguments:
            ours = GOOD + ["--helpers", "1"]
        if "OUTPUT" in arguments:
            ours = GOOD + ["--json", "OUT", "--hgrm", "OUT"]
        arguments = [a for a in arguments if a not in ("CLIENTS", "HELPERS", "OUTPUT")]
        cases.append((word, arguments + ["--"] + ours))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        faults = pool.map(lambda case: play(program, *case), cases)
    for (_, arguments), fault in zip(cases, faults):
        if fault is not None:
            failed += 1
            print(f"FAILED  {' '.join(arguments)[:120]}\n        {fault}")
    print(f"{len(cases)} broken starts, {failed} not as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
