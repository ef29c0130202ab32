# SPDX-License-Identifier: Apache-2.0
"""What one client's operation takes in a chain of signed votes, by its signatures alone.

Replicas that share an lcore wait for each other: their signatures lie on the critical path,
too. So this puts all that an operation needs, in HotStuff's order (PODC'19, figure 4 and 5,
chained, with the spare replicas of protocols/hotstuff/spare.c), on the lcores where replicas
lie. Each lcore does what is there in the order in which it came, nothing takes time but
signatures and verifications, and no lcore helps another.
"""


class Chain:
    """A run of operations, one after the other, by one client."""

    def __init__(self, lcores, client_lcore, quorum, faults, certificates, costs):
        self.lcores = lcores  # of the replicas, by index
        self.client_lcore = client_lcore
        self.quorum = quorum
        self.faults = faults
        self.certificates = certificates
        self.sign, self.verify = costs
        self.free = dict.fromkeys([*lcores, client_lcore], 0.0)
        self.tasks = []  # (ready, order, lcore, time it takes, what follows)
        self.order = 0
        self.ends = []

    def add(self, ready, lcore, takes, then):
        self.order += 1
        self.tasks.append((ready, self.order, lcore, takes, then))

    def step(self):
        task = min(self.tasks, key=lambda t: (max(t[0], self.free[t[2]]), t[0], t[1]))
        self.tasks.remove(task)
        ready, _, lcore, takes, then = task
        end = max(ready, self.free[lcore]) + takes
        self.free[lcore] = end
        then(end)

    def replica(self, view, turn):
        """The one that is `turn` places after the view's leader."""
        return (view + turn) % len(self.lcores)

    def proof(self, turn):
        """Of the QC before: who was spare then has no vote of its own in it."""
        others = self.quorum if turn + 1 >= self.quorum else self.quorum - 1
        return others * self.verify

    def propose(self, view, number, now):
        """Block `number` of an operation: the leader's own vote first."""
        collector = self.lcores[self.replica(view, 1)]
        counted = []

        def count(end):
            counted.append(end)
            if len(counted) == self.quorum:
                self.certify(view, number, end)

        def vote(turn):
            if turn == 1:
                return count
            return lambda end: self.add(end, collector, self.verify, count)

        for turn in range(self.quorum):
            # What came before the first block was told, and proven, already.
            proof = 0 if number == 1 or turn == 0 else self.proof(turn)
            self.add(now, self.lcores[self.replica(view, turn)], proof + self.sign, vote(turn))

    def certify(self, view, number, now):
        if number < self.certificates:
            self.propose(view + 1, number + 1, now)
            return
        answers = []

        def execute(end):
            answers.append(end)
            if len(answers) == self.faults:
                self.add(end, self.client_lcore, 0, ask)

        def ask(end):
            self.add(end, self.lcores[self.replica(view + 1, 0)], 0, begin)

        def begin(end):
            self.ends.append(end)
            self.propose(view + 1, 1, end)

        for turn in range(1, self.quorum):
            self.add(now, self.lcores[self.replica(view + 1, turn)], self.proof(turn), execute)

    def operation_us(self):
        """The mean of as many operations as every replica leads alike."""
        count = 4 * len(self.lcores)
        self.propose(0, 1, 0.0)
        while len(self.ends) < 2 * count:
            self.step()
        return (self.ends[-1] - self.ends[count - 1]) / count
