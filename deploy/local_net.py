# SPDX-License-Identifier: Apache-2.0
"""Networks for deploy/local.py: what joins the processes, and what DPDK is told of it.

Each network has
    open()              makes what is needed before the first process
    command(node)       what stands before the program's name, for this node
    eal(node)           DPDK's arguments for the node's port
    attach(node)        what has to be done once the node's process answers
    attaches            whether there is such a thing
    close()             removes all that open() and attach() made, and nothing else
"""
import os
import subprocess
from dataclasses import dataclass


class NetworkFailed(Exception):
    """The text is one line for the user."""


@dataclass
class Node:
    """A process of the rehearsal."""
    name: str  # r0, r1, ..., client
    mac: str


def run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        said = done.stdout.strip().splitlines()
        raise NetworkFailed(f"{' '.join(words)}: {said[-1] if said else 'failed'}")
    return done.stdout


class Memif:
    """Shared memory between each process and oskr-switch: works for any user."""
    needs_root = False
    has_switch = True
    attaches = False

    def __init__(self, folder, _tag):
        self.folder = folder

    def open(self, nodes):
        pass

    def command(self, _node):
        return []

    def eal(self, node):
        return [f"--vdev=net_memif0,role=client,id=0,socket={self.folder}/{node.name}.sock,"
                f"socket-abstract=no,mac={node.mac}"]

    def attach(self, _node):
        pass

    def close(self):
        pass


class Namespaces:
    """A network namespace for each process, veth pairs, a bridge in a namespace of its own."""
    needs_root = True
    has_switch = False
    attaches = False

    def __init__(self, _folder, tag):
        self.tag = tag
        self.made = []

    def space(self, name):
        return f"oskr-{self.tag}-{name}"

    def add(self, name):
        run("ip", "netns", "add", self.space(name))
        self.made.append(self.space(name))

    def open(self, nodes):
        self.add("bridge")
        bridge = ["ip", "-n", self.space("bridge")]
        # Without snooping, groups are flooded: nobody here speaks IGMP.
        run(*bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run(*bridge, "link", "set", "br0", "up", "addrgenmode", "none")
        for node in nodes:
            self.add(node.name)
            run(*bridge, "link", "add", node.name, "type", "veth", "peer", "name", "oskr0",
                "address", node.mac, "netns", self.space(node.name))
            run(*bridge, "link", "set", node.name, "addrgenmode", "none", "master", "br0", "up")
            run("ip", "-n", self.space(node.name), "link", "set", "oskr0", "addrgenmode", "none",
                "up")

    def command(self, node):
        return ["ip", "netns", "exec", self.space(node.name)]

    def eal(self, _node):
        return ["--vdev=net_af_packet0,iface=oskr0"]

    def attach(self, _node):
        pass

    def close(self):
        for space in reversed(self.made):
            subprocess.run(["ip", "netns", "del", space], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.made.clear()


class Xdp(Namespaces):
    """The same, with AF_XDP sockets: DPDK gets frames before the kernel's stack does."""

    def eal(self, _node):
        return ["--vdev=net_af_xdp0,iface=oskr0"]


class Taps(Namespaces):
    """A TAP device for each process, all on a bridge in one namespace."""
    attaches = True

    def open(self, nodes):
        if not os.path.exists("/dev/net/tun"):
            raise NetworkFailed("/dev/net/tun is missing: modprobe tun")
        self.add("bridge")
        bridge = ["ip", "-n", self.space("bridge")]
        run(*bridge, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run(*bridge, "link", "set", "br0", "up", "addrgenmode", "none")
        run(*bridge, "link", "set", "lo", "up")

    def command(self, _node):
        return ["ip", "netns", "exec", self.space("bridge")]

    def eal(self, node):
        return [f"--vdev=net_tap0,iface=tap{node.name},mac={node.mac}"]

    def attach(self, node):
        link = ["ip", "-n", self.space("bridge"), "link", "set", f"tap{node.name}"]
        # net_tap gives the kernel's end the node's own MAC, and a bridge keeps frames to its
        # ports' MACs for itself: so that end gets another one.
        run(*link, "address", "06" + node.mac[2:])
        run(*link, "addrgenmode", "none", "master", "br0", "up")


NETWORKS = {"memif": Memif, "netns": Namespaces, "tap": Taps, "xdp": Xdp}
