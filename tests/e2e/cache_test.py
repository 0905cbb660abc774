"""The cache: what it saves, that it never harms, and that it keeps to its limit."""
import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from servers import serve_shards
from support import (FARO, Test, read_json, read_order, samples_of_tars, tagged, without_ranks,
                     write_shards)

PAGE = 4096


def walk(folder):
    """The files of a cache, by path: their bytes in whole pages."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size = os.lstat(os.path.join(path, name)).st_size
                found[os.path.join(path, name)] = -(-size // PAGE) * PAGE
    return found


def entries(folder):
    return sorted(path for path in walk(folder) if len(os.path.basename(path)) == 32)


def ranks_of(job):
    """The processes of a job's ranks."""
    found = []
    for pid in tagged(job.tag):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read().split(b"\0")[0] == FARO.encode():
                    found.append(pid)
    return sorted(found)


def why_not_mount():
    if os.getuid() != 0:
        return "only root can mount a small file system"
    with tempfile.TemporaryDirectory(prefix="faro-e2e-") as folder:
        probe = subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
            check=False, capture_output=True)
    return None if probe.returncode == 0 else f"cannot mount: {probe.stderr.decode().strip()}"


class Watch(threading.Thread):
    """The most that a cache's files take, looked at all the time; under its lock, as files that
    come and go meanwhile would be seen together."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.most, self.looks, self.over = folder, 0, 0, False

    def __enter__(self):
        self.start()
        return self

    def run(self):
        while not self.over:
            with contextlib.suppress(FileNotFoundError):
                with open(os.path.join(self.folder, "faro-cache-1", "lock"), "rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    self.most = max(self.most, sum(walk(self.folder).values()))
                    self.looks += 1
            time.sleep(0.002)

    def __exit__(self, *_):
        self.over = True
        self.join()


class Cache(Test):
    @classmethod
    def setUpClass(cls):
        cls.base = serve_shards(cls)
        cls.data = cls.nginx.http + cls.pattern

    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        self.manifest = self.index(self.data)

    def index(self, data, name="set.h5"):
        self.faro("index", data, "--manifest", self.path(name), "--block-size", "16K", ranks=2)
        return self.path(name)

    def arguments(self, *more, manifest=None, window="150K", epochs=1, cache=None, limit="1G",
                  seed=11):
        return ["--manifest", manifest or self.manifest, "--seed", seed, "--epochs", epochs,
                "--global-batch", 32, "--end", "partial", "--window", window, "--verify",
                "--cache", cache or self.cache, "--cache-limit", limit, *more]

    def order(self, *more, data=None, ranks=3, **settings):
        rows, report = self.run_order(data or self.data, *self.arguments(*more, **settings),
                                      ranks=ranks)
        for row in rows:
            self.assertEqual(row[5:8], tuple(self.samples[row.sample]))
        self.assertTrue(report["verified"])
        self.assertEqual(report["bytes"],
                         sum(row.bytes for row in rows if not row.pad))
        # What did not come from the store came from the cache.
        reads = 1 if report["plan"]["resident"] else settings.get("epochs", 1)
        self.assertEqual(report["store_bytes"] + report["cache_bytes"], reads * self.bytes)
        return rows, report

    def requests_since(self, mark):
        self.nginx.mark()
        with open(os.path.join(self.nginx.folder, "logs", "access.log"), encoding="utf-8") as file:
            file.seek(mark)
            return file.read().splitlines()

    def test_a_second_job_reads_nothing(self):
        """Whatever its ranks, its seed and its window; and the order is the same as without."""
        _, first = self.order(ranks=3)
        self.assertEqual(first["store_bytes"], self.bytes)
        self.assertEqual(first["cache_written_bytes"], self.bytes)
        self.assertEqual(first["cache_dropped"], 0)
        for ranks, seed, window, epochs in ((1, 11, "150K", 1), (2, 5, "1", 2), (4, 6, "full", 2)):
            with self.subTest(ranks=ranks, seed=seed, window=window):
                mark = self.nginx.mark()
                rows, report = self.order(ranks=ranks, seed=seed, window=window, epochs=epochs)
                self.assertEqual(self.requests_since(mark), [])
                for key in ("store_bytes", "store_requests", "retries", "wasted_bytes",
                            "cache_written_bytes", "cache_dropped"):
                    self.assertEqual(report[key], 0, key)
                self.assertGreaterEqual(report["cache_hits"], report["plan"]["blocks"])
                plain, _ = self.run_order(
                    self.data, "--manifest", self.manifest, "--seed", seed, "--epochs", epochs,
                    "--global-batch", 32, "--end", "partial", "--window", window, ranks=2)
                self.assertEqual(without_ranks(rows), without_ranks(plain))
        self.assertEqual([path for path in walk(self.cache) if path.endswith(".part")], [])

    def test_half_a_cache_is_half_of_the_reads(self):
        """Of every epoch but the first; rules that forget what was used longest ago have no hit."""
        size = sum(self.costs())
        for cache, ranks in ((self.path("a"), 1), (self.path("b"), 3), ("memory", 1), ("memory", 3)):
            with self.subTest(cache=cache, ranks=ranks):
                _, report = self.order(cache=cache, ranks=ranks, epochs=5, limit=size // 2)
                later = 4 * self.bytes
                self.assertGreater(report["cache_bytes"], 0.45 * later)
                self.assertLess(report["cache_bytes"], 0.55 * later)
                self.assertEqual(report["cache_dropped"], 0)
                # Where one node reads everything, nothing that was kept is replaced.
                self.assertLess(report["cache_written_bytes"], 0.55 * self.bytes)
                if cache != "memory":
                    self.assertLessEqual(sum(walk(cache).values()), size // 2)

    def costs(self):
        """Of all blocks, as a cache counts them."""
        if not hasattr(type(self), "all_costs"):
            folder = self.path("full")
            self.order(cache=folder)
            type(self).all_costs = [cost for path, cost in walk(folder).items()
                                    if len(os.path.basename(path)) == 32]
            shutil.rmtree(folder)
        return self.all_costs

    def test_memory(self):
        """Shared by the node's ranks, part of the plan, and gone with them."""
        for ranks in (1, 4):
            with self.subTest(ranks=ranks):
                mark = self.nginx.mark()
                _, report = self.order(cache="memory", ranks=ranks, epochs=3)
                # A rank may come to a block before the one that read it last has written it.
                self.assertLess(report["store_bytes"], (1 if ranks == 1 else 1.6) * self.bytes + 1)
                self.assertEqual(len(self.requests_since(mark)), report["store_requests"])
                plan = report["plan"]
                self.assertGreaterEqual(plan["cache_bytes"] * ranks, self.bytes)
                self.assertEqual(
                    plan["planned_peak_bytes"],
                    sum(plan[part + "_bytes"] for part in
                        ("arena", "arrival", "table", "request", "cache")))
        result = self.fails("run", self.data, *self.arguments(
            "--memory", plan["planned_peak_bytes"] - 1, cache="memory", epochs=3), says=["(memory"])
        self.assertEqual(len(result.errors), 1)
        # Where the window holds everything, there is nothing to be gained.
        result = self.faro("run", self.data, *self.arguments(cache="memory", window="full"))
        self.assertIn("the window holds the whole data set", result.err)
        job = self.start("run", self.data, *self.arguments(cache="memory", epochs=1000), ranks=3)
        job.wait_for("epoch 2:")
        for pid in ranks_of(job):
            os.kill(pid, signal.SIGKILL)
        self.assertNotEqual(job.wait().code, 0)  # and wait() looks into /dev/shm

    def test_kill_9(self):
        """At any moment: what the next run finds there is right, and it cleans up."""
        rng = random.Random(4)
        size = sum(self.costs())
        partial = 0
        for attempt in range(8):
            with self.subTest(attempt=attempt):
                shutil.rmtree(self.cache, ignore_errors=True)
                # Half of them while the cache fills, the others while it is full.
                limit = 2 * size if attempt % 2 else size // 3
                job = self.start("run", self.data, *self.arguments(
                    epochs=2000, limit=limit, window="1"), ranks=3)
                while not os.path.exists(self.cache) and job.process.poll() is None:
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, 0.06 if attempt % 2 else 0.4))
                victims = ranks_of(job)
                if victims:
                    os.kill(rng.choice(victims), signal.SIGKILL)
                self.assertNotEqual(job.wait().code, 0)
                left = [path for path in walk(self.cache) if path.endswith(".part")]
                partial += len(left)
                before = entries(self.cache)
                _, report = self.order(limit=limit, epochs=2, seed=attempt)
                self.assertEqual(report["cache_dropped"], 0)
                self.assertGreaterEqual(report["cache_hits"], len(before))
                self.assertEqual([path for path in left if os.path.exists(path)], [])
                self.assertLessEqual(sum(walk(self.cache).values()), limit)
        print(f"unfinished files that were left: {partial}")

    def test_damaged_files(self):
        """Each is found, removed and read from the store again; the job does not notice."""
        self.order()
        paths = entries(self.cache)
        self.assertGreater(len(paths), 12)

        def flip(path, at):
            with open(path, "r+b") as file:
                file.seek(at)
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 1]))

        def replace_by_folder(path):
            os.remove(path)
            os.mkdir(path)

        def replace_by_link(path):
            os.remove(path)
            os.symlink("/dev/zero", path)

        damages = [lambda p: flip(p, 0), lambda p: flip(p, 20), lambda p: flip(p, 60),
                   lambda p: flip(p, 64), lambda p: flip(p, os.path.getsize(p) - 1),
                   lambda p: os.truncate(p, 0), lambda p: os.truncate(p, 63),
                   lambda p: os.truncate(p, os.path.getsize(p) - 1),
                   lambda p: shutil.copyfile(paths[-1], p), replace_by_folder, replace_by_link]
        lost = 0
        for path, damage in zip(paths, damages):
            lost += os.path.getsize(path) - 64
            damage(path)
        if os.getuid() != 0:
            os.chmod(paths[len(damages)], 0)
            lost += os.path.getsize(paths[len(damages)]) - 64
        _, report = self.order()
        self.assertEqual(report["store_bytes"], lost)
        self.assertGreaterEqual(report["cache_dropped"], len(damages))
        self.assertEqual(report["retries"], 0)
        _, report = self.order(ranks=2)
        self.assertEqual(report["store_bytes"], 0)

    def test_others_files_stay(self):
        """Also where the cache has to make room."""
        self.order(limit="1G")
        inside = os.path.dirname(entries(self.cache)[0])
        others = [os.path.join(folder, name) for folder in (self.cache, os.path.dirname(inside), inside)
                  for name in ("notes.txt", "a" * 31, "b" * 32 + ".old")]
        for path in others:
            with open(path, "w", encoding="utf-8") as file:
                file.write("mine")
        self.order(limit=sum(self.costs()) // 4, epochs=2)
        for path in others:
            self.assertTrue(os.path.exists(path), path)

    def test_full_disk(self):
        """The job goes on, says it once for a rank, and counts what it could not keep."""
        reason = why_not_mount()
        if reason:
            self.skipTest(reason)
        os.mkdir(self.cache)
        before = ["unshare", "--mount", "sh", "-c",
                  f'mount -t tmpfs -o size=128k tmpfs "{self.cache}" || exit 99; exec "$@"', "sh"]
        report = self.path("report.json")
        result = self.faro("run", self.data, *self.arguments("--report", report, epochs=3),
                           before=before, ranks=2)
        report = read_json(report)
        self.assertTrue(report["verified"])
        self.assertGreater(report["cache_dropped"], 0)
        self.assertGreater(report["cache_hits"], 0)
        warnings = [line for line in result.err.splitlines() if "takes no more blocks" in line]
        self.assertIn(len(warnings), (1, 2), str(result))
        self.assertIn("No space left on device", warnings[0])

    def test_limit(self):
        """Two jobs at once on one directory, of the same data set and of two, never exceed it."""
        other = write_shards(os.path.join(self.nginx.data, "other"), [80, 90])
        self.addCleanup(shutil.rmtree, os.path.dirname(other[0]))
        other_data = self.nginx.http + "/other/shard-{000..001}.tar"
        other_manifest = self.index(other_data, "other.h5")
        limit = sum(self.costs()) // 2
        for data, manifest in ((self.data, self.manifest), (other_data, other_manifest)):
            with self.subTest(data=data), Watch(self.cache) as watch:
                jobs = [self.start("run", d, *self.arguments(
                    manifest=m, epochs=150, limit=limit, window="40K", seed=seed), ranks=2)
                    for d, m, seed in ((self.data, self.manifest, 1), (data, manifest, 2))]
                for job in jobs:
                    result = job.wait(120)
                    self.assertEqual(result.code, 0, str(result))
            self.assertLessEqual(watch.most, limit)
            self.assertGreater(watch.most, limit * 0.8)
            self.assertGreater(watch.looks, 10)
        # And a smaller one shrinks what is there.
        self.order(limit=limit // 2)
        self.assertLessEqual(sum(walk(self.cache).values()), limit // 2)

    def test_a_changed_shard(self):
        """Its blocks are others, although name and size are the same; those of the rest stay."""
        folder = os.path.join(self.nginx.data, "changing")
        files = write_shards(folder, [40, 40])
        self.addCleanup(shutil.rmtree, folder)
        data = self.nginx.http + "/changing/shard-{000..001}.tar"
        manifest = self.index(data, "changing.h5")
        report = self.path("report.json")
        run = ["run", data, *self.arguments("--report", report)]
        run[run.index("--manifest") + 1] = manifest
        self.faro(*run)
        with open(files[1], "r+b") as file:
            content = bytearray(file.read())
            start = content.index(b"1/00000.") + 512  # the first sample's bytes
            content[start:start + 8] = bytes(byte ^ 255 for byte in content[start:start + 8])
            file.seek(0)
            file.write(content)
        later = os.stat(files[1]).st_mtime + 10  # nginx's ETag is size and whole seconds
        os.utime(files[1], (later, later))
        os.remove(manifest)
        self.index(data, "changing.h5")
        order = self.path("order.csv")
        self.faro(*run, "--order", order)
        read = read_json(report)
        self.assertEqual(read["store_bytes"], os.path.getsize(files[1]))
        self.assertEqual(read["cache_bytes"], os.path.getsize(files[0]))
        samples = samples_of_tars(files)
        for row in read_order(order):
            self.assertEqual(row[5:8], tuple(samples[row.sample]))

    def test_absurd_settings(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        run = ["run", self.data, "--manifest", self.manifest]
        for more, says in ((("--cache", self.cache), "cache_limit"),
                           (("--cache", self.path("file"), "--cache-limit", "1G"), "cannot be made"),
                           (("--cache", "/proc/1/x", "--cache-limit", "1G"), "cannot be"),
                           (("--cache", "", "--cache-limit", "1G"), "cache")):
            with self.subTest(more):
                self.fails(*run, *more, says=[says])


if __name__ == "__main__":
    unittest.main(verbosity=2)
