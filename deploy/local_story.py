# SPDX-License-Identifier: Apache-2.0
"""What a rehearsal tells: each second of the client among the faults that were ordered, and in
the end what the switch did to frames and what that did to the service."""
import json
import re

UNITS = {"": 1, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
FATES = ("cut", "lost", "delayed", "reordered", "duplicated", "corrupted")


def faults_of(script):
    """[(seconds, command)] of oskr-switch's script, which the switch itself judges."""
    faults = []
    for line in script.splitlines():
        line = line.split("#")[0].strip()
        match = re.fullmatch(r"at\s+(\d+(?:\.\d*)?)(s|ms|us|ns|)\s+(.*)", line)
        if match:
            faults.append((float(match[1]) * UNITS[match[2]], match[3]))
        elif line:
            faults.append((0, line))
    return sorted(faults, key=lambda fault: fault[0])


class Story:
    """Follows the client's log; times count from the client's start."""

    def __init__(self, say, log, script=""):
        self.say, self.log, self.read = say, log, 0
        self.faults = faults_of(script)

    def go_on(self, seconds):
        """What has come since the last time."""
        while self.faults and self.faults[0][0] <= seconds:
            self.say(f"fault: {self.faults.pop(0)[1]}")
        with open(self.log, encoding="utf-8", errors="replace") as file:
            file.seek(self.read)
            text = file.read()
        whole = text.rfind("\n") + 1
        self.read += len(text[:whole].encode())
        for line in text[:whole].splitlines():
            if re.match(r"\s+[0-9.]+ s  .* ops/s$", line):
                self.say(line)


def stats_of(out, name, what):
    path = out / f"{name}.{what}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def frames_text(stats):
    """Of all links: how many frames, and the fate of those that met a fault."""
    total = dict.fromkeys(("frames",) + FATES, 0)
    for name, value in stats.items():
        match = re.fullmatch(r"link_\w+/(\w+)", name)
        if match and match[1] in total:
            total[match[1]] += value
    frames = total.pop("frames")
    met = [f"{name} {value} ({value / frames:.1%})" for name, value in total.items() if value > 0]
    return f"switch: {frames} frames; " + (", ".join(met) or "all went through")


def service_text(out, result, replicas):
    """What clients noticed, and where the replicas are."""
    views = sorted({value for name in replicas
                    for key, value in stats_of(out, name, "view").items()
                    if key.endswith("/view")})
    text = (f"clients: {result['retransmissions']} retransmissions, the longest wait "
            f"{result['max_us'] / 1000:.1f} ms")
    if views:
        text += f"; view {' and '.join(map(str, views))} in the end"
    return text
