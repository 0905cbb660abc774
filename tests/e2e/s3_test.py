"""s3:// end to end, against Ceph's radosgw: the quick start's steps, what names a data set, and what
a store refuses: one clear error on every rank, in which no secret shows."""
import os
import shutil
import subprocess
import tempfile
import unittest


from servers import FaultServer, Radosgw, aws, radosgw
from support import Test, samples_of_tars, without_ranks, write_shards

# Of the users that the stores know; and of one that nobody knows.
SECRETS = (radosgw.SECRET, radosgw.STRANGER_SECRET, "hiddenSecret/+01234", "hiddenToken/+01234==")


class S3Test(Test):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.check_no_secret_in_files)

    def check_no_secret_in_files(self):
        """Reports, manifests and orders; what was printed is looked at by run()."""
        for folder, _, names in os.walk(self.dir):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                for secret in SECRETS:
                    self.assertNotIn(secret.encode(), content, name)

    def check_output(self, result):
        for secret in SECRETS:
            self.assertNotIn(secret, result.out + result.err)
        self.assertNotIn("AWS4-HMAC-SHA256", result.out + result.err)
        self.assertNotIn("Signature=", result.out + result.err)
        return result

    def faro(self, *arguments, **options):
        return self.check_output(super().faro(*arguments, **options))

    def fails(self, *arguments, **options):
        return self.check_output(super().fails(*arguments, **options))


