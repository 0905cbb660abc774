"""Data into an object store: pack, put and the quickstart against a real S3 server."""
import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import servers
from servers import radosgw
from support import ENVIRONMENT, FARO, ROOT, Job, Test, read_json, write_shards

MIB = 1 << 20


def write_idx(folder, count):
    """Images that differ, as an IDX data set."""
    os.mkdir(folder)
    for split in ("train", "t10k"):
        pixels = b"".join(hashlib.sha256(b"%d" % i).digest() * 24 + bytes(16) for i in range(count))
        with open(os.path.join(folder, f"{split}-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
        with open(os.path.join(folder, f"{split}-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count)))
    return folder


def contents(file):
    with open(file, "rb") as data:
        return data.read()


class Put(Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.mkdtemp(prefix="faro-e2e-rgw-", dir="/dev/shm")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.store = servers.Radosgw(cls, folder)
        cls.aws = servers.aws(cls.store.endpoint)

    def setUp(self):
        super().setUp()
        self.prefix = re.sub(r"\W", "-", self.id().rsplit(".", 1)[1])
        self.uri = f"s3://bucket/{self.prefix}"

    def tearDown(self):
        """No test leaves an upload behind, whatever it does."""
        self.assertEqual(self.uploads(), [])
        super().tearDown()

    def uploads(self):
        body = self.store.must("GET", "/bucket", [("uploads", "")])[1].decode()
        return re.findall(r"<Key>([^<]*)</Key>", body)

    def objects(self, prefix=None):
        """ETags of what lies under a prefix, by name."""
        prefix = (prefix or self.prefix) + "/"
        body = self.store.must("GET", "/bucket", [("list-type", "2"), ("prefix", prefix)])[1].decode()
        return {key[len(prefix):]: etag.replace("&quot;", "") for key, etag in re.findall(
            r"<Key>([^<]*)</Key>.*?<ETag>([^<]*)</ETag>", body)}

    def check_same(self, folder):
        """The objects are the folder's files, byte by byte."""
        self.assertEqual(sorted(self.objects()), sorted(os.listdir(folder)))
        for name in os.listdir(folder):
            self.assertEqual(self.store.get(f"bucket/{self.prefix}/{name}"),
                             contents(os.path.join(folder, name)), name)

    def s3(self, *arguments, **options):
        return self.faro(*arguments, environment=self.aws, **options)

    def refused(self, *arguments, environment=None, **options):
        return self.fails(*arguments, environment={**self.aws, **(environment or {})}, **options)

    # ---- pack

    def test_pack_is_the_same_as_in_a_directory(self):
        write_idx(self.path("idx"), 530)
        self.faro("pack", "idx", self.path("shards"), "--samples-per-shard", 100, ranks=2)
        result = self.s3("pack", "idx", self.uri, "--samples-per-shard", 100, ranks=3)
        self.assertIn(f"{self.uri}/train-{{000000..000005}}.tar", result.err)
        self.check_same(self.path("shards"))
        report = self.path("report.json")
        self.s3("run", f"{self.uri}/train-{{000000..000005}}.tar", "--global-batch", 64, "--end",
                "pad", "--verify", "--report", report)
        self.assertTrue(read_json(report)["verified"])

        # What is there is not replaced unasked, and nothing is left over.
        self.refused("pack", "idx", self.uri + "/", "--samples-per-shard", 100, code=2,
                     says=[f"{self.uri}/train-000000.tar", "--force"])
        self.refused("pack", "idx", self.uri, "--samples-per-shard", 200, "--force", code=2,
                     says=["train-000003.tar", "left over"])
        self.s3("pack", "idx", self.uri, "--samples-per-shard", 100, "--force")
        self.check_same(self.path("shards"))

    def test_pack_in_parts(self):
        """A shard of more than one part."""
        write_idx(self.path("idx"), 10_500)
        self.faro("pack", "idx", self.path("shards"), "--samples-per-shard", 10_000, ranks=None)
        self.assertGreater(os.path.getsize(self.path("shards", "train-000000.tar")), 16 * MIB)
        self.s3("pack", "idx", self.uri, "--samples-per-shard", 10_000, ranks=2)
        self.check_same(self.path("shards"))
        self.assertRegex(self.objects()["train-000000.tar"], r"-[23]$")

    def test_pack_refused(self):
        write_idx(self.path("idx"), 30)
        self.check_refusals("pack", "idx")

    # ---- put

    def test_put_shards(self):
        shards = self.path("shards")
        write_shards(shards, [40, 1, 60, 30, 20])
        report = self.path("report.json")
        result = self.s3("put", shards, self.uri + "/", "--report", report, ranks=3)
        self.assertIn(f"{self.uri}/shard-{{000..004}}.tar", result.err)
        self.check_same(shards)
        told = read_json(report)
        self.assertEqual((told["files"], told["ranks"], told["retries"]), (5, 3, 0))
        self.assertEqual(told["bytes"],
                         sum(os.path.getsize(os.path.join(shards, n)) for n in os.listdir(shards)))
        self.assertEqual(told["data"], f"{self.uri}/shard-{{000..004}}.tar")

        self.refused("put", shards, self.uri, code=2, says=["shard-000.tar is there", "--force"])
        self.s3("put", shards, self.uri, "--force")
        self.check_same(shards)

    def test_put_large_and_empty(self):
        """A file in parts that several ranks send, one of exactly a part, and one without bytes."""
        os.mkdir(self.path("set"))
        for name, size in (("large", 40 * MIB + 12_345), ("part", 8 * MIB), ("one", 1), ("none", 0)):
            with open(self.path("set", name), "wb") as file:
                file.write(os.urandom(size))
        self.s3("put", "set/large", "set/{one,none}", self.path("set", "p*"), self.uri, ranks=3)
        self.check_same(self.path("set"))
        self.assertRegex(self.objects()["large"], r"-6$")

    def test_put_over_tls_and_from_a_store(self):
        """HTTPS by a CA of its own; and a copy of objects that are in the store already."""
        shards = self.path("shards")
        write_shards(shards, [10, 20])
        self.s3("put", shards, self.uri, "--endpoint-url", self.store.https, "--ca-file",
                self.store.ca, ranks=2)
        self.check_same(shards)
        self.refused("put", self.uri + "/", self.uri, "--force", code=2, says=["copied to itself"])
        self.s3("put", self.uri + "/", self.uri + "/copy", ranks=2)
        self.assertEqual(self.objects(self.prefix + "/copy").keys(), {"shard-000.tar", "shard-001.tar"})

    def test_put_bad_arguments(self):
        os.makedirs(self.path("a"))
        os.makedirs(self.path("b"))
        for folder in "ab":
            with open(self.path(folder, "same"), "w", encoding="utf-8") as file:
                file.write("x")
        self.refused("put", "a/same", code=2, says=["FILES"], ranks=2)
        self.refused("put", "a/same", self.path("there"), code=2, says=["s3://", "there"])
        self.refused("put", "a/same", "s3://", code=2, says=["bucket"])
        self.refused("put", "a/same", "b/same", self.uri, code=2, says=["both"])
        self.refused("put", "a/none", self.uri, says=["(not_found", "none"])
        self.refused("put", "a/same", self.uri, "--attempts", 0, code=2, says=["attempts"])
        self.assertEqual(self.objects(), {})
        text = self.faro("put", "--help", ranks=None).out
        for words in ("FILES", "s3://BUCKET/PREFIX", "--force", "--report", "--endpoint-url", "AWS_"):
            self.assertIn(words, text)

    def test_put_refused(self):
        with open(self.path("file"), "w", encoding="utf-8") as file:
            file.write("x")
        self.check_refusals("put", "file")

    def check_refusals(self, *what):
        self.refused(*what, "s3://no-such-bucket/x", says=["(not_found", "no-such-bucket"])
        for key, secret in ((radosgw.KEY, "wrong/secret"), ("NOSUCHKEY", radosgw.SECRET),
                            (radosgw.STRANGER, radosgw.STRANGER_SECRET)):
            result = self.refused(*what, self.uri, says=["(access_denied"],
                                  environment=servers.aws(self.store.endpoint, key, secret))
            self.assertNotIn(secret, result.out + result.err)
        # One who may look but not write.
        policy = ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":'
                  '["arn:aws:iam:::user/stranger"]},"Action":["s3:ListBucket","s3:GetObject"],'
                  '"Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}]}')
        self.store.must("PUT", "/bucket", [("policy", "")], policy.encode())
        self.addCleanup(self.store.must, "DELETE", "/bucket", [("policy", "")])
        self.refused(*what, self.uri, says=["(access_denied", "writing"], environment=servers.aws(
            self.store.endpoint, radosgw.STRANGER, radosgw.STRANGER_SECRET))
        self.assertEqual(self.objects(), {})

    def test_a_source_that_changes(self):
        with open(self.path("file"), "wb") as file:
            file.truncate(400 * MIB)
        job = self.start_failing("put", "file", self.uri, ranks=2, environment=self.aws)
        self.wait_for_upload(job)
        os.truncate(self.path("file"), 5)
        self.failed(job, says=["(changed", "file"])
        self.assertEqual(self.objects(), {})

    # ---- ended in the middle

    def wait_for_upload(self, job):
        deadline = time.monotonic() + 30
        while not self.uploads():
            if job.process.poll() is not None or time.monotonic() > deadline:
                job.kill()
                self.fail(f"no upload has begun: {job.result()}")
            time.sleep(0.01)

    def check_ended(self, job, number, words="ended by SIG"):
        self.wait_for_upload(job)
        job.process.send_signal(number)
        result = job.wait(30)
        self.assertNotEqual(result.code, 0, str(result))
        self.assertEqual(len(result.errors), 1, str(result))
        self.assertIn(words, result.errors[0])
        self.assertEqual(self.objects(), {})
        # The store may be taking in a part yet.
        deadline = time.monotonic() + 5
        while self.uploads() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.uploads(), [])

    def test_signals(self):
        """mpirun tells all ranks, and kills them a second later."""
        with open(self.path("file"), "wb") as file:
            file.truncate(2000 * MIB)
        for ranks in (None, 3):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(ranks=ranks, signal=number):
                    self.check_ended(self.start("put", "file", self.uri, ranks=ranks,
                                                environment=self.aws), number)
        write_idx(self.path("idx"), 100_000)
        self.check_ended(self.start("pack", "idx", self.uri, ranks=2, environment=self.aws),
                         signal.SIGTERM)

    def test_signal_while_a_directory_is_packed(self):
        write_idx(self.path("idx"), 100_000)
        shards = self.path("shards")
        job = self.start("pack", "idx", shards, ranks=2)
        while not (os.path.isdir(shards) and os.listdir(shards)) and job.process.poll() is None:
            time.sleep(0.01)
        job.process.terminate()
        result = job.wait(30)
        self.assertNotEqual(result.code, 0, str(result))
        self.assertIn("ended by SIGTERM", result.errors[0])
        self.assertEqual(os.listdir(shards), [])

    # ---- the whole way

    def test_quickstart(self):
        if os.path.realpath(FARO) != os.path.realpath(os.path.join(ROOT, "build/release/bin/faro")):
            self.skipTest("the quickstart builds build/release, which is not what is tested here")
        write_idx(self.path("idx"), 600)
        for packs in (True, False):
            job = Job(["setpriv", "--pdeathsig", "TERM", "--", os.path.join(ROOT, "jobs/quickstart.sh"),
                       self.path("out"), "--data", self.uri], self.dir,
                      {**self.aws, "FARO_DATA": self.path("idx")})
            result = job.wait(200)
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual("packed already" not in result.out, packs, str(result))
            self.assertIn("every sample delivered exactly once", result.out)
            report = read_json(self.path("out", "report.json"))
            self.assertTrue(report["verified"])
            self.assertTrue(report["data"].startswith(self.uri), report["data"])
            self.assertEqual(report["dataset_samples"], 600)
        self.assertEqual(list(self.objects()), ["train-000000.tar"])
        self.assertFalse(os.path.exists(self.path("out", "data")))

        bad = subprocess.run([os.path.join(ROOT, "jobs/quickstart.sh"), "--data", "/tmp"],
                             env=ENVIRONMENT, capture_output=True, text=True, check=False)
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn("s3://", bad.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
