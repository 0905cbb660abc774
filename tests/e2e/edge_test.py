"""Shapes that are unusual, the report and the plan, TOML, and `faro verify`."""
import os
import re
import tarfile
import unittest

from support import (Sample, Test, by_epoch, crc32c, read_json, read_order, samples_of_tars,
                     varied_samples, without_ranks, write_shards, write_tar)

EPOCH_KEYS = {"seconds", "samples_per_second", "bytes_per_second", "time_to_first_batch_seconds",
              "stall_seconds"}
REPORT_KEYS = {"ranks", "samples", "bytes", "store_bytes", "store_requests", "retries",
               "planned_peak_bytes", "peak_rss_bytes", "verified", "epochs"}


class Edge(Test):
    def check(self, samples, data, *arguments, ranks=4, epochs=2, **options):
        """Runs epochs without leaving samples out; each comes once an epoch, as Python reads it."""
        end = () if "--end" in arguments else ("--end", "partial")
        rows, report = self.run_order(data, "--epochs", epochs, *end, *arguments, "--verify",
                                      ranks=ranks, **options)
        for epoch in by_epoch(rows).values():
            real = [row for row in epoch if not row.pad]
            self.assertEqual(sorted(row.sample for row in real), list(range(len(samples))))
            for row in epoch:
                self.assertEqual((row.key, row.bytes, row.crc32c), samples[row.sample])
        self.assertEqual(len(by_epoch(rows)), epochs)
        return rows, report

    # ---- shapes

    def test_samples_larger_than_blocks_and_requests(self):
        files = write_shards(self.path("data"), [15, 9], mean=60_000)
        samples = samples_of_tars(files)
        self.assertGreater(max(sample.bytes for sample in samples), 100_000)
        for window in (1, "200K", "full"):
            for more in ((), ("--node-ranks", 1)):
                with self.subTest(window=window, more=more):
                    _, report = self.check(
                        samples, self.path("data"), "--block-size", "8K", "--request-size", "4K",
                        "--window", window, "--global-batch", 5, *more, ranks=3)
                    self.assertGreater(report["plan"]["epoch_requests"],
                                       10 * report["plan"]["blocks"])

    def test_idle_ranks(self):
        """Fewer blocks than ranks, and fewer samples than ranks in a batch."""
        file = write_tar(self.path("one.tar"), varied_samples(7, 3))
        samples = samples_of_tars([file])
        for more in ((), ("--node-ranks", 1), ("--node-ranks", 3)):
            for batch, end in ((3, "pad"), (2, "partial"), (100, "pad"), (100, "partial"), (1, "drop")):
                with self.subTest(more=more, batch=batch, end=end):
                    rows, report = self.check(samples, file, "--global-batch", batch, "--end", end,
                                              "--window", "4K", *more, ranks=8, epochs=1)
                    self.assertEqual(report["plan"]["steps"], -(-7 // batch))
                    self.assertEqual(sum(row.pad for row in rows), -7 % batch if end == "pad" else 0)

    def test_one_sample(self):
        file = write_tar(self.path("one.tar"), [("only", [("bin", b"x")])])
        for ranks in (None, 3):
            self.check([Sample("only", 1, f"{crc32c(b'x'):08x}")], file, "--global-batch", 1,
                       ranks=ranks)

    def test_empty_samples(self):
        """Nothing but empty members, in shards that are empty or not."""
        for i in range(4):
            write_tar(self.path(f"s{i}.tar"),
                      [(f"{i}-{j}", [("cls", b"")]) for j in range(0 if i % 2 else 9)])
        samples = [Sample(f"{i}-{j}", 0, "00000000") for i in (0, 2) for j in range(9)]
        for window in ("1K", "full"):
            self.check(samples, self.path("s{0..3}.tar"), "--window", window, "--global-batch", 4,
                       "--block-size", "2K", "--node-ranks", 2)

    def test_without_mpirun(self):
        files = write_shards(self.path("data"), [40, 40])
        self.faro("index", self.path("data"), ranks=None)
        alone, report = self.check(samples_of_tars(files), self.path("data"), "--window", "40K",
                                   "--block-size", "8K", ranks=None)
        self.assertEqual(report["ranks"], 1)
        together, _ = self.check(samples_of_tars(files), self.path("data"), "--window", "40K", ranks=3)
        self.assertEqual(without_ranks(alone), without_ranks(together))
        self.faro("verify", self.path("data"), ranks=None)

    def test_raw(self):
        """Records behind a header, in shards of different lengths; one holds only its header."""
        records, samples = 0, []
        for shard, count in enumerate((50, 0, 77, 1)):
            data = os.urandom(count * 784)
            with open(self.path(f"part-{shard}.bin"), "wb") as file:
                file.write(os.urandom(16) + data)
            samples += [Sample(str(records + i), 784, f"{crc32c(data[i * 784:(i + 1) * 784]):08x}")
                        for i in range(count)]
            records += count
        for window in ("10K", "full"):
            self.check(samples, self.path("part-{0..3}.bin"), "--format", "raw", "--raw-header", 16,
                       "--raw-record", 784, "--window", window, "--block-size", "5K",
                       "--global-batch", 13)

    def test_tar_formats(self):
        """Long names and large numbers as GNU's and POSIX's tar write them, and directories."""
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            file = write_tar(self.path("gnu.tar"), varied_samples(90, 4), form)
            with tarfile.open(file, "a", format=form) as tar:
                for kind, name in ((tarfile.DIRTYPE, "dir.d"), (tarfile.SYMTYPE, "link.png")):
                    info = tarfile.TarInfo(name)
                    info.type, info.linkname = kind, "elsewhere.png"
                    tar.addfile(info)
            self.check(samples_of_tars([file]), file, "--block-size", "8K", "--window", "64K")

    # ---- settings

    def test_toml_is_the_command_line(self):
        """The same settings by TOML; what stands on the command line goes before it."""
        write_shards(self.path("data"), [60, 60])
        with open(self.path("run.toml"), "w", encoding="utf-8") as file:
            file.write(f'data = "{self.path("data")}"\n'
                       'order = "toml.csv"\nreport = "toml.json"\n'
                       "[shuffle]\nseed = 5\nepochs = 2\nfirst_epoch = 1\nglobal_batch = 9\n"
                       'end = "pad"\nwindow = "40K"\nverify = true\n'
                       '[store]\nblock_size = "8K"\nrequest_size = 8192\nrequest_timeout = 2.5\n'
                       "max_requests = 3\n")
        self.faro("run", "--config", "run.toml", ranks=2)
        by_toml = read_json(self.path("toml.json"))
        rows, by_line = self.run_order(
            self.path("data"), "--seed", 5, "--epochs", 2, "--first-epoch", 1, "--global-batch", 9,
            "--end", "pad", "--window", "40K", "--verify", "--block-size", "8K", "--request-size",
            8192, "--request-timeout", 2.5, "--max-requests", 3, ranks=2)
        self.assertEqual(read_order(self.path("toml.csv")), rows)
        self.assertEqual({row.epoch for row in rows}, {1, 2})
        for report in (by_toml, by_line):
            del report["plan"]["budget_bytes"]  # of what is free
        self.assertEqual(by_toml["plan"], by_line["plan"])
        self.assertTrue(by_toml["verified"])
        rows, report = self.run_order(self.path("data"), "--config", "run.toml", "--seed", 6,
                                      "--epochs", 1, "--no-verify", ranks=2)
        self.assertEqual((report["seed"], len(by_epoch(rows)), report["verified"]), (6, 1, False))

    # ---- report and plan

    def test_report(self):
        files = write_shards(self.path("data"), [100, 90])
        samples = samples_of_tars(files)
        _, report = self.run_order(self.path("data"), "--epochs", 3, "--global-batch", 32, "--end",
                                   "drop", "--window", "50K", "--block-size", "16K", "--verify")
        self.assertLessEqual(REPORT_KEYS, set(report))
        self.assertEqual(report["ranks"], 4)
        self.assertEqual(report["samples"], 3 * (190 - 190 % 32))
        self.assertEqual(report["store_bytes"], 3 * sum(map(os.path.getsize, files)))
        self.assertEqual(report["verified"], True)
        self.assertGreater(report["peak_rss_bytes"], 1 << 20)
        self.assertEqual(len(report["epochs"]), 3)
        for number, epoch in enumerate(report["epochs"]):
            self.assertLessEqual(EPOCH_KEYS, set(epoch))
            self.assertEqual(epoch["epoch"], number)
            self.assertTrue(0 < epoch["time_to_first_batch_seconds"] <= epoch["seconds"] < 60)
            self.assertTrue(0 <= epoch["stall_seconds"] <= epoch["seconds"])
            self.assertAlmostEqual(epoch["samples_per_second"] * epoch["seconds"], epoch["samples"],
                                   delta=1)
            self.assertAlmostEqual(epoch["bytes_per_second"] * epoch["seconds"], epoch["bytes"],
                                   delta=1)
        self.assertEqual(report["bytes"], sum(epoch["bytes"] for epoch in report["epochs"]))
        # Without pads or samples left out, the bytes are those of all samples.
        _, report = self.run_order(self.path("data"), "--end", "pad", "--global-batch", 32)
        self.assertEqual(report["bytes"], sum(sample.bytes for sample in samples))
        self.assertEqual(report["samples"], 190)

    def test_plan(self):
        """What `faro plan` says beforehand is what the run then does."""
        write_shards(self.path("data"), [100, 0, 90, 30], mean=5000)
        self.faro("index", self.path("data"), "--block-size", "16K", ranks=2)
        for window, more in (("100K", ("--request-size", "4K")), ("full", ()), ("1", ("--verify",)),
                             ("100K", ("--node-ranks", 1, "--end", "pad"))):
            with self.subTest(window=window, more=more):
                arguments = (self.path("data"), "--window", window, "--epochs", 3, *more,
                             "--global-batch", 24)
                said = self.faro("plan", *arguments, "--report", "plan.json", ranks=3)
                plan = read_json(self.path("plan.json"))
                rows, report = self.run_order(*arguments, ranks=3)
                for done in (plan, report["plan"]):
                    del done["budget_bytes"], done["shared_bytes"]  # of what is free
                self.assertEqual(plan, report["plan"])
                epochs = 1 if plan["resident"] else 3
                self.assertEqual(report["store_requests"], epochs * plan["epoch_requests"])
                self.assertEqual(report["store_bytes"], plan["store_bytes"])
                self.assertEqual(plan["steps"], 1 + max(row.step for row in rows))
                for number in ("blocks", "samples", "steps", "ranks"):
                    self.assertRegex(said.out, rf"\b{plan[number]}\b")

    def test_plan_for_other_machines(self):
        """One process plans for thousands of ranks."""
        write_shards(self.path("data"), [300])
        self.faro("plan", self.path("data"), "--ranks", 4096, "--ranks-per-node", 8,
                  "--global-batch", 16, "--report", "plan.json", ranks=None)
        self.assertEqual(read_json(self.path("plan.json"))["ranks"], 4096)

    # ---- verify

    def test_verify(self):
        files = write_shards(self.path("data"), [50, 50, 50])
        self.faro("index", self.path("data"), "--block-size", "16K")
        good = self.faro("verify", self.path("data"))
        self.assertIn(" 0 bad, 0 without a checksum", good.out)
        places = ((files[0], 3000), (files[0], os.path.getsize(files[0]) // 2),
                  (files[2], os.path.getsize(files[2]) - 20000))
        for file, offset in places:
            status = os.stat(file)
            with open(file, "r+b") as raw:
                raw.seek(offset)
                byte = raw.read(1)[0]
                raw.seek(offset)
                raw.write(bytes([byte ^ 1]))
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        for ranks in (None, 3):
            bad = self.start("verify", self.path("data"), "--attempts", 1, ranks=ranks).wait()
            self.assertEqual(bad.code, 1, str(bad))
            lines = [line for line in bad.out.splitlines() if line.startswith("bad: ")]
            found = {(match[1], int(match[2]), int(match[3])) for match in
                     (re.match(r"bad: file://(\S+) bytes (\d+)-(\d+) ", line) for line in lines)}
            self.assertEqual(len(found), 3, str(bad))
            for file, offset in places:
                self.assertEqual(sum(name == file and first <= offset <= last
                                     for name, first, last in found), 1, str(bad))
            self.assertIn(" 3 bad, ", bad.out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
