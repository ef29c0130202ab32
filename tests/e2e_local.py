#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/local.sh: rehearsals over each network, faults on the way, and its manners.

Usage: e2e_local.py BUILD-FOLDER [STORY...]
A story that this machine cannot tell (no root, no namespaces, no TAP) says so as "skipped".
"""
import glob
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
from pathlib import Path

LOCAL = str(Path(__file__).resolve().parent.parent / "deploy" / "local.sh")
LUA = Path(__file__).resolve().parent.parent / "deploy" / "wireshark" / "oskr.lua"
TIMEOUT_S = 240
NOBODY = "65534"
build = folder = None


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def need(holds, text):
    if not holds:
        raise Failed(text)


def leftovers():
    """What rehearsals make beside their results."""
    spaces = subprocess.run(["ip", "netns", "list"], stdout=subprocess.PIPE, text=True,
                            check=False).stdout
    return (set(re.findall(r"^oskr-[0-9a-f]+-\w+", spaces, flags=re.MULTILINE)),
            set(glob.glob("/tmp/oskr-run-*")))


def namespaces_needed():
    if os.geteuid() != 0:
        raise Skipped("not root")
    if subprocess.run(["unshare", "-n", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skipped("no network namespaces here")


def rehearse(network, mode, *words, options=("-t", "8", "-d", "2")):
    """A rehearsal that must go well: the client's result, and the folder of all results."""
    out = tempfile.mkdtemp(dir=folder)
    done = subprocess.run(
        [LOCAL, network, "-m", mode, "--build", build, "--out", out, *words, "--", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
    need(done.returncode == 0, f"exit status {done.returncode}: {done.stdout} {done.stderr}")
    verdict = [line for line in done.stdout.splitlines() if f" over {network}, " in line]
    need(len(verdict) == 1 and verdict[0].endswith(" 0 errors"), f"the verdict: {done.stdout}")
    result = json.loads(Path(out, "client.json").read_text(encoding="utf-8"))
    need(result["operations"] > 0 and result["errors"] == 0, "the client's result")
    return result, Path(out)


def modes():
    done = subprocess.run([f"{build}/oskr-cluster", "--modes"], stdout=subprocess.PIPE, text=True,
                          check=True)
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


def every_mode_over_memif():
    for mode in modes():
        rehearse("memif", mode)


def every_mode_over_namespaces():
    namespaces_needed()
    for mode in modes():
        rehearse("netns", mode)


def over_tap():
    namespaces_needed()
    if not os.path.exists("/dev/net/tun"):
        raise Skipped("no /dev/net/tun")
    rehearse("tap", "pbft")


def over_xdp():
    namespaces_needed()
    try:
        socket.socket(44, socket.SOCK_RAW).close()  # AF_XDP
    except OSError:
        raise Skipped("no AF_XDP sockets here") from None
    rehearse("xdp", "pbft")


def leader_killed_and_restarted(network="memif"):
    _, out = rehearse(network, "pbft", "--kill", "0@2s", "--restart", "0@4s",
                      options=("-t", "8", "-d", "8"))
    log = (out / "r0.log").read_text(encoding="utf-8")
    need(log.count("$ ") == 2 and "restarted without its memory" in log, "it did not start twice")
    views = [value for index in range(1, 4)
             for name, value in json.loads((out / f"r{index}.view.json").read_text()).items()
             if name.endswith("/view")]
    need(len(views) == 3 and min(views) >= 1, f"the views without replica 0: {views}")


def leader_killed_and_restarted_netns():
    namespaces_needed()
    leader_killed_and_restarted("netns")


def kv_survives_a_restart():
    rehearse("memif", "pbft", "--all", "--app kv", "--kill", "0@2s", "--restart", "0@3s",
             options=("-t", "8", "-d", "5", "-w", "ycsb-a", "--records", "500"))


def links(out):
    """{(from, to): {counter: value}} of the switch."""
    stats = json.loads((out / "switch.stats.json").read_text(encoding="utf-8"))
    table = {}
    for name, value in stats.items():
        match = re.fullmatch(r"link_(\w+)_(\w+)/(\w+)", name)
        if match:
            table.setdefault((match[1], match[2]), {})[match[3]] = value
    return table


def loss_partition_and_heal():
    faults = ["loss 10%", "at 2 partition r0 | r1 r2 r3", "at 4 heal", "at 4 delay 200us 100us",
              "at 5 duplicate 5%", "at 5 corrupt 2%"]
    words = [word for line in faults for word in ("--fault", line)]
    _, out = rehearse("memif", "pbft", *words, options=("-t", "8", "-d", "7"))
    table = links(out)
    need(len(table) == 20, f"{len(table)} links")
    total = {name: sum(link[name] for link in table.values())
             for name in ("frames", "lost", "cut", "delayed", "duplicated", "corrupted")}
    passed = total["frames"] - total["cut"]
    need(0.07 < total["lost"] / passed < 0.13, f"10 % loss: {total}")
    need(all(total[name] > 0 for name in ("cut", "delayed", "duplicated", "corrupted")), f"{total}")
    for pair, link in table.items():
        inside = "r0" not in pair or "client" in pair
        need(inside or link["cut"] > 0, f"the partition did not cut {pair}")
        need(not inside or link["cut"] == 0, f"the partition cut {pair}")
        need(link["is_cut"] == 0, f"{pair} was not healed")


def as_ordinary_user():
    if os.geteuid() != 0:
        raise Skipped("not root: the other stories are of an ordinary user")
    out = tempfile.mkdtemp(dir=folder)
    os.chown(out, int(NOBODY), int(NOBODY))
    done = subprocess.run(
        ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", LOCAL, "memif", "-m",
         "pbft", "--build", build, "--out", out, "--", "-t", "4", "-d", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S,
        check=False, cwd="/", env={"PATH": os.environ["PATH"], "HOME": "/"})
    need(done.returncode == 0, done.stdout)


def captured_frames_are_dissected():
    namespaces_needed()
    if shutil.which("dumpcap") is None or shutil.which("tshark") is None:
        raise Skipped("no tshark")
    out = tempfile.mkdtemp(dir=folder)
    capture = f"{folder}/bridge.pcap"
    before = leftovers()[0]
    child = subprocess.Popen(
        [LOCAL, "netns", "-m", "pbft", "--build", build, "--out", out, "-q", "--", "-t", "4", "-d",
         "4"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        spaces, end = set(), time.monotonic() + 60
        while not spaces and time.monotonic() < end:
            spaces = {name for name in leftovers()[0] - before if name.endswith("-bridge")}
            time.sleep(0.1)
        need(len(spaces) == 1, "no bridge")
        time.sleep(1)
        subprocess.run(["ip", "netns", "exec", spaces.pop(), "dumpcap", "-q", "-i", "br0", "-w",
                        capture, "-c", "500", "-a", "duration:30"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    finally:
        need(child.wait(TIMEOUT_S) == 0, "the rehearsal failed")
    done = subprocess.run(
        ["tshark", "-X", f"lua_script:{LUA}", "-r", capture, "-Y", "oskr", "-T", "fields", "-e",
         "oskr.protocol_name", "-e", "oskr.type_name", "-e", "oskr.malformed"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        env={**os.environ, "HOME": folder})
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    seen = {(row[0], row[1]) for row in rows}
    need(len(rows) > 100 and not any(row[2] for row in rows), f"{len(rows)} messages")
    for kind in ("PRE_PREPARE", "PREPARE", "COMMIT", "REQUEST", "REPLY"):
        need(("pbft", kind) in seen, f"no {kind} among {sorted(seen)}")


def interrupted_leaves_nothing():
    before = leftovers()
    network = "netns" if os.geteuid() == 0 else "memif"
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        out = tempfile.mkdtemp(dir=folder)
        child = subprocess.Popen(
            [LOCAL, network, "-m", "pbft", "--build", build, "--out", out, "--", "-d", "60"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 120
        while not os.path.exists(f"{out}/client.log") and time.monotonic() < end:
            time.sleep(0.1)
        child.send_signal(number)
        _, said = child.communicate(timeout=60)
        need(child.returncode == status and said == "local: interrupted\n", f"{said}")
        left = subprocess.run(["pgrep", "-f", f"json {out}/client.json"], check=False,
                              stdout=subprocess.PIPE, text=True).stdout
        need(left == "", f"processes {left} are left")
    need(leftovers() == before, f"left: {leftovers()}, before: {before}")


def a_dead_replica_is_told():
    out = tempfile.mkdtemp(dir=folder)
    done = subprocess.run(
        [LOCAL, "memif", "-m", "pbft", "--build", build, "--out", out,
         "--replicas=--no-such-option", "--", "-d", "2"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
    need(done.returncode == 1, f"exit status {done.returncode}")
    need(re.search(r"^local: FAILED: r\d did not start: .*no-such-option", done.stderr,
                   flags=re.MULTILINE) is not None, done.stderr)


def bad_options_are_refused():
    cases = [
        ([], "the following arguments are required"),
        (["wire", "-m", "pbft"], "invalid choice: 'wire'"),
        (["memif"], "the following arguments are required: -m"),
        (["memif", "-m", "pbft", "-n", "65"], "'65' is no number 1..64"),
        (["memif", "-m", "pbft", "--kill", "0"], "'0' is not REPLICA@SECONDS, as 0@3s"),
        (["memif", "-m", "pbft", "--kill", "4@1s"], "--kill 4: there are replicas 0..3"),
        (["memif", "-m", "pbft", "--script", "/none"], "--script /none: no such file"),
        (["memif", "-m", "pbft", "--build", "/none"], "/none/oskr-replica is not there"),
    ]
    if os.geteuid() == 0:
        cases.append((["netns", "-m", "pbft", "--fault", "heal"], "need oskr-switch"))
    else:
        cases.append((["netns", "-m", "pbft"], "netns needs root; memif does not"))
    for words, text in cases:
        given = [] if "/none" in words or not words else ["--build", build]
        done = subprocess.run([LOCAL, *words, *given], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        need(done.returncode == 2 and done.stdout == "", f"{words}: {done.returncode}")
        need(text in done.stderr and done.stderr.count("\n") == 1, f"{words}: {done.stderr}")


STORIES = [bad_options_are_refused, a_dead_replica_is_told, every_mode_over_memif,
           every_mode_over_namespaces, over_tap, over_xdp, leader_killed_and_restarted,
           leader_killed_and_restarted_netns, kv_survives_a_restart, loss_partition_and_heal,
           as_ordinary_user, captured_frames_are_dissected, interrupted_leaves_nothing]


def main():
    global build, folder
    build, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        for story in STORIES:
            if wanted and story.__name__ not in wanted:
                continue
            begin = time.monotonic()
            try:
                story()
                outcome = "ok"
            except Skipped as reason:
                outcome = f"skipped ({reason})"
            except (Failed, OSError, KeyError, ValueError, subprocess.SubprocessError) as fault:
                failed += 1
                outcome = f"FAILED: {fault}"
            print(f"{story.__name__:34} {time.monotonic() - begin:6.1f} s  {outcome}", flush=True)
    print(f"{failed} stories failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
