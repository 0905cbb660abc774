"""The order is a function of data, seed, epoch and window: not of the ranks, nor of where they are."""
import shutil
import tempfile
import unittest

from support import (Test, by_epoch, read_json, read_order, samples_of_tars, without_ranks,
                     write_shards)

RANKS = (1, 2, 3, 4, 8)
EPOCHS = 2


class Order(Test):
    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.mkdtemp(prefix="faro-e2e-order-")
        cls.addClassCleanup(shutil.rmtree, cls.data, ignore_errors=True)
        # 611 samples: neither batch divides them. One shard has no samples.
        cls.files = write_shards(cls.data, [200, 11, 0, 150, 250])
        cls.samples = samples_of_tars(cls.files)
        cls.blocks = ("--block-size", "16K")

    def run_ranks(self, ranks, batch, end, window, *more, epochs=EPOCHS):
        return self.run_order(self.data, *self.blocks, "--seed", 7, "--epochs", epochs,
                              "--global-batch", batch, "--end", end, "--window", window, *more,
                              ranks=ranks)

    def check_rows(self, rows, report, ranks, batch, end, epochs=EPOCHS):
        """Everything that one order file must be, against what Python reads from the shards."""
        count = len(self.samples)
        delivered = count - count % batch if end == "drop" else count
        steps = -(-delivered // batch)
        self.assertEqual(report["verified"], True)
        self.assertEqual(sorted(by_epoch(rows)), list(range(epochs)))
        for epoch in by_epoch(rows).values():
            real = [row for row in epoch if not row.pad]
            pads = [row for row in epoch if row.pad]
            self.assertEqual(len(real), delivered)
            self.assertEqual(len({row.sample for row in real}), delivered, "not each once")
            self.assertEqual(len(pads), steps * batch - delivered if end == "pad" else 0)
            for row in epoch:
                self.assertEqual((row.key, row.bytes, row.crc32c), self.samples[row.sample])
            if pads:  # behind all others, in the last step
                self.assertEqual(epoch[-len(pads):], pads)
                self.assertEqual({row.step for row in pads}, {steps - 1})
            self.check_slices(epoch, ranks, batch, steps)

    def check_slices(self, epoch, ranks, batch, steps):
        """The same number of steps on every rank; slices in rank order, consecutive slots, and sizes
        that differ by at most one."""
        by_step = {}
        for row in epoch:
            by_step.setdefault(row.step, []).append(row)
        self.assertEqual(sorted(by_step), list(range(steps)))
        for step, rows in by_step.items():
            if step < steps - 1:
                self.assertEqual(len(rows), batch)
            self.assertEqual([row.rank for row in rows], sorted(row.rank for row in rows))
            sizes = [0] * ranks
            for row in rows:
                self.assertEqual(row.slot, sizes[row.rank])
                sizes[row.rank] += 1
            self.assertLessEqual(max(sizes) - min(sizes), 1, f"step {step}: {sizes}")

    def same_for(self, runs, batch, end, window):
        """runs: (ranks, more arguments). All order files must be identical but for rank and slot."""
        first = None
        for ranks, more in runs:
            with self.subTest(ranks=ranks, more=more, batch=batch, end=end, window=window):
                rows, report = self.run_ranks(ranks, batch, end, window, "--verify", *more)
                if first is None:
                    self.check_rows(rows, report, ranks, batch, end)
                    first = without_ranks(rows)
                else:
                    self.check_slices(by_epoch(rows)[1], ranks, batch, report["plan"]["steps"])
                    self.assertEqual(without_ranks(rows), first)
                self.assertEqual(report["ranks"], ranks)
        return first

    def test_ranks_batches_and_ends(self):
        """1, 2, 3, 4 and 8 ranks, for both batches and all ends of an epoch."""
        for batch in (64, 50):
            for end in ("drop", "pad", "partial"):
                self.same_for([(n, ()) for n in RANKS], batch, end, "200K")

    def test_windows(self):
        """From a window of one block, smaller than a batch, to all blocks."""
        orders = {}
        for window in (1, "48K", "400K", "full"):
            orders[window] = self.same_for([(n, ()) for n in (8, 3, 1)], 50, "partial", window)
        self.assertEqual(len({tuple(order) for order in orders.values()}), len(orders),
                         "windows do not matter")

    def test_messages(self):
        """As if every rank, or every pair, had a node to itself: samples travel as messages."""
        for window, batch, end in (("200K", 50, "pad"), (1, 64, "partial"), ("full", 64, "drop")):
            self.same_for([(1, ()), (3, ("--node-ranks", 1)), (4, ("--node-ranks", 2)),
                           (8, ("--node-ranks", 1)), (8, ("--node-ranks", 3))], batch, end, window)
        rows, report = self.run_ranks(4, 64, "drop", "full", "--node-ranks", 2)
        self.assertGreater(report["remote_bytes"], 0)
        rows, report = self.run_ranks(4, 64, "drop", "full")
        self.assertEqual(report["remote_bytes"], 0)

    def test_seeds_and_epochs_differ(self):
        """Each epoch is another shuffle, and (seed, epoch + 1) is not (seed + 1, epoch)."""
        orders = {}
        for seed in (3, 4):
            rows, _ = self.run_order(self.data, *self.blocks, "--seed", seed, "--epochs", 3,
                                     "--window", "full", "--end", "partial", ranks=2)
            for number, epoch in by_epoch(rows).items():
                orders[seed, number] = [row.sample for row in epoch]
        count = len(self.samples)
        pairs = [(a, b) for a in orders for b in orders if a < b]
        for a, b in pairs:
            # Two honest shuffles agree in about one place; 15 have a chance below 1e-12.
            same = sum(x == y for x, y in zip(orders[a], orders[b]))
            self.assertLess(same, 15, f"{a} and {b}")
        for name, order in orders.items():
            self.assertEqual(sorted(order), list(range(count)))
            # Neighbours in the data set are not neighbours in the epoch; an honest shuffle has two.
            runs = sum(abs(x - y) == 1 for x, y in zip(order, order[1:]))
            self.assertLess(runs, 20, f"{name}")

    def test_consumers(self):
        """Whatever the consumer does with batches, it gets all of them."""
        for how in ("touch", "gather", "none"):
            report = self.path(how + ".json")
            self.faro("run", self.data, "--consume", how, "--end", "pad", "--verify", "--report",
                      report, ranks=2)
            report = read_json(report)
            self.assertEqual(report["samples"], len(self.samples))
            self.assertEqual(report["bytes"], sum(sample.bytes for sample in self.samples))
        self.fails("run", self.data, "--consume", "gather", "--order", self.path("order.csv"),
                   says=("order", "touch"), ranks=2)

    def test_first_epoch(self):
        """Epoch 2 of a longer run is the first of one that begins there."""
        for window in ("200K", "full"):
            long, _ = self.run_ranks(2, 50, "pad", window, epochs=3)
            short, _ = self.run_ranks(3, 50, "pad", window, "--first-epoch", 2, epochs=1)
            self.assertEqual(without_ranks(short), without_ranks(by_epoch(long)[2]))

    def test_window_auto_can_be_asked_for_again(self):
        """The window that `auto` has chosen, given as a number, is the same order."""
        # Between what the smallest window needs and what keeping everything does.
        plan = self.path("plan.json")
        few = ("--max-requests", 4)
        self.faro("plan", self.data, *self.blocks, "--window", "full", *few, "--report", plan,
                  ranks=2)
        budget = read_json(plan)["smallest_budget_bytes"] + (200 << 10)
        self.assertLess(budget, read_json(plan)["planned_peak_bytes"])
        rows, report = self.run_ranks(2, 50, "drop", "auto", *few, "--memory", budget)
        window = report["plan"]["window_bytes"]
        self.assertFalse(report["plan"]["resident"])
        again, _ = self.run_ranks(5, 50, "drop", window)
        self.assertEqual(without_ranks(again), without_ranks(rows))

    def test_rfc_4180(self):
        """Keys with commas and quotes come back as they were; lines end in CRLF."""
        order = self.path("order.csv")
        self.faro("run", self.data, "--window", "full", "--end", "partial", "--order", order,
                  ranks=2)
        with open(order, "rb") as file:
            raw = file.read()
        self.assertEqual(raw.count(b"\r\n"), raw.count(b"\n"))
        self.assertTrue(raw.endswith(b"\r\n"))
        self.assertEqual(raw.count(b"\r\n"), 1 + len(self.samples))
        keys = {row.key for row in read_order(order)}
        self.assertEqual(keys, {sample.key for sample in self.samples})
        self.assertTrue(any('"' in key and "," in key for key in keys))
        self.assertIn(b'""quoted""', raw)


if __name__ == "__main__":
    unittest.main(verbosity=2)
