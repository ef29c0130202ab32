# SPDX-License-Identifier: Apache-2.0
"""What is measured beside the seed's published figures: by the quick start's report and
by the table of perf/sweep.sh.
"""

import typing

# The seed is the implementation that oskr began from. Its published figures: four
# replicas, empty requests and replies, 14 or 30 worker threads, machines of its own.
SEED_NOTE = ("The seed's figures are its published ones: four replicas, empty requests and "
             "replies, on machines of its own with 1, 14 or 30 worker threads. Here everything, "
             "clients too, shares the cores named above: compare the order of magnitude.")

# Clients of a row beside one alone: enough to fill its batches.
FEW, MANY = 64, 400


class Row(typing.NamedTuple):
    label: str  # what a reader sees
    mode: str
    extra: tuple  # its options
    clients: int
    seed: str = ""  # the seed's figures for the like: throughput in ops/s, median


ROWS = (
    Row("unreplicated, MACs", "unreplicated", (), FEW),
    Row("unreplicated, no authentication", "unreplicated",
        ("--request-auth", "none", "--reply-auth", "none"), FEW, "2011 K, 10.8 us (1 worker)"),
    Row("unreplicated, a signature a reply", "unreplicated-signed", (), FEW,
        "11.8 K, 91.6 us (1 worker); 154 K, 99.3 us (14); 328 K (30)"),
    Row("unreplicated, Merkle-signed replies", "unreplicated", ("--reply-auth", "batch"), FEW),
    Row("PBFT, MACs, adaptive", "pbft", ("-b", "100", "--adaptive"), MANY),
    Row("PBFT, seed's profile, batch 1", "pbft", ("--profile", "seed", "-b", "1"), FEW,
        "4.9 K, 717 us (14 workers); 8.06 K, 725 us (30)"),
    Row("PBFT, seed's profile, adaptive", "pbft",
        ("--profile", "seed", "-b", "100", "--adaptive"), MANY, "121 K (14 workers); 221 K (30)"),
    Row("HotStuff, signed votes, adaptive", "hotstuff", ("-b", "100", "--adaptive"),
        MANY),
    Row("HotStuff, seed's profile, batch 1", "hotstuff",
        ("--profile", "seed", "-b", "1", "--stable-leader"), FEW,
        "1.8 K, 2195 us (14 workers); 1.83 K, 2185 us (30)"),
    Row("HotStuff, seed's profile, adaptive", "hotstuff",
        ("--profile", "seed", "-b", "100", "--adaptive", "--stable-leader"), MANY,
        "98.7 K (14 workers); 148 K (30)"),
    Row("HotStuff, two phases, adaptive", "hotstuff2", ("-b", "100", "--adaptive"), MANY),
    Row("Zyzzyva, MACs for clients, adaptive", "zyzzyva", ("-b", "100", "--adaptive"), MANY),
    Row("Zyzzyva, seed's profile, batch 1", "zyzzyva", ("--profile", "seed", "-b", "1"), FEW,
        "66.8 K (14 workers); 136 K, 348 us (30)"),
    Row("Zyzzyva, seed's profile, batch 100", "zyzzyva", ("--profile", "seed", "-b", "100"), MANY,
        "136 K, 324 us (14 workers); 243 K (30)"),
)
# The seed's points that have both a throughput (Kops/s) and a median latency (us).
SEED_POINTS = {"unreplicated": ((2011, 10.75),), "unreplicated-signed": ((11.8, 91.6), (154, 99.3)),
               "pbft": ((4.9, 717), (8.06, 725)), "hotstuff": ((1.8, 2195), (1.83, 2185)),
               "zyzzyva": ((66.8, 324), (136, 348))}
