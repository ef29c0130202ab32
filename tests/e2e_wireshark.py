#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Wireshark dissector says of messages what the decoder's own structures say.

Usage: e2e_wireshark.py WIRESHARK_FRAMES
Also: oskr.lua is what generate.py makes of the present headers.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "wireshark"
FIELDS = ("protocol_name", "type_name", "sender", "instance", "cluster", "view", "seq",
          "body_size", "proof_size", "malformed")
OTHER_PORT = 7001
failures = 0


def need(holds, text):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {text}")


def tshark(capture, *words):
    """What tshark prints of a capture; it must have nothing to complain of."""
    done = subprocess.run(
        ["tshark", "-X", f"lua_script:{FOLDER / 'oskr.lua'}", "-r", capture, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "HOME": os.path.dirname(capture)})
    complaints = [line for line in done.stderr.splitlines() if "root" not in line]
    need(done.returncode == 0 and not complaints, f"tshark: {done.stderr.strip()}")
    return done.stdout.splitlines()


def row(line):
    values = [value or "-" for value in line.split("\t")]
    # An expert item's field has no value of its own: that it is there says it.
    values[-1] = "-" if values[-1] == "-" else "malformed"
    return " ".join(values)


def capture_make(frames, path, port):
    subprocess.run(["text2pcap", "-q", "-u", f"{port},{port}", "-", path], input=frames,
                   check=True, stderr=subprocess.DEVNULL)


def dissected(capture):
    words = ["-T", "fields"]
    for name in FIELDS:
        words += ["-e", f"oskr.{name}"]
    return [row(line) for line in tshark(capture, *words)]


def main():
    check = subprocess.run([FOLDER / "generate.py", "--check"], check=False)
    need(check.returncode == 0, "oskr.lua is not up to date")
    with tempfile.TemporaryDirectory() as folder:
        expected_path = f"{folder}/expected"
        frames = subprocess.run([sys.argv[1], expected_path], stdout=subprocess.PIPE,
                                check=True).stdout
        expected = Path(expected_path).read_text(encoding="utf-8").splitlines()
        capture = f"{folder}/frames.pcap"
        capture_make(frames, capture, 7000)
        found = dissected(capture)
        need(len(expected) > 30 and len(found) == len(expected),
             f"{len(found)} messages of {len(expected)}")
        for right, said in zip(expected, found):
            need(right == said, f"expected '{right}', tshark says '{said}'")
        # On another port, messages are known by their form, and nothing else is taken for one.
        capture_make(frames, capture, OTHER_PORT)
        for right, said in zip(expected, dissected(capture)):
            well_formed = not right.endswith("malformed")
            need((said == right) == well_formed and (well_formed or said == " ".join("-" * 10)),
                 f"port {OTHER_PORT}: expected '{right}', tshark says '{said}'")
        capture_make(frames, capture, 7000)
        prepares = tshark(capture, "-Y", 'oskr.type_name == "PREPARE" && oskr.proof_size == 64')
        need(len(prepares) <= 1, f"a filter finds {len(prepares)} messages")
        info = tshark(capture, "-Y", 'oskr.type_name == "PREPARE"')
        need(len(info) == 1 and "pbft PREPARE from 60017" in info[0], f"the line of it: {info}")
    print(f"{len(expected)} messages, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
