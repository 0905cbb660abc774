"""A store that goes away, comes back or throttles: the job goes on by itself, or ends as one, in
time and without hammering."""
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from servers import FaultServer, Nginx
from support import Test, read_json, read_order, without_ranks, write_shards


class Outage(Test):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="faro-e2e-outage-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.nginx = Nginx(cls, folder)
        cls.folder = os.path.join(cls.nginx.data, "set")
        cls.files = write_shards(cls.folder, [90, 70, 5, 110])
        cls.bytes = sum(map(os.path.getsize, cls.files))
        cls.shards = "/set/shard-{000..003}.tar"

    def settings(self, *more, window="64K", epochs=2):
        sizes = () if "--block-size" in more else ("--block-size", "16K", "--request-size", "8K")
        return ("--seed", 11, "--epochs", epochs, "--global-batch", 32, "--end", "partial",
                "--window", window, "--verify", *sizes, *more)

    def requests_of(self, since):
        """What nginx has answered, whatever the answer."""
        self.nginx.mark()
        with open(os.path.join(self.nginx.folder, "logs", "access.log"), encoding="utf-8") as file:
            file.seek(since)
            return file.read().splitlines()

    def test_gone_for_20_seconds(self):
        """The store is killed in the middle of the run, and starts again on its port."""
        expected = without_ranks(self.run_order(self.folder, *self.settings(), ranks=3)[0])
        order, report = self.path("order.csv"), self.path("report.json")
        slow = self.nginx.shaped(delay=60) + self.shards  # long enough to be caught in the middle
        job = self.start("run", slow, *self.settings("--order", order, "--report", report), ranks=3)
        job.wait_for("epoch 0:", 40)
        self.nginx.stop()
        time.sleep(20)
        self.assertIsNone(job.process.poll(), "it did not wait")
        self.assertTrue(self.nginx.start())
        result = job.wait(60)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(result.err.count("the store has answered nothing for 5 s"), 1, str(result))
        self.assertEqual(result.err.count("the store answers again, after "), 1, str(result))
        self.assertEqual(without_ranks(read_order(order)), expected)
        self.assertGreater(read_json(report)["retries"], 0)

    def test_gone_for_good(self):
        """All ranks end with one error, soon after the deadline."""
        slow = self.nginx.shaped(delay=60) + self.shards
        job = self.start_failing("run", slow, *self.settings("--outage-deadline", 6, epochs=100),
                                 ranks=3)
        job.wait_for("epoch 0:", 40)
        gone = time.monotonic()
        self.nginx.stop()
        try:
            with Listener(self.nginx.plain) as listener:  # that accepts, and answers nothing
                self.failed(job, says=["(network", "/set/shard-00", "answered nothing for"],
                            seconds=90, code=1)
                took = time.monotonic() - gone
                count = listener.connections
        finally:
            self.assertTrue(self.nginx.start())
        self.assertGreater(took, 5)
        self.assertLess(took, 15)
        # The job's budget is of 500 tokens, 10 for each; and what was in flight.
        self.assertLess(count, 3 * 16 + 60)

    def test_never_there(self):
        with Listener() as listener:
            start = time.monotonic()
            self.fails("run", f"http://127.0.0.1:{listener.port}" + self.shards, "--outage-deadline",
                       3, ranks=4, seconds=20, says=["(network", "answered nothing for"])
            self.assertLess(time.monotonic() - start, 15)
            self.assertLess(listener.connections, 100)

    def test_a_wrong_host_is_not_silence(self):
        """Who mistyped a name is told while it is tried again, not only at its end."""
        for command in ("run", "index"):
            result = self.fails(command, "http://store.invalid/shard-{0..3}.tar",
                                "--outage-deadline", 7, ranks=2, seconds=30,
                                says=["(network", "store.invalid", "answered nothing for"])
            self.assertEqual(result.err.count("the store has answered nothing for 5 s"), 1,
                             str(result))

    def test_ten_percent_of_503(self):
        """What is sent beyond what is needed, and whether the epoch is right all the same."""
        more = ("--block-size", "4K", "--request-size", "4K")
        manifest = self.path("set.h5")
        uri = self.nginx.shaped(errors=10) + self.shards
        self.faro("index", uri, "--manifest", manifest, *more[:2])
        expected, _ = self.run_order(self.folder, *self.settings(*more, epochs=6), ranks=2)
        rows, report = self.run_order(uri, *self.settings("--manifest", manifest, *more, epochs=6),
                                      ranks=2)
        self.assertEqual(without_ranks(rows), without_ranks(expected))
        self.assertEqual(report["store_bytes"], 6 * self.bytes)
        needed = 6 * report["plan"]["epoch_requests"]
        self.assertGreater(needed, 1000)
        self.assertGreater(report["retries"], needed // 20)
        # One in ten again and again is 1.11, and hedges 0.02 at most.
        self.assertLessEqual(report["store_requests"], 1.15 * needed)

    def test_slow_ones(self):
        """1 % that take very long to the first byte are raced; few requests are."""
        uri = self.nginx.shaped(delay=5, slow=3000) + self.shards
        rows, report = self.run_order(uri, *self.settings(epochs=4), ranks=2)
        self.assertEqual(len(rows), 4 * 275)
        self.assertEqual(report["retries"], 0)
        self.assertGreater(report["hedges_won"], 0)
        self.assertLessEqual(report["hedges"] * 50, report["store_requests"] + 100)

    def test_every_read_is_throttled_once(self):
        """As many retries as reads, and no more, whichever rank told the others to ask for less."""
        faults = FaultServer(self)
        data = faults.uri("get:code=SlowDown,ok", "set.bin")
        _, report = self.run_order(data, "--format", "raw", "--raw-record", 1024, "--block-size",
                                   "16K", "--no-checksums", "--global-batch", 64, "--verify", ranks=3)
        needed = report["plan"]["epoch_requests"]
        self.assertEqual(report["retries_by"]["throttled"], needed)
        log = [entry for entry in faults.log() if entry["method"] == "GET"]
        self.assertLessEqual(len(log), 2 * needed + 3)


class Listener:
    """Takes connections and closes them at once: counts them."""

    def __init__(self, port=0):
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.socket.accept()[0].close()
                self.connections += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class Names(Test):
    @unittest.skipIf(os.getuid() != 0, "only root can mount another /etc/hosts")
    def test_all_addresses_are_used(self):
        """One name for three servers: a store of many is used as a whole."""
        faults = FaultServer(self)
        port = faults.port
        hosts = self.path("hosts")
        with open(hosts, "w", encoding="utf-8") as file:
            file.write("127.0.0.1 localhost store.test\n127.0.0.2 store.test\n127.0.0.3 store.test\n")
        mount = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && "$@"', "sh"]
        if subprocess.run([*mount, "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("this root may not mount")
        found = subprocess.run([*mount, "getent", "ahostsv4", "store.test"], check=False, text=True,
                               capture_output=True).stdout
        if not all(f"127.0.0.{i}" in found for i in (1, 2, 3)):
            self.skipTest("this machine does not look names up in /etc/hosts")
        with Forwarder("127.0.0.2", port) as second, Forwarder("127.0.0.3", port) as third:
            self.faro("run", f"http://store.test:{port}/slow_head=0.02/shard.bin", "--format", "raw",
                      "--raw-record", 1024, "--block-size", "8K", "--no-checksums", "--window", "64K",
                      "--epochs", 3, "--verify", before=mount, ranks=2)
            total = faults.control("/connections")
            self.assertGreater(second.connections, 0)
            self.assertGreater(third.connections, 0)
            # Those of the others are this server's connections, too.
            self.assertGreater(total - second.connections - third.connections, 0)


class Forwarder(Listener):
    """The same port of another address."""

    def __init__(self, host, port):
        self.host = host
        self.connections, self.port = 0, port
        self.socket = socket.create_server((host, port), backlog=256)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.socket.accept()[0]
                self.connections += 1
                far = socket.create_connection(("127.0.0.1", self.port))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    @staticmethod
    def pump(source, target):
        with contextlib.suppress(OSError), source:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    unittest.main(verbosity=2)
