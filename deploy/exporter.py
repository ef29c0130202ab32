#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows the telemetry of running oskr programs in Prometheus' text format.

Names become metrics by the table RULES: the first pattern that matches an entry names its
metric, its type and its labels. Every metric has the label `process`, the --file-prefix.
"""
import argparse
import http.server
import re
import sys

import telemetry

EXIT_USAGE = 2
NS_PER_S = 1e9
COMMANDS = ("/oskr/info", "/oskr/stats", "/oskr/view", "/oskr/latency", "/oskr/shards",
            "/oskr/peers")
NODE = r"(?P<node>(?:replica|client)_\d+)"

# (command, pattern of an entry's name, metric, type, what it is). "{}" is the group `name`.
# A "_total" is a counter; a metric in seconds is divided from nanoseconds.
RULES = [
    ("/oskr/stats", r"pool_(?P<pool>\w+)/(?P<name>\w+)", "oskr_pool_{}", "gauge",
     "packet buffers"),
    ("/oskr/stats", r"lcore_(?P<lcore>\d+)/(?P<name>\w+)", "oskr_lcore_{}_total", "counter",
     "cycles of a lcore"),
    ("/oskr/stats", NODE + r"/protocol/(?P<name>\w+)_ns", "oskr_protocol_{}_seconds", "gauge",
     "a figure of the protocol"),
    ("/oskr/stats", NODE + r"/protocol/(?P<name>\w+)", "oskr_protocol_{}", "untyped",
     "a figure of the protocol"),
    ("/oskr/stats", NODE + r"/(?P<name>\w+)", "oskr_{}_total", "counter", "counted by a node"),
    ("/oskr/stats", r"port_(?P<port>[0-9A-Za-z]+)/up", "oskr_port_up", "gauge",
     "whether somebody is at this port of the switch"),
    ("/oskr/stats", r"port_(?P<port>[0-9A-Za-z]+)/(?P<name>\w+)", "oskr_port_{}_total", "counter",
     "counted by the switch at a port"),
    ("/oskr/stats", r"link_(?P<from>[0-9A-Za-z]+)_(?P<to>[0-9A-Za-z]+)/is_cut", "oskr_link_is_cut",
     "gauge", "whether the switch lets nothing pass here"),
    ("/oskr/stats", r"link_(?P<from>[0-9A-Za-z]+)_(?P<to>[0-9A-Za-z]+)/(?P<name>\w+)",
     "oskr_link_{}_total", "counter", "counted by the switch on a link"),
    ("/oskr/stats", r"switch/on_their_way", "oskr_switch_on_their_way", "gauge",
     "frames that the switch holds back"),
    ("/oskr/stats", r"switch/(?P<name>\w+)", "oskr_switch_{}_total", "counter",
     "counted by the switch"),
    ("/oskr/view", NODE + r"/instance_(?P<instance>\d+)/view", "oskr_view", "gauge",
     "the view that a replica is in"),
    ("/oskr/view", NODE + r"/position", "oskr_position", "gauge",
     "batches that a replica has executed"),
    ("/oskr/view", NODE + r"/life", "oskr_life", "text", "1 for what a replica is in now"),
    ("/oskr/latency", r"(?P<name>p\d+|min|max)_ns", "oskr_latency_{}_seconds", "gauge",
     "latency of the operations that were measured"),
    ("/oskr/shards", NODE + r"/(?P<name>lcore|instances|position|stable)", "oskr_shard_{}", "gauge",
     "of a node's shard"),
    ("/oskr/shards", NODE + r"/(?P<name>\w+)", "oskr_shard_{}_total", "counter",
     "of a node's shard"),
    ("/oskr/peers", NODE + r"/(?P<peer>replica_\d+)/messages", "oskr_peer_messages_total",
     "counter", "messages that a node had from a replica"),
    ("/oskr/peers", NODE + r"/(?P<peer>replica_\d+)/silent_ns", "oskr_peer_silent_seconds",
     "gauge", "how long a node has not heard of a replica"),
]
PATTERNS = [(rule[0], re.compile(rule[1])) + rule[2:] for rule in RULES]


def escaped(text):
    return str(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Page:
    """Samples by metric: the format wants all of a metric's in one place."""

    def __init__(self):
        self.metrics = {}  # name -> (type, help, [lines])

    def add(self, name, kind, text, labels, value, suffix=""):
        _, _, lines = self.metrics.setdefault(name, (kind, text, []))
        written = ",".join(f'{key}="{escaped(labels[key])}"' for key in labels)
        number = f"{value:.9g}" if isinstance(value, float) else str(value)
        lines.append(f"{name}{suffix}{{{written}}} {number}")

    def text(self):
        out = []
        for name in sorted(self.metrics):
            kind, text, lines = self.metrics[name]
            out += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"] + lines
        return "".join(f"{line}\n" for line in out)


