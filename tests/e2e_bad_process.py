#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Broken starts of oskr-replica and oskr-client: files, keys, ports and options that
do not fit. Each ends at once with exit status 2 and one line that names the fault as
the last on stderr, and leaves no output file and no note of having run.

    e2e_bad_process.py BUILD
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

import e2e_process_rig as rig

EAL = ["--no-huge", "--no-shconf", "-m", "128", "--no-pci", "--no-telemetry", "-l",
       str(rig.cpus()[0])]
NULL = ["--vdev=net_null0"]
VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
NOBODY = 65534


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def other_owner(folder):
    if os.geteuid() != 0:
        raise rig.Skipped("only root can give a file away")
    os.chown(f"{folder}/quad-0.pem", NOBODY, NOBODY)


def open_mode(folder):
    os.chmod(f"{folder}/quad-0.pem", 0o640)


def vector(name, target, mode=0o600):
    def act(folder):
        shutil.copy(os.path.join(VECTORS, name), os.path.join(folder, target))
        os.chmod(os.path.join(folder, target), mode)
    return act


def swap(a, b):
    def act(folder):
        shutil.copy(f"{folder}/{a}", f"{folder}/{b}")
    return act


def remove(name):
    return lambda folder: os.unlink(f"{folder}/{name}")


def link(folder):
    os.rename(f"{folder}/quad-0.pem", f"{folder}/elsewhere.pem")
    os.symlink("elsewhere.pem", f"{folder}/quad-0.pem")


def ran(text):
    return lambda folder: write(f"{folder}/quad-0.ran", text)


def nothing(folder):
    del folder


# (word that the line must have, what is done to the folder, program, EAL's devices, options)
R, C = "oskr-replica", "oskr-client"
GOOD_R = ["-m", "pbft", "-c", "quad", "-i", "0"]
GOOD_C = ["-m", "pbft", "-c", "quad"]
CASES = [
    ("--mode", nothing, R, NULL, ["-c", "quad", "-i", "0"]),
    ("--cluster", nothing, R, NULL, ["-m", "pbft", "-i", "0"]),
    ("--cluster", nothing, C, NULL, ["-m", "pbft"]),
    ("--index", nothing, R, NULL, ["-m", "pbft", "-c", "quad"]),
    ("nowhere", nothing, R, NULL, ["-m", "pbft", "-c", "nowhere", "-i", "0"]),
    ("regular file", nothing, R, NULL, ["-m", "pbft", "-c", ".", "-i", "0"]),
    ("quad:1:", lambda f: write(f"{f}/quad", "nonsense\n"), R, NULL, GOOD_R),
    ("quad:1:", lambda f: write(f"{f}/quad", "f 2\n"), R, NULL, GOOD_R),
    ("0..3", nothing, R, NULL, ["-m", "pbft", "-c", "quad", "-i", "4"]),
    ("--index", nothing, R, NULL, ["-m", "pbft", "-c", "quad", "-i", "64"]),
    ("only replica 0", nothing, R, NULL, ["-m", "unreplicated", "-c", "quad", "-i", "1"]),
    ("client nodes 0..0", nothing, C, NULL, GOOD_C + ["-i", "1"]),
    ("--clients", nothing, C, NULL, GOOD_C + ["-t", "257"]),
    ("--slots", nothing, C, NULL, GOOD_C + ["--slots", "65536"]),
    ("--slots", vector("test-0.pub", "quad-client-1.pub"), R, NULL,
     GOOD_R + ["--slots", "40000"]),
    ("-n", nothing, R, NULL, GOOD_R + ["-n", "4"]),
    ("--life", nothing, R, NULL, GOOD_R + ["--life", "0"]),
    ("--ip", nothing, C, NULL, GOOD_C + ["--ip", "300.1.1.1"]),
    ("--ip", nothing, C, NULL, GOOD_C + ["--ip", "224.1.1.1"]),
    ("-d", nothing, R, NULL, GOOD_R + ["-d", "1"]),
    ("/nonexistent/out", nothing, C, NULL, GOOD_C + ["--json", "/nonexistent/out"]),
    ("quad-0.pem", remove("quad-0.pem"), R, NULL, GOOD_R),
    ("quad-2.pub", remove("quad-2.pub"), R, NULL, GOOD_R),
    ("keygen.sh --add quad 4 1", remove("quad-2.pub"), C, NULL, GOOD_C),
    ("quad-client-0.pub", remove("quad-client-0.pub"), R, NULL, GOOD_R),
    ("quad-client-0.pem", remove("quad-client-0.pem"), C, NULL, GOOD_C),
    ("another user", other_owner, R, NULL, GOOD_R),
    ("chmod 600", open_mode, R, NULL, GOOD_R),
    ("symbolic link", link, R, NULL, GOOD_R),
    ("secp256k1", vector("other-curve.pem", "quad-0.pem"), R, NULL, GOOD_R),
    ("secp256k1", vector("other-curve.pub", "quad-1.pub"), R, NULL, GOOD_R),
    ("encrypted", vector("encrypted.pem", "quad-0.pem"), R, NULL, GOOD_R),
    ("does not belong", swap("quad-1.pem", "quad-0.pem"), R, NULL, GOOD_R),
    ("does not belong", swap("quad-1.pem", "quad-client-0.pem"), C, NULL, GOOD_C),
    ("the same key", swap("quad-1.pub", "quad-3.pub"), R, NULL, GOOD_R),
    ("the same key", swap("quad-1.pub", "quad-client-0.pub"), C, NULL, GOOD_C),
    ("quad-0.ran", ran("nonsense\n"), R, NULL, GOOD_R),
    ("quad-0.ran", ran(""), R, NULL, GOOD_R),
    ("quad-0.ran", ran("1"), R, NULL, GOOD_R),
    ("/nonexistent/note", nothing, R, ["MAC"], GOOD_R + ["--state", "/nonexistent/note"]),
    ("no DPDK port", nothing, R, [], GOOD_R),
    ("no DPDK port", nothing, C, [], GOOD_C),
    ("net_nosuch0", nothing, C, ["--vdev=net_nosuch0"], GOOD_C),
    ("net_af_packet0", nothing, C, ["--vdev=net_af_packet0,iface=nosuch0"], GOOD_C),
    ("--port", nothing, C, NULL + ["--vdev=net_null1"], GOOD_C),
    ("net_null7", nothing, C, NULL, GOOD_C + ["--port", "net_null7"]),
    ("--port", nothing, C, NULL, GOOD_C + ["--port", "9"]),
    ("the cluster file says", nothing, R, NULL, GOOD_R),
    ("oskr-switch", nothing, C, ["--vdev=net_memif0,role=client,id=0,socket=/tmp/oskr-nobody.sock,"
                                 "socket-abstract=no"], GOOD_C),
    ("lcores", nothing, R, ["MAC"], GOOD_R + ["--queues", "2"]),
    ("-m", nothing, C, NULL + ["TIGHT"], GOOD_C + ["--mtu", "9000"]),
]


