# SPDX-License-Identifier: Apache-2.0
"""What runs of oskr-replica and oskr-client have in common: a folder with a cluster
file and keys, networks to join the processes by, and processes that are ended by
their ids alone.

Two networks: Netns (veth pairs and a bridge, each node in a network namespace of its
own, net_af_packet; root) and Memif (oskr-switch and net_memif; any user).
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SLOW = 4 if os.environ.get("ASAN_OPTIONS") is not None else 1
START_S = 30 * SLOW
END_S = 20 * SLOW
MACS = ["12:34:56:aa:aa:aa", "12:34:56:bb:bb:bb", "12:34:56:cc:cc:cc", "12:34:56:dd:dd:dd"]
CLIENT_MAC = "12:34:56:ee:ee:ee"
DEPLOY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "deploy")
KEYGEN = os.path.join(DEPLOY, "keygen.sh")
EAL = ["--no-huge", "--no-shconf", "-m", "256", "--no-pci"]


class Failed(Exception):
    """A run that was not as it should be."""


class Skipped(Exception):
    """A story that this machine cannot play."""


def need(truth, text):
    if not truth:
        raise Failed(text)


def cpus():
    return sorted(os.sched_getaffinity(0))


def ip_of(mac):
    """The address that follows from a MAC."""
    return "10." + ".".join(str(int(byte, 16)) for byte in mac.split(":")[3:])


def call(*words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    need(done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}")


class Netns:
    """Namespaces NAME-0, NAME-1, ... with one port each, and NAME-b with the bridge."""

    def __init__(self, folder, queues=1):
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise Skipped("network namespaces need root, and ip of iproute2")
        self.name = f"oskr{os.getpid()}"
        self.folder = folder
        self.queues = queues
        self.spaces = []
        try:
            self.space_add("b")
        except Failed as failed:
            raise Skipped(f"no network namespaces here: {failed}") from None
        call("ip", "-n", f"{self.name}-b", "link", "add", "br0", "type", "bridge")
        call("ip", "-n", f"{self.name}-b", "link", "set", "br0", "up")
        for i, mac in enumerate(MACS + [CLIENT_MAC, None]):
            self.port_add(i, mac)

    def space_add(self, number):
        call("ip", "netns", "add", f"{self.name}-{number}")
        self.spaces.append(f"{self.name}-{number}")

    def port_add(self, number, mac):
        self.space_add(number)
        space, bridge = f"{self.name}-{number}", f"{self.name}-b"
        call("ip", "-n", space, "link", "add", "eth0", "type", "veth", "peer", "name",
             f"p{number}", "netns", bridge)
        if mac is not None:
            call("ip", "-n", space, "link", "set", "eth0", "address", mac)
        call("ip", "-n", space, "link", "set", "eth0", "up")
        call("ip", "-n", bridge, "link", "set", f"p{number}", "master", "br0", "up")

    def wait(self):
        """Until processes can be started."""

    def before(self, number):
        return ["ip", "netns", "exec", f"{self.name}-{number}"]

    def device(self, _number, queues=1):
        return f"--vdev=net_af_packet0,iface=eth0,qpairs={queues}"

    def close(self):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


class Memif:
    """oskr-switch with a socket for each node."""

    def __init__(self, folder, switch):
        if not os.path.exists(switch):
            raise Skipped("oskr-switch is not built")
        self.folder = os.path.join(folder, "m")
        os.mkdir(self.folder)
        self.switch = Process(
            [switch] + EAL + ["-l", str(cpus()[0]), f"--file-prefix=oskr-s{os.getpid()}", "--",
                              "--names", "r0,r1,r2,r3,c", "--folder", self.folder, "--idle",
                              "sleep"], os.path.join(folder, "switch.log"))

    def wait(self):
        self.switch.wait_text("ready")

    def before(self, _number):
        return []

    def device(self, number, queues=1):
        need(queues == 1, "a memif port has one queue here")
        name = "c" if number == len(MACS) else f"r{number}"
        mac = (MACS + [CLIENT_MAC])[number]
        return (f"--vdev=net_memif0,role=client,id=0,mac={mac},socket-abstract=no,"
                f"socket={self.folder}/{name}.sock")

    def close(self):
        self.switch.end()


class Process:
    """One that this test started, with its output in a file."""

    def __init__(self, words, path):
        self.words = words
        self.path = path
        self.asked = False
        with open(path, "wb") as log:
            self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT)

    def runs(self):
        return self.child.poll() is None

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def tail(self):
        return " | ".join(self.text().splitlines()[-12:])

    def wait_text(self, text, seconds=START_S):
        end = time.monotonic() + seconds
        while text not in self.text():
            need(self.runs(), f"{' '.join(self.words)}: ended: {self.tail()}")
            need(time.monotonic() < end, f"no '{text}' in {seconds} s: {self.tail()}")
            time.sleep(0.05)

    def ask_to_end(self):
        """Once: a second SIGINT ends it at once."""
        if self.runs() and not self.asked:
            self.child.send_signal(signal.SIGINT)
        self.asked = True

    def end(self):
        """Asks it to end; its exit status."""
        self.ask_to_end()
        try:
            return self.child.wait(END_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Failed(f"{' '.join(self.words)}: did not end in {END_S} s") from None


class Cluster:
    """Replicas on a network, and the client that is run against them."""

    def __init__(self, programs, folder, net, mode, options=(), helpers=0, pillars=0):
        self.programs = programs
        self.folder = folder
        self.net = net
        self.mode = mode
        self.options = list(options)
        self.helpers = helpers  # lcores of each process beside those of its queues
        self.pillars = pillars  # of each replica
        self.eal = {}  # of a node by its number: DPDK's arguments beside all others'
        self.count = 1 if mode.startswith("unreplicated") else len(MACS)
        self.file = os.path.join(folder, "quad")
        self.replicas = {}
        self.starts = 0
        if not os.path.exists(self.file):
            keys_make(folder)

    def words(self, program, number, ours, queues=1):
        self.starts += 1
        cores = cpus()
        replica = number < len(MACS)
        count = max(queues, 1 + self.pillars if replica else 1) + self.helpers
        if count <= len(cores):
            lcores = ["-l", ",".join(str(cores[(number + k) % len(cores)]) for k in range(count))]
        else:
            lcores = ["--lcores", f"(0-{count - 1})@({','.join(map(str, cores))})"]
        if replica and self.pillars > 0:
            ours = ours + ["--pillars", str(self.pillars)]
        prefix = f"--file-prefix=oskr-{os.getpid()}-{number}-{self.starts}"
        return (self.net.before(number) + [os.path.join(self.programs, program)] + EAL +
                lcores + self.eal.get(number, []) +
                [prefix, self.net.device(number, queues), "--", "-m", self.mode,
                 "-c", self.file, "--idle", "sleep"] + self.options + ours)

    def start(self, index, queues=1):
        path = os.path.join(self.folder, f"replica{index}-{self.starts}.log")
        ours = ["-i", str(index)] + (["--queues", str(queues)] if queues > 1 else [])
        self.replicas[index] = Process(self.words("oskr-replica", index, ours, queues), path)

    def start_all(self, queues=1):
        self.net.wait()
        for index in range(self.count):
            self.start(index, queues)
        for replica in self.replicas.values():
            replica.wait_text("serves")

    def client_begin(self, ours=()):
        out = os.path.join(self.folder, "out.json")
        if os.path.exists(out):
            os.unlink(out)
        return Process(self.words("oskr-client", len(MACS), ["--json", out] + list(ours)),
                       os.path.join(self.folder, "client.log"))

    def client_result(self, client, seconds=120):
        try:
            status = client.child.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            client.end()
            raise Failed(f"the client still runs: {client.tail()}") from None
        need(status == 0, f"the client: exit status {status}: {client.tail()}")
        with open(os.path.join(self.folder, "out.json"), encoding="utf-8") as file:
            result = json.load(file)
        need(result["errors"] == 0 and result["operations"] > 0, f"no clean run: {client.tail()}")
        return result

    def client(self, ours=()):
        return self.client_result(self.client_begin(["-d", "1", "--warm", "0.2"] + list(ours)))

    def end_all(self):
        """Ends all replicas and sees that each ends well."""
        for replica in self.replicas.values():
            replica.ask_to_end()
        for index, replica in list(self.replicas.items()):
            del self.replicas[index]
            status = replica.end()
            need(status == 0, f"replica {index}: exit status {status}: {replica.tail()}")
            need("leaked" not in replica.text(), f"replica {index}: {replica.tail()}")

    def kill(self, index):
        replica = self.replicas.pop(index)
        replica.child.kill()
        replica.child.wait()

    def close(self):
        for replica in self.replicas.values():
            replica.child.kill()
            replica.child.wait()
        self.replicas = {}


keys_made = {}  # by the number of client nodes


def keys_make(folder, clients=1):
    """The sample cluster file and keys for it: the same ones for every story of a run."""
    shutil.copy(os.path.join(DEPLOY, "quad"), os.path.join(folder, "quad"))
    if clients not in keys_made:
        made = keys_made[clients] = tempfile.TemporaryDirectory(prefix="oskr-")
        call(KEYGEN, os.path.join(made.name, "quad"), str(len(MACS)), str(clients))
    for name in os.listdir(keys_made[clients].name):
        shutil.copy(os.path.join(keys_made[clients].name, name), folder)


def telemetry(prefix, command):
    """Asks a running process of root's; its answer."""
    path = f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(5)
        link.connect(path)
        link.recv(4096)
        link.send(command.encode())
        return json.loads(link.recv(65536))
