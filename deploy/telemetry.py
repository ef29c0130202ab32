#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks running oskr programs by DPDK's telemetry socket (lcore/telemetry.h)."""
import argparse
import glob
import json
import os
import socket
import sys
import time

TIMEOUT_S = 5
ANSWER_BYTES_MAX = 64 * 1024
PARTS_MAX = 1000
EXIT_USAGE = 2


class Unreachable(Exception):
    """Nobody answers at the socket, or not as expected."""


def runtime_folders():
    """Where DPDK keeps its sockets, for this user: the first that is set, as DPDK does."""
    if os.geteuid() == 0:
        return ["/var/run"]
    folders = [os.environ["XDG_RUNTIME_DIR"]] if os.environ.get("XDG_RUNTIME_DIR") else []
    # What lcore/launch_eal.c makes where there is no such folder.
    return folders + [f"/tmp/oskr-{os.geteuid()}", "/tmp"]


def socket_paths(prefix="*"):
    """The sockets of processes with this --file-prefix (a pattern), as {name: path}."""
    found = {}
    for folder in runtime_folders():
        for path in sorted(glob.glob(f"{folder}/dpdk/{prefix}/dpdk_telemetry.v2*")):
            name = os.path.basename(os.path.dirname(path))
            # Processes with the same prefix and --in-memory append ":1", ":2".
            name += os.path.basename(path)[len("dpdk_telemetry.v2"):]
            found.setdefault(name, path)
    return found


class Connection:
    """One program's socket: `with Connection(path) as c: c.ask("/oskr/info")`."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(TIMEOUT_S)
        try:
            self.socket.connect(path)
            self.greeting = self.receive()
        except OSError as error:
            self.socket.close()
            raise Unreachable(f"{path}: {error.strerror or error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def receive(self):
        try:
            answer = json.loads(self.socket.recv(ANSWER_BYTES_MAX).decode())
        except (OSError, ValueError) as error:
            raise Unreachable(f"no answer: {error}") from None
        if not isinstance(answer, dict):
            raise Unreachable(f"no answer, but {answer!r}")
        return answer

    def commands(self):
        return self.ask_part("/") or []

    def ask_part(self, command):
        """One answer: what stands under the command's name; None: it is not known."""
        try:
            self.socket.send(command.encode())
        except OSError as error:
            raise Unreachable(f"gone: {error.strerror or error}") from None
        return self.receive().get(command.split(",")[0])

    def ask(self, command):
        """All parts of an answer as one dictionary; None: the command is not known."""
        rows, part = {}, command
        for _ in range(PARTS_MAX):
            answer = self.ask_part(part)
            if not isinstance(answer, dict):
                return answer if not rows else rows
            following = answer.pop("next", None)
            rows.update(answer)
            if following is None:
                break
            part = f"{command},{following}"
        return rows


def wait_for(prefix, seconds, ready):
    """Waits until ready(connection) of the process with the prefix; False: it did not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in socket_paths(prefix).values():
            try:
                with Connection(path) as connection:
                    if ready(connection):
                        return True
            except Unreachable:
                pass
        time.sleep(0.05)
    return False


def refuse(text):
    print(f"telemetry: {text}", file=sys.stderr)
    return EXIT_USAGE


def main():
    parser = argparse.ArgumentParser(
        prog="telemetry.py", description="Asks a running oskr program and prints its answer.")
    parser.add_argument("prefix", help="the process's --file-prefix")
    parser.add_argument("command", nargs="?", default="/",
                        help="such as /oskr/stats, or '/oskr/switch/do,loss 10%%' (/ lists all)")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS",
                        help="wait so long for the process to answer it")
    arguments = parser.parse_args()
    name = arguments.command.split(",")[0]
    if arguments.wait > 0:
        wait_for(arguments.prefix, arguments.wait, lambda c: name in c.commands())
    paths = socket_paths(glob.escape(arguments.prefix))
    if not paths:
        return refuse(f"no process with --file-prefix {arguments.prefix} (of this user)")
    try:
        with Connection(next(iter(paths.values()))) as connection:
            answer = connection.ask(arguments.command)
    except Unreachable as error:
        return refuse(error)
    if answer is None:
        return refuse(f"{name} is not known there, or does not take this parameter")
    json.dump(answer, sys.stdout, indent=1)
    print()
    result = answer.get("result", "done") if isinstance(answer, dict) else "done"
    return 0 if result == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