def judge(build, case, folder):
    """What is wrong with how the program ended, or None."""
    word, act, program, devices, ours = case
    act(folder)
    if "MAC" in devices:
        devices = [f"--vdev=net_memif0,role=server,id=0,mac={rig.MACS[0]},socket-abstract=no,"
                   f"socket={folder}/s.sock"]
    eal = list(EAL)
    if "TIGHT" in devices:
        devices = [d for d in devices if d != "TIGHT"]
        eal[eal.index("128")] = "24"
    before = set(os.listdir(folder))
    words = [os.path.join(build, program)] + eal + devices + ["--"] + list(ours)
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        return "still running after 60 s"
    lines = done.stderr.splitlines()
    last = lines[-1] if lines else ""
    if done.returncode != 2:
        return f"exit status {done.returncode}, last line '{last}'"
    if done.stdout and not done.stdout.startswith("eal: "):
        return f"on stdout: {done.stdout[:200]!r}"
    if word not in last:
        return f"does not name '{word}': '{last}'"
    if not last.isprintable() or len(last) > 500:
        return f"no clear line: {last!r}"
    # Drivers may have said something of their own before; we have not.
    own = [line for line in lines[:-1] if line.startswith("oskr-")]
    if own:
        return f"more than one line: {done.stderr[:600]!r}"
    left = set(os.listdir(folder)) - before - {"s.sock"}
    if left:
        return f"left {', '.join(sorted(left))} behind"
    return None


def play(build, keys, case):
    """A case in a folder of its own: what is wrong, or None."""
    with tempfile.TemporaryDirectory(prefix="oskr-") as folder:
        folder = os.path.join(folder, "n")
        shutil.copytree(keys, folder)
        return judge(build, case, folder)


def main():
    build = os.path.abspath(sys.argv[1])
    failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="oskr-") as keys, \
            concurrent.futures.ThreadPoolExecutor(len(rig.cpus())) as pool:
        rig.keys_make(keys)
        for case, played in [(case, pool.submit(play, build, keys, case)) for case in CASES]:
            try:
                fault = played.result()
            except rig.Skipped as reason:
                skipped += 1
                print(f"SKIPPED {case[0]}: {reason}")
                continue
            if fault is not None:
                failed += 1
                print(f"FAILED  {case[2]} {' '.join(case[4])} ({case[0]})\n        {fault}")
    print(f"{len(CASES)} broken starts, {skipped} skipped, {failed} not as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
