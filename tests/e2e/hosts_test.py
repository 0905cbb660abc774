"""Three hosts, two ranks each: the same order as one process, exactly once, in the planned memory."""
import os
import shutil
import tempfile
import unittest

from on_hosts import OnHosts
from servers import Nginx
from support import read_json, without_ranks, write_shards

MIB = 1 << 20
RECORD = 100 << 10


class ThreeHosts(OnHosts):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.mkdtemp(prefix="faro-e2e-hosts-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.nginx = Nginx(cls, folder, cls.hosts)
        cls.folder = os.path.join(cls.nginx.data, "set")
        cls.files = write_shards(cls.folder, [90, 70, 5, 110])
        cls.bytes = sum(map(os.path.getsize, cls.files))
        cls.large = os.path.join(cls.nginx.data, "large.bin")
        with open(cls.large, "wb") as file:
            for _ in range(180):
                file.write(os.urandom(RECORD * 10))

    def test_order(self):
        """By file and by HTTP, windows and the whole data set: as one process, exactly once."""
        for window in ("64K", "full"):
            settings = ("--seed", 3, "--epochs", 3, "--global-batch", 32, "--end", "pad", "--window",
                        window, "--block-size", "16K", "--request-size", "8K", "--verify")
            expected, _ = self.run_order(self.folder, *settings, ranks=None)
            for data in (self.folder, self.nginx.http + "/set/shard-{000..003}.tar"):
                with self.subTest(window=window, data=data):
                    rows, report = self.run_order(data, *settings)
                    self.assertEqual(without_ranks(rows), without_ranks(expected))
                    self.assertEqual({row.rank for row in rows}, set(range(6)))
                    self.assertTrue(report["verified"])
                    self.assertEqual(report["store_bytes"],
                                     self.bytes * (1 if window == "full" else 3))
                    # Four of six ranks are elsewhere.
                    self.assertGreater(report["remote_bytes"], 3 * self.bytes // 2)

    def check_memory(self, *settings, blocks="2M"):
        report = self.path("report.json")
        self.faro("run", self.large, "--format", "raw", "--raw-record", RECORD, "--block-size", blocks,
                  "--global-batch", 96, "--epochs", 2, "--verify", "--memory", "1G", *settings,
                  "--report", report, timeout=120)
        report = read_json(report)
        self.assertTrue(report["verified"])
        self.assertLessEqual(report["peak_rss_bytes"],
                             1.15 * report["planned_peak_bytes"] + 64 * MIB, report["plan"])
        return report

    def test_one_slow_link(self):
        """1 Gbit/s to and from one host: all goes well, in the planned memory."""
        self.hosts.limit(1, "1gbit")
        self.addCleanup(self.hosts.unlimit, 1)
        for window in ("32M", "full"):
            with self.subTest(window=window):
                report = self.check_memory("--window", window)
                # Two ninths of the data come in by this link, give or take what chance moves. Both
                # epochs count: the second one's first rounds travel while the first one ends.
                seconds = sum(epoch["seconds"] for epoch in report["epochs"])
                self.assertGreater(seconds, 0.9 * 8 * report["bytes"] * 2 / 9 / 1e9)

    def test_skew(self):
        """One block holds most: one rank reads what all get, without more memory than planned."""
        self.check_memory("--window", "64M", "--request-size", "8M", blocks="64M")


if __name__ == "__main__":
    unittest.main(verbosity=2)