def entry_add(page, process, command, name, value):
    for rule_command, pattern, metric, kind, text in PATTERNS:
        match = pattern.fullmatch(name) if rule_command == command else None
        if match is None:
            continue
        labels = {"process": process, **match.groupdict()}
        metric = metric.format(labels.pop("name", ""))
        if kind == "text":
            labels[metric.removeprefix("oskr_")] = value
            page.add(metric, "gauge", text, labels, 1)
        else:
            seconds = metric.endswith("_seconds")
            page.add(metric, kind, text, labels, value / NS_PER_S if seconds else value)
        return
    page.add("oskr_other", "untyped", "entries of telemetry without a rule of their own",
             {"process": process, "command": command, "entry": name}, value)


def histogram_add(page, process, rows):
    """/oskr/latency's counts below bounds, as a histogram; takes them out of the rows."""
    name, text = "oskr_latency_seconds", "latency of the operations that were measured"
    count, total = rows.pop("count"), rows.pop("sum_ns")
    for key in [key for key in rows if key.startswith("below_ns/")]:
        bound = int(key.split("/")[1]) / NS_PER_S
        labels = {"process": process, "le": f"{bound:.9g}"}
        page.add(name, "histogram", text, labels, rows.pop(key), "_bucket")
    page.add(name, "histogram", text, {"process": process, "le": "+Inf"}, count, "_bucket")
    page.add(name, "histogram", text, {"process": process}, total / NS_PER_S, "_sum")
    page.add(name, "histogram", text, {"process": process}, count, "_count")


def process_add(page, process, path):
    """What one process tells. False: it is no program of ours."""
    with telemetry.Connection(path) as connection:
        known = connection.commands()
        if "/oskr/info" not in known:
            return False
        answers = {command: connection.ask(command) for command in COMMANDS if command in known}
    info = answers.pop("/oskr/info") or {}
    page.add("oskr_info", "gauge", "what runs: 1, the rest are labels",
             {"process": process, **{key.replace("/", "_"): info[key] for key in info}}, 1)
    for command, rows in answers.items():
        if command == "/oskr/latency" and rows:
            histogram_add(page, process, rows)
        for name, value in (rows or {}).items():
            entry_add(page, process, command, name, value)
    return True


def page_make(prefix):
    page = Page()
    for process, path in telemetry.socket_paths(prefix).items():
        up, ours = 1, True
        try:
            ours = process_add(page, process, path)
        except telemetry.Unreachable:
            up = 0
        if ours:
            page.add("oskr_up", "gauge", "whether the process answers", {"process": process}, up)
    return page.text()


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10
    prefix = "*"

    def do_GET(self):
        if self.path.split("?")[0] != "/metrics":
            self.send_error(404, "ask for /metrics")
            return
        body = page_make(self.prefix).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        pass


def listen_address(text):
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no HOST:PORT")
    return host or "127.0.0.1", int(port)


def main():
    parser = argparse.ArgumentParser(
        prog="exporter",
        description="Shows the telemetry of the oskr programs that run on this machine, of this "
                    "user, in Prometheus' text format: http://HOST:PORT/metrics.")
    parser.add_argument("--listen", type=listen_address, default=("127.0.0.1", 9464),
                        metavar="HOST:PORT", help="where to answer (127.0.0.1:9464)")
    parser.add_argument("--prefix", default="*", metavar="PATTERN",
                        help="only processes with such a --file-prefix")
    parser.add_argument("--once", action="store_true", help="print the page and end")
    arguments = parser.parse_args()
    if arguments.once:
        print(page_make(arguments.prefix), end="")
        return 0
    Handler.prefix = arguments.prefix
    try:
        server = http.server.ThreadingHTTPServer(arguments.listen, Handler)
    except OSError as error:
        host, port = arguments.listen
        print(f"exporter: {host}:{port}: {error.strerror}; give another --listen", file=sys.stderr)
        return EXIT_USAGE
    server.daemon_threads = True
    print(f"exporter: http://{server.server_address[0]}:{server.server_address[1]}/metrics",
          flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
