# SPDX-License-Identifier: Apache-2.0
"""Runs of a cluster whose processes are on several hosts, for perf/sweep.py --hosts.

The hosts' file has a line for each process, in the order of their indexes, and where their
programs and the cluster file are (deploy/ansible/site.yml puts them there):

    bin /usr/local/bin
    cluster /etc/oskr/cluster
    replica HOST DPDK'S ARGUMENTS
    client HOST DPDK'S ARGUMENTS

A command reaches a host through the transport, `ssh {host}` unless told otherwise: its last
argument is a line for the host's shell. A replica runs for as long as its standard input is
open, so it ends when this program does, however that ends.
"""

import json
import shlex
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import runs

READY_S = 60
END_S = 30
READY_MARK = " serves"


class Hosts:
    def __init__(self, path, transport, replica_options):
        self.bin, self.cluster = "/usr/local/bin", "/etc/oskr/cluster"
        self.replicas, self.clients = [], []
        self.transport, self.replica_options = transport, replica_options
        self.life = int(time.time())
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            words = shlex.split(line, comments=True)
            if words:
                self.line_read(f"{path}:{number}", words)
        if not self.replicas or len(self.clients) != 1:
            raise runs.RunFailed(f"{path}: 'replica' lines and one 'client' line are expected")

    def line_read(self, where, words):
        kind, rest = words[0], words[1:]
        if kind in ("bin", "cluster") and len(rest) == 1:
            setattr(self, kind, rest[0])
        elif kind in ("replica", "client") and rest:
            (self.replicas if kind == "replica" else self.clients).append((rest[0], rest[1:]))
        else:
            raise runs.RunFailed(f"{where}: write 'bin DIR', 'cluster FILE', 'replica HOST "
                                 "ARGUMENTS' or 'client HOST ARGUMENTS'")

    def words(self, host, line):
        return [word.replace("{host}", host) for word in self.transport] + [line]

    def program(self, name, eal, index, arguments):
        return shlex.join([f"{self.bin}/{name}", *eal, "--", *arguments, "-c", self.cluster, "-i",
                           str(index), "--life", str(self.life)])

    def replica_start(self, index, arguments):
        host, eal = self.replicas[index]
        program = self.program("oskr-replica", eal, index, [*arguments, *self.replica_options])
        line = f"{program} </dev/null & p=$!; cat >/dev/null; kill -INT $p; wait $p"
        return Replica(f"replica {index} ({host})", self.words(host, line))

    def client_run(self, arguments, limit_s):
        host, eal = self.clients[0]
        program = self.program("oskr-client", eal, 0, arguments)
        line = (f'f=$(mktemp) && {program} --json "$f" </dev/null >&2; s=$?; cat "$f"; '
                'rm -f "$f"; exit $s')
        try:
            done = subprocess.run(self.words(host, line), stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired:
            raise runs.RunFailed(f"client ({host}): not finished after {limit_s:.0f} s") from None
        if done.returncode != 0:
            raise runs.RunFailed(runs.failure_line([host, "oskr-client"], done.returncode,
                                                   done.stderr))
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise runs.RunFailed(f"client ({host}): no usable JSON: {error}") from None

    def run(self, shared, load, seconds_asked):
        """One run: options for all, the client's own. (its JSON object, "")"""
        # All replicas had been stopped: a new life, whose messages are told from the last one's.
        self.life += 1
        started = []
        try:
            for index in range(len(self.replicas)):
                started.append(self.replica_start(index, shared))
            for replica in started:
                replica.wait_ready()
            result = self.client_run([*shared, *load], seconds_asked * 2 + runs.GRACE_S)
        finally:
            bad = [text for text in [replica.end() for replica in started] if text]
        if bad:
            raise runs.RunFailed("; ".join(bad))
        if result.get("errors", 1) != 0 or result.get("throughput", 0) <= 0:
            raise runs.RunFailed(f"wrong or no answers: {result.get('errors')} errors")
        return result, ""


class Replica:
    """The transport to a replica, its output, and whether it serves."""

    def __init__(self, name, words):
        self.name = name
        self.log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self.ready = threading.Event()
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.log.write(line)
            if READY_MARK in line:
                self.ready.set()

    def last_line(self):
        self.reader.join(1)
        self.log.seek(0)
        lines = [line for line in self.log.read().splitlines() if line.strip()]
        return lines[-1] if lines else "it printed nothing"

    def wait_ready(self):
        end = time.monotonic() + READY_S
        while not self.ready.wait(0.1):
            if self.child.poll() is not None or time.monotonic() > end:
                raise runs.RunFailed(f"{self.name} does not serve: {self.last_line()}")

    def end(self):
        """What went wrong with its end, or nothing."""
        self.child.stdin.close()
        try:
            status = self.child.wait(END_S)
        except subprocess.TimeoutExpired:
            runs.child_end(self.child)
            return f"{self.name} did not end within {END_S} s"
        return f"{self.name}: exit status {status}: {self.last_line()}" if status != 0 else ""
