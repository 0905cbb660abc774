"""The store does not matter: the same order from files, HTTP and HTTPS, and each byte read once."""
import collections
import os
import unittest

from servers import certificate, serve_shards
from support import Test, without_ranks, write_shards


class Stores(Test):
    @classmethod
    def setUpClass(cls):
        serve_shards(cls)

    def order(self, data, *more, window="150K", epochs=2, ranks=3):
        # A hedge is one request more, and reads its range again.
        return self.run_order(data, "--no-hedge", "--block-size", "16K", "--request-size", "8K", "--seed", 11,
                              "--epochs", epochs, "--global-batch", 32, "--end", "partial",
                              "--window", window, "--verify", *more, ranks=ranks)

    def test_same_order_from_all(self):
        for window, reads in (("150K", 2), ("full", 1)):
            orders = {}
            for data, more in ((f"file://{self.folder}/shard-{{000..003}}.tar", ()),
                               (self.nginx.http + self.pattern, ()),
                               (self.nginx.https + self.pattern, ("--ca-file", self.nginx.ca))):
                with self.subTest(data=data, window=window):
                    rows, report = self.order(data, *more, window=window)
                    orders[data] = without_ranks(rows)
                    self.assertEqual(report["store_bytes"], reads * self.bytes)
                    self.assertEqual(report["store_requests"], reads * report["plan"]["epoch_requests"])
                    self.assertEqual(report["retries"], 0)
            self.assertEqual(len({tuple(order) for order in orders.values()}), 1)
            for row in orders[data]:
                self.assertEqual(row[3:6], self.samples[row[2]])

    def test_a_slow_store_is_no_silent_peer(self):
        """The first batch of a full window takes longer than peer_timeout: all ranks wait for it."""
        data = self.nginx.http + "/slow/shard-{000..003}.tar"
        _, report = self.run_order(data, "--block-size", "64K", "--max-requests", 1, "--window", "full",
                                   "--global-batch", 32, "--end", "partial", "--peer-timeout", 0.4,
                                   ranks=2)
        self.assertGreater(report["epochs"][0]["time_to_first_batch_seconds"], 0.5)
        self.assertEqual(report["store_bytes"], self.bytes)

    def test_the_server_sends_each_byte_once(self):
        """By nginx's log: the ranges of an epoch are the shards, without gap or overlap."""
        manifest = self.path("set.h5")
        data = self.nginx.http + self.pattern
        self.faro("index", data, "--manifest", manifest, "--block-size", "16K")
        for window, epochs, reads in (("1", 2, 2), ("100K", 2, 2), ("full", 3, 1)):
            with self.subTest(window=window):
                mark = self.nginx.mark()
                self.order(data, "--manifest", manifest, window=window, epochs=epochs, ranks=4)
                sent = collections.defaultdict(collections.Counter)
                for path, first, last in self.nginx.ranges(mark):
                    sent[os.path.basename(path)][first, last] += 1
                for file in self.files:
                    ranges = sent.pop(os.path.basename(file))
                    self.assertEqual(set(ranges.values()), {reads})
                    end = 0
                    for first, last in sorted(ranges):
                        self.assertEqual(first, end)
                        end = last + 1
                    self.assertEqual(end, os.path.getsize(file))
                self.assertEqual(sent, {})

    def test_indexing_reads_each_byte_once_at_most(self):
        """With checksums every byte once; where samples are large, headers alone without."""
        large = os.path.join(self.nginx.data, "large")
        files = write_shards(large, [8, 8], mean=2_000_000)
        size = sum(map(os.path.getsize, files))
        for more, least, most in ((("--checksums",), size, size), (("--no-checksums",), 1, size / 4)):
            with self.subTest(more):
                mark = self.nginx.mark()
                self.faro("index", self.nginx.http + "/large/shard-{000..001}.tar", *more,
                          "--manifest", self.path(more[0] + ".h5"), ranks=2)
                read = sum(last - first + 1 for _, first, last in self.nginx.ranges(mark))
                self.assertLessEqual(least, read)
                self.assertLessEqual(read, most)

    def test_names_of_data(self):
        """A directory, a glob, a brace pattern and lists of the same shards are the same data."""
        with open(self.path("paths"), "w", encoding="utf-8") as out:
            out.write("# the shards\n\n" + "".join(f"{file}\n" for file in self.files))
        with open(self.path("uris"), "w", encoding="utf-8") as out:
            out.writelines(f"{self.nginx.http}/set/{os.path.basename(f)}\n" for f in self.files)
        first = None
        for data in (self.folder, self.folder + "/", self.folder + "/*.tar", "@paths", "@uris",
                     self.folder + "/shard-{000..003}.tar", self.folder + "/shard-{000..001}.tar",
                     self.folder + "/shard-00{0,1,2,3}.tar"):
            with self.subTest(data):
                rows, report = self.order(data, epochs=1, ranks=2)
                if data.endswith("{000..001}.tar"):
                    self.assertEqual(len(rows), 160)
                    continue
                first = first or (without_ranks(rows), report["plan"]["digest"])
                self.assertEqual((without_ranks(rows), report["plan"]["digest"]), first)

    def test_default_manifest(self):
        """`faro index` writes it in the working directory, and the other commands find it there."""
        self.faro("index", self.folder, "--block-size", "32K")
        self.assertTrue(os.path.exists(self.path("set.faro.h5")), os.listdir(self.dir))
        result = self.faro("run", self.folder, "--window", "64K", ranks=2)
        self.assertIn("manifest set.faro.h5", result.err)
        self.assertNotIn("indexing", result.err)

    def test_certificates(self):
        """HTTPS is checked: another CA, and none, are errors that say so."""
        other = self.path("other.pem")
        certificate(self.path("other.key"), other)
        data = self.nginx.https + self.pattern
        for more in (("--ca-file", other), ()):
            with self.subTest(more):
                result = self.fails("run", data, *more, says=["(network", self.nginx.https])
                self.assertRegex(result.errors[0], "certificate")


if __name__ == "__main__":
    unittest.main(verbosity=2)
