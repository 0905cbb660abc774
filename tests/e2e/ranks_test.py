"""More ranks than any other test has, 64: on one node, and on eight that exchange by message."""
import shutil
import tempfile
import unittest

from support import Test, read_json, samples_of_tars, without_ranks, write_shards

RANKS = 64


class Ranks(Test):
    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.mkdtemp(prefix="faro-e2e-ranks-")
        cls.addClassCleanup(shutil.rmtree, cls.data, ignore_errors=True)
        # 1,237 samples: no batch divides them.
        cls.samples = samples_of_tars(write_shards(cls.data, [400, 37, 500, 300], mean=300))

    def run_ranks(self, ranks, *more):
        return self.run_order(self.data, "--block-size", "8K", "--seed", 5, "--epochs", 2, "--verify",
                              "--memory", "64M", "--max-requests", 4, "--global-batch", 200, *more,
                              ranks=ranks, timeout=120)

    def check(self, *more, remote):
        """Exactly once, and the order of one rank."""
        alone, _ = self.run_ranks(1, *more)
        rows, report = self.run_ranks(RANKS, *more, *(["--node-ranks", 8] if remote else []))
        self.assertEqual(without_ranks(rows), without_ranks(alone))
        self.assertEqual({row.rank for row in rows}, set(range(RANKS)))
        self.assertTrue(report["verified"])
        self.assertEqual(report["ranks"], RANKS)
        self.assertEqual(report["remote_bytes"] > 0, remote)
        for epoch in (0, 1):
            real = [row.sample for row in rows if row.epoch == epoch and not row.pad]
            self.assertEqual(sorted(real), list(range(len(self.samples))))

    def test_one_node(self):
        self.check("--end", "pad", "--window", "100K", remote=False)

    def test_eight_nodes(self):
        self.check("--end", "partial", "--window", "100K", remote=True)

    def test_eight_nodes_that_keep_everything(self):
        self.check("--end", "pad", "--window", "full", remote=True)

    def test_remote_bytes_are_as_predicted(self):
        """`faro plan` foretells what a run then receives from other nodes: an expectation, over some
        2,000 samples here."""
        order = ("--block-size", "8K", "--window", "full", "--memory", "64M", "--max-requests", 4,
                 "--global-batch", 200, "--end", "drop", "--epochs", 2)
        plan = self.path("plan.json")
        self.faro("plan", self.data, *order, "--ranks", 8, "--nodes", 4, "--report", plan, ranks=1)
        plan = read_json(plan)
        expected = plan["prediction"]["remote_bytes_per_round"] / plan["steps_per_round"]
        expected *= 8 * 2 * plan["steps"]
        _, report = self.run_order(self.data, *order, "--node-ranks", 2, ranks=8)
        self.assertAlmostEqual(report["remote_bytes"] / expected, 1, delta=0.06)


if __name__ == "__main__":
    unittest.main(verbosity=2)
