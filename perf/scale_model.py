# SPDX-License-Identifier: Apache-2.0
"""What an operation costs, as a + b S, and the throughput that follows from it.

Pure arithmetic over measured points; perf/scale.py measures, and says in its -h
what the terms mean.
"""

import math
from dataclasses import dataclass

# What a reader finds beside every figure that comes from here.
MARK = "model, not measured"
# A fit whose residual is more than this share of the mean says little.
POOR_SHARE = 0.1


@dataclass
class Costs:
    """Times of one operation, in us."""

    divided: float     # a: work that is the same however many instances there are
    each: float        # b: what every instance adds
    undivided: float   # u: what one lcore must do, whatever the others take
    residual: float    # root mean square of what a + b S misses
    mean: float        # of the points
    worst: tuple       # (instances, us) of the point that is missed by most, and by how much
    points: int
    note: str          # what was held, where the plain fit had no meaning; else ""

    def busy_us(self, instances):
        return self.divided + self.each * instances

    def throughput(self, lcores):
        """(operations a second with as many instances as lcores, what bounds them)."""
        by_work = lcores / self.busy_us(lcores)
        if self.undivided > 0 and 1 / self.undivided < by_work:
            return 1e6 / self.undivided, "u"
        return 1e6 * by_work, "a + b L"

    def poor(self):
        return self.residual > POOR_SHARE * self.mean

    def exact(self):
        """As many unknowns as points: the residual is nothing by itself."""
        return self.points <= 2


def line(points):
    """(a, b, note) of least squares, neither below 0; None where all points have one S."""
    count = len(points)
    if len({x for x, _ in points}) < 2:
        return None
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    slope = (sum((x - mean_x) * (y - mean_y) for x, y in points)
             / sum((x - mean_x) ** 2 for x, _ in points))
    intercept = mean_y - slope * mean_x
    # A sum of squares over a quarter plane has its least value on an edge, where the
    # plane's own is outside.
    if slope < 0:
        return mean_y, 0.0, "b came out below 0 and was held at 0"
    if intercept < 0:
        slope = sum(x * y for x, y in points) / sum(x * x for x, _ in points)
        return 0.0, slope, "a came out below 0 and was held at 0"
    return intercept, slope, ""


def fit(points, undivided_us):
    """Costs of [(instances, us of busy lcores an operation)], or None."""
    found = line(points)
    if found is None:
        return None
    divided, each, note = found
    misses = [(x, y - (divided + each * x)) for x, y in points]
    return Costs(divided, each, undivided_us,
                 residual=math.sqrt(sum(miss * miss for _, miss in misses) / len(misses)),
                 mean=sum(y for _, y in points) / len(points),
                 worst=max(misses, key=lambda miss: abs(miss[1])), points=len(points), note=note)
