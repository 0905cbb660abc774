"""Memory: what is planned is what is taken, and what is too little is said before the first read."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from servers import Nginx
from support import Test, read_json, write_tar

MIB = 1 << 20


def small_shm(mib, left):
    """Runs a command with a /dev/shm of that size, and writes what is left there into a file."""
    return ["unshare", "--mount", "sh", "-c",
            f'mount -t tmpfs -o size={mib}m tmpfs /dev/shm || exit 99; "$@"; code=$?; '
            f'ls -A /dev/shm >"{left}"; exit $code', "sh"]


def why_not_mount():
    """Why /dev/shm cannot be replaced here; None where it can."""
    if os.getuid() != 0:
        return "only root can mount another /dev/shm"
    left = tempfile.mktemp(prefix="faro-e2e-")
    probe = subprocess.run([*small_shm(1, left), "true"], check=False, capture_output=True)
    if os.path.exists(left):
        os.remove(left)
    return None if probe.returncode == 0 else f"cannot mount: {probe.stderr.decode().strip()}"


class Memory(Test):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="faro-e2e-nginx-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.nginx = Nginx(cls, folder)
        # 300 MB in 6 shards of 64 KiB samples: their bytes do not matter here.
        data = os.urandom(96 << 10)
        for shard in range(6):
            write_tar(os.path.join(cls.nginx.data, f"shard-{shard}.tar"),
                      [(f"{shard}-{i:04}", [("bin", data[i * 16:(i * 16) + (64 << 10)])])
                       for i in range(760)])
        cls.files = os.path.join(cls.nginx.data, "shard-{0..5}.tar")
        cls.bytes = sum(os.path.getsize(os.path.join(cls.nginx.data, name))
                        for name in os.listdir(cls.nginx.data))
        cls.manifest = os.path.join(folder, "files.h5")
        cls.http_manifest = os.path.join(folder, "http.h5")

    def setUp(self):
        super().setUp()
        if not os.path.exists(self.manifest):
            self.faro("index", self.files, "--manifest", self.manifest)
            self.faro("index", self.nginx.http + "/shard-{0..5}.tar", "--manifest",
                      self.http_manifest)

    def run_report(self, *more, data=None, manifest=None, **options):
        report = self.path("report.json")
        self.faro("run", data or self.files, "--manifest", manifest or self.manifest, *more,
                  "--report", report, **options)
        return read_json(report)

    def test_peak(self):
        """At most 1.15 of the plan and 64 MiB, from 16 MiB to everything, over nodes too."""
        for window, epochs, more in (("16M", 3, ()), ("64M", 1, ()), ("128M", 2, ()), ("full", 2, ()),
                                     ("64M", 2, ("--node-ranks", 2)), ("full", 1, ("--node-ranks", 1)),
                                     ("16M", 1, ("--global-batch", 1000))):
            with self.subTest(window=window, more=more):
                report = self.run_report("--window", window, "--epochs", epochs, *more, "--memory",
                                         "4G")
                planned, peak = report["planned_peak_bytes"], report["peak_rss_bytes"]
                self.assertLessEqual(peak, 1.15 * planned + 64 * MIB, report["plan"])
                # And the plan is no fantasy: most of a window that stays is there.
                if window == "full":
                    self.assertGreater(peak, self.bytes / 4)
                if window == "16M" and not more:
                    self.assertLess(planned, self.bytes / 4, "the plan grows with the data set")

    def test_skew(self):
        """A sample of 48 MiB among 4,000 of 4 KiB: whoever reads it, whoever gets it, over nodes of
        even and of uneven sizes, from rank to rank and gathered."""
        folder = self.path("skew")
        os.mkdir(folder)
        small = os.urandom(4 << 10)
        for shard in range(4):
            write_tar(os.path.join(folder, f"shard-{shard}.tar"),
                      [(f"{shard}-{i:04}", [("bin", bytes(48 << 20) if (shard, i) == (1, 500) else
                                             small)]) for i in range(1000)])
        manifest = self.path("skew.h5")
        self.faro("index", folder, "--manifest", manifest)
        largest = []
        for ranks, node_ranks, way, window in (
                (1, 0, "auto", "full"), (2, 1, "auto", "8M"), (3, 2, "direct", "full"),
                (3, 2, "gathered", "full"), (4, 2, "gathered", "8M"), (5, 2, "gathered", "full"),
                (5, 3, "direct", "8M"), (6, 3, "gathered", "full"), (8, 3, "gathered", "full"),
                (8, 1, "direct", "full"), (8, 2, "auto", "full")):
            with self.subTest(ranks=ranks, node_ranks=node_ranks, way=way, window=window):
                report = self.run_report("--window", window, "--epochs", 2, "--node-ranks", node_ranks,
                                         "--exchange", way, "--memory", "4G", "--global-batch", 100,
                                         "--verify", data=folder, manifest=manifest, ranks=ranks)
                self.assertTrue(report["verified"])
                self.assertLessEqual(report["peak_rss_bytes"],
                                     1.15 * report["planned_peak_bytes"] + 64 * MIB, report["plan"])
                said = report["exchange"]
                if node_ranks == 0:
                    self.assertEqual((said["way"], said["messages"]), ("shared", 0))
                elif way != "auto":
                    self.assertEqual(said["way"], way)
                largest.append(said["largest_message_bytes"])
        # It went between nodes, but for where its reader's node was the one to get it.
        self.assertGreater(sum(size > 48 * MIB for size in largest), len(largest) // 2)

    def test_over_http(self):
        """libcurl's buffers are in the plan."""
        report = self.run_report("--window", "32M", "--memory", "1G", ranks=2,
                                 data=self.nginx.http + "/shard-{0..5}.tar",
                                 manifest=self.http_manifest)
        self.assertLessEqual(report["peak_rss_bytes"],
                             1.15 * report["planned_peak_bytes"] + 64 * MIB)

    def test_budget(self):
        """Too small a budget reads nothing, and the number that it names will do."""
        run = ("run", self.nginx.http + "/shard-{0..5}.tar", "--manifest", self.http_manifest,
               "--window", "32M")
        mark = self.nginx.mark()
        result = self.fails(*run, "--memory", "8M", says=["(memory", "--memory"], code=1)
        least = int(re.search(r"--memory (\d+)", result.errors[0])[1])
        auto = int(re.search(r"--window auto (\d+)", result.errors[0])[1])
        self.assertLess(auto, least)
        self.fails(*run, "--memory", least - 1, says=["(memory", f"--memory {least}"])
        self.fails(*run[:-1], "auto", "--memory", auto - 1, says=["(memory", f"--memory {auto}"])
        result = self.start("plan", *run[1:], "--memory", "8M").wait()
        self.assertEqual(result.code, 1, str(result))
        self.assertIn("too small", result.out)
        self.assertEqual(self.nginx.ranges(mark), [])
        for window, memory in (("32M", least), ("auto", auto)):
            report = self.run_report("--window", window, "--memory", memory, data=run[1],
                                     manifest=self.http_manifest)
            self.assertLessEqual(report["planned_peak_bytes"], memory)
            self.assertEqual(report["store_bytes"], self.bytes)

    def test_small_shm(self):
        """A container's /dev/shm of 64 MB: an error at the start, or all goes well; never a SIGBUS."""
        why = why_not_mount()
        if why:
            self.skipTest(why)
        left = self.path("left")
        before = small_shm(64, left)
        run = ("run", self.files, "--manifest", self.manifest)

        def check_left():
            with open(left, encoding="utf-8") as file:
                self.assertEqual(file.read(), "")

        for more in (("--window", "full", "--memory", "4G"), ("--window", "full"),
                     ("--window", "100M", "--memory", "1G")):
            with self.subTest(more):
                self.fails(*run, *more, before=before, says=["(memory"])
                check_left()
        # Left alone, it takes what there is.
        report = self.run_report("--window", "auto", before=before)
        self.assertEqual(report["store_bytes"], self.bytes)
        self.assertLess(report["plan"]["arena_bytes"], 16 * MIB)
        check_left()
        # On the edge: an arena of a little less and a little more than there is.
        codes = set()
        for mib in (10, 12, 13, 14, 15, 16, 17):
            result = self.start(*run, "--window", f"{mib}M", "--memory", "1G", before=before).wait()
            codes.add(result.code)
            if result.code != 0:
                self.assertEqual(len(result.errors), 1, str(result))
                self.assertIn("(memory", result.errors[0])
            self.assertNotIn("signal", result.err, str(result))
            check_left()
        self.assertEqual(codes, {0, 1}, "neither side of the edge was met")


if __name__ == "__main__":
    unittest.main(verbosity=2)