class RealStore(S3Test):
    """One radosgw for all: each test has its own prefix."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="faro-e2e-s3-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.store = Radosgw(cls, os.path.join(folder, "rgw"))
        cls.folder = os.path.join(folder, "set")
        cls.files = write_shards(cls.folder, [90, 70, 5, 110])
        cls.samples = samples_of_tars(cls.files)
        cls.bytes = sum(map(os.path.getsize, cls.files))
        for file in cls.files:
            with open(file, "rb") as content:
                cls.store.put("bucket/set/" + os.path.basename(file), content.read())
        cls.store.put("bucket/set/README", b"no shard")
        cls.environment = aws(cls.store.endpoint)
        cls.data = "s3://bucket/set/"

    def order(self, data, *more, environment=None, ranks=3, epochs=1):
        return self.run_order(data, *more, "--block-size", "16K", "--request-size", "8K", "--seed",
                              11, "--epochs", epochs, "--global-batch", 32, "--end", "partial",
                              "--window", "150K", "--verify", ranks=ranks,
                              environment=environment or self.environment)

    def test_quickstart(self):
        """Index, run with proof, and the same order as from the files, on any number of ranks."""
        manifest = self.path("set.h5")
        self.faro("index", self.data, "--manifest", manifest, "--block-size", "16K",
                  environment=self.environment, ranks=2)
        expected = without_ranks(self.order(self.folder)[0])
        for ranks in (2, 4):
            rows, report = self.order(self.data, "--manifest", manifest, ranks=ranks)
            self.assertEqual(without_ranks(rows), expected)
            self.assertEqual(report["store_bytes"], self.bytes)
            self.assertEqual(report["retries"], 0)
        for row in rows:
            self.assertEqual(row[5:8], self.samples[row.sample])

    def test_names_of_data(self):
        """A prefix with and without its slash, a glob, braces, a list: the same data set."""
        with open(self.path("uris"), "w", encoding="utf-8") as out:
            out.writelines(f"s3://bucket/set/{os.path.basename(f)}\n" for f in self.files)
        first = None
        for data in (self.data, self.data[:-1], self.data + "*.tar", self.data + "shard-00?.tar",
                     "s3://bucket/s*/shard-00[0-3].tar", self.data + "shard-{000..003}.tar", "@uris"):
            with self.subTest(data):
                rows, report = self.order(data, ranks=2)
                first = first or (without_ranks(rows), report["plan"]["digest"])
                self.assertEqual((without_ranks(rows), report["plan"]["digest"]), first)

    def test_settings(self):
        """From options, from AWS's files, and over TLS."""
        expected = without_ranks(self.order(self.data)[0])
        plain = aws()
        with open(self.path("credentials"), "w", encoding="utf-8") as file:
            file.write(f"[lab]\naws_access_key_id = {radosgw.KEY}\n"
                       f"aws_secret_access_key = {radosgw.SECRET}\n")
        with open(self.path("config"), "w", encoding="utf-8") as file:
            file.write(f"[profile lab]\nregion = us-east-1\nendpoint_url = {self.store.endpoint}\n")
        self.addCleanup(os.remove, self.path("credentials"))  # before files are searched for secrets
        files = {**aws(key=None), "AWS_SHARED_CREDENTIALS_FILE": self.path("credentials"),
                 "AWS_CONFIG_FILE": self.path("config")}
        for more, environment in (
                (("--endpoint-url", self.store.endpoint), plain),
                (("--endpoint-url", self.store.endpoint, "--s3-style", "path"), plain),
                (("--endpoint-url", self.store.https, "--ca-file", self.store.ca), plain),
                (("--endpoint-url", self.store.https), {**plain, "AWS_CA_BUNDLE": self.store.ca}),
                (("--profile", "lab"), files), ((), {**files, "AWS_PROFILE": "lab"})):
            with self.subTest(more):
                rows, _ = self.order(self.data, *more, environment=environment, ranks=2)
                self.assertEqual(without_ranks(rows), expected)

    def test_refused(self):
        end = self.store.endpoint
        nobody = aws(end, key="NOBODYKNOWS", secret=SECRETS[2])
        for data, environment, code, says in (
                (self.data, aws(end, secret=SECRETS[2]), "access_denied", ["SignatureDoesNotMatch"]),
                (self.data, nobody, "access_denied", ["InvalidAccessKeyId"]),
                (self.data, aws(end, key=radosgw.STRANGER, secret=radosgw.STRANGER_SECRET),
                 "access_denied", ["AccessDenied"]),
                (self.data, aws(end, key=None), "access_denied", ["AWS_ACCESS_KEY_ID"]),
                ("s3://nosuchbucket/set/", self.environment, "not_found", ["nosuchbucket"]),
                ("s3://bucket/nosuch/", self.environment, "not_found", ["s3://bucket/nosuch/"]),
                (self.data + "none.tar", self.environment, "not_found", ["none.tar"]),
                (self.data, aws(self.store.https), "network", ["certificate"])):
            with self.subTest(data=data, says=says):
                for command in ("run", "index"):
                    self.fails(command, data, ranks=2, environment=environment,
                               says=[f"({code}", *says])

    def test_wrong_clock(self):
        """A machine whose clock is an hour ahead: real requests, signed with a wrong time."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            self.skipTest("no C compiler to make a wrong clock with")
        with open(self.path("clock.c"), "w", encoding="utf-8") as file:
            file.write("""#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec* t) {
  long code = syscall(SYS_clock_gettime, id, t);
  if (id == CLOCK_REALTIME) t->tv_sec += 3600;
  return (int)code;
}
time_t time(time_t* out) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}
""")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", self.path("clock.so"),
                        self.path("clock.c")], check=True)
        self.fails("run", self.data, ranks=2, says=["(access_denied", "RequestTimeTooSkewed", "clock"],
                   environment={**self.environment, "LD_PRELOAD": self.path("clock.so")})


class FaultyStore(S3Test):
    """What radosgw cannot be made to say."""

    @classmethod
    def setUpClass(cls):
        cls.faults = FaultServer(cls)
        cls.environment = aws(cls.faults.endpoint(), key="AKIDFAULTY", secret=SECRETS[2],
                              token=SECRETS[3])
        cls.raw = ("--format", "raw", "--raw-record", cls.faults.SIZE // 256, "--no-checksums",
                   "--block-size", "64K", "--global-batch", 16, "--attempts", 2,
                   "--request-timeout", 1, "--outage-deadline", 2)

    def test_refused(self):
        """When the shard's size is asked for, and later, in the run."""
        for spec, code, says in (
                ("code=ExpiredToken", "access_denied", "expired"),
                ("code=RequestTimeTooSkewed", "access_denied", "clock"),
                ("code=SignatureDoesNotMatch", "access_denied", "SignatureDoesNotMatch"),
                ("code=NoSuchBucket", "not_found", "no bucket 'store'"),
                ("get:code=ExpiredToken", "access_denied", "expired"),
                ("get:code=SlowDown", "network", "SlowDown"),
                ("get:nasty_xml", "access_denied", "HTTP 403"),
                ("get:loop", "network", "redirects"),
                ("get:reset", "network", "answered nothing for")):
            with self.subTest(spec):
                self.fails("run", self.faults.s3(spec), *self.raw, ranks=3, code=1,
                           environment=self.environment, says=[f"({code}", says])

    def test_mended(self):
        for spec in ("region301", "region400", "get:s503,ok", "get:code=SlowDown,ok", "get:reset,ok",
                     "get:cut=20000,ok", "get:other_host", "get:s307"):
            with self.subTest(spec):
                self.faro("run", self.faults.s3(spec), *self.raw, "--verify", ranks=2,
                          environment=self.environment)

    def test_another_region_that_is_not_found(self):
        """Where the store does not say which."""
        self.fails("run", self.faults.s3("s301"), *self.raw, ranks=2, environment=self.environment,
                   says=["region"])

    def test_certificates(self):
        with open(self.path("ca.pem"), "w", encoding="utf-8") as file:
            file.write(self.faults.ports["ca"])
        for port, says in (("wrong_name", "certificate"), ("expired", "expired"),
                           ("self_signed", "certificate")):
            with self.subTest(port):
                self.fails("run", self.faults.s3("ok"), *self.raw, "--ca-file", self.path("ca.pem"),
                           "--endpoint-url", self.faults.endpoint(port), ranks=2,
                           environment=self.environment, says=["(network", says])

    def test_proxy(self):
        """http_proxy and no_proxy, as every other program has them."""
        proxied = {**self.environment, "no_proxy": "", "http_proxy": self.faults.endpoint("other")}
        self.faro("run", self.faults.s3("ok", "proxied.bin"), *self.raw, ranks=2, environment=proxied)
        log = self.faults.log("/ok/proxied.bin")
        self.assertEqual({entry["proxied"] for entry in log}, {True})
        self.assertEqual({entry["port"] for entry in log}, {self.faults.ports["other"]})
        self.assertEqual({entry["headers"]["host"] for entry in log},
                         {f"127.0.0.1:{self.faults.port}"})
        for exception, name in (("127.0.0.1", "but-one"), ("*", "none")):
            with self.subTest(exception):
                self.faro("run", self.faults.s3("ok", name + ".bin"), *self.raw, ranks=2,
                          environment={**proxied, "no_proxy": exception})
                log = self.faults.log(f"/ok/{name}.bin")
                self.assertGreater(len(log), 0)
                self.assertEqual({entry["proxied"] for entry in log}, {False})

    def test_proxy_for_tls(self):
        """https:// goes through the proxy in a tunnel: it sees the host's name, and no more."""
        with open(self.path("ca.pem"), "w", encoding="utf-8") as file:
            file.write(self.faults.ports["ca"])
        self.faro("run", self.faults.s3("ok", "tunnel.bin"), *self.raw, "--ca-file", self.path("ca.pem"),
                  "--endpoint-url", self.faults.endpoint("https"), ranks=2,
                  environment={**self.environment, "no_proxy": "",
                               "https_proxy": self.faults.endpoint("other")})
        tunnels = self.faults.log(f"127.0.0.1:{self.faults.ports['https']}")
        self.assertGreater(len(tunnels), 0)
        for tunnel in tunnels:
            self.assertNotIn("authorization", tunnel["headers"])
        log = self.faults.log("/ok/tunnel.bin")
        self.assertEqual({entry["port"] for entry in log}, {self.faults.ports["https"]})


if __name__ == "__main__":
    unittest.main(verbosity=2)
