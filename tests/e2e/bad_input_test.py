"""Bad input: a clear error on every rank, within seconds, and nothing left behind."""
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import unittest

from servers import FaultServer, Nginx, free_port
from support import Test, varied_samples, write_shards, write_tar


def tar_header(name, size_field, kind=b"0"):
    """A ustar header with that size field (12 bytes), and a right checksum."""
    header = struct.pack("100s8s8s8s12s12s8s1s100s6s2s247x", name, b"0000644", b"0000000",
                         b"0000000", size_field, b"00000000000", b" " * 8, kind, b"", b"ustar",
                         b"00")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


class BadInput(Test):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="faro-e2e-nginx-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.nginx = Nginx(cls, folder)
        cls.faults = FaultServer(cls)

    def setUp(self):
        super().setUp()
        self.data = self.path("data")
        self.shards = write_shards(self.data, [60, 60, 60, 60])

    def index(self, *arguments):
        manifest = self.path("data.h5")
        self.faro("index", *(arguments or (self.data,)), "--manifest", manifest, "--block-size",
                  "16K", ranks=2)
        return manifest

    # ---- shards

    def test_cut_short(self):
        """Within a member, within a header, and between two members."""
        with tarfile.open(self.shards[2]) as tar:
            members = tar.getmembers()
        for end in (members[-1].offset_data + 100, members[5].offset + 77, members[9].offset, 1):
            with self.subTest(end=end):
                os.truncate(self.shards[2], end)
                self.fails("run", self.data, says=["(format", "shard-002.tar", "byte "], code=1)
                self.fails("index", self.data, says=["shard-002.tar"], code=1)

    def test_cut_short_after_indexing(self):
        manifest = self.index()
        size = os.path.getsize(self.shards[1])
        os.truncate(self.shards[1], size - 5000)
        says = ["(changed", "shard-001.tar", str(size), str(size - 5000)]
        self.fails("run", self.data, "--manifest", manifest, says=says)

    def flip(self, file, offset):
        """Changes a byte as a disk does: nothing else tells."""
        status = os.stat(file)
        with open(file, "r+b") as raw:
            raw.seek(offset)
            byte = raw.read(1)[0]
            raw.seek(offset)
            raw.write(bytes([byte ^ 0x10]))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def test_flipped_byte(self):
        manifest = self.index()
        offset = os.path.getsize(self.shards[3]) // 2
        self.flip(self.shards[3], offset)
        result = self.fails("run", self.data, "--manifest", manifest, "--window", "100K",
                            "--attempts", 3, says=["(corrupt", "shard-003.tar", "3 attempts"])
        match = re.search(r"rank (\d)\).*shard-003.tar bytes (\d+)-(\d+) \(rank (\d)\)",
                          result.errors[0])
        self.assertIsNotNone(match, result.errors[0])
        self.assertEqual(match[1], match[4])
        self.assertTrue(int(match[2]) <= offset <= int(match[3]), result.errors[0])
        self.assertLess(int(match[3]) - int(match[2]), 32 << 10, "more than a block")
        self.fails("run", self.data, "--manifest", manifest, "--window", "full",
                   says=["(corrupt", "shard-003.tar"])

    def test_absurd_member_length(self):
        """2^63 in base 256 and in a PAX record, a negative one, and the most that octal holds."""
        pax = b"28 size=9223372036854775808\n"
        absurd = {
            "base 256": tar_header(b"a.bin", b"\x80" + (1 << 63).to_bytes(11, "big")),
            "negative": tar_header(b"a.bin", b"\xff" * 12),
            "octal": tar_header(b"a.bin", b"777777777777"),
            "2^64 - 1": tar_header(b"a.bin", b"\x80" + ((1 << 64) - 1).to_bytes(11, "big")),
            "pax": tar_header(b"x", b"00000000034", b"x") + pax.ljust(512, b"\0") +
                   tar_header(b"a.bin", b"00000000003"),
        }
        good = varied_samples(3, 9)
        for name, member in absurd.items():
            with self.subTest(name):
                write_tar(self.shards[1], good)
                with tarfile.open(self.shards[1]) as tar:
                    last = tar.getmembers()[-1]
                    end = last.offset_data + -(-last.size // 512) * 512
                with open(self.shards[1], "r+b") as file:
                    file.truncate(end)
                    file.seek(end)
                    file.write(member + bytes(2048))
                result = self.fails("run", self.data, says=["(format", "shard-001.tar", "byte "])
                at = int(re.search(r"byte (\d+)", result.errors[0])[1])
                self.assertTrue(end <= at < end + len(member), result.errors[0])

    def replaced_while_running(self, data, target, *more):
        job = self.start_failing("run", data, *more, "--epochs", 1000000, "--window", "16K",
                                 "--block-size", "16K")
        job.wait_for("epoch 3:")
        write_tar(target + ".new", varied_samples(60, 1, mean=1500))
        os.rename(target + ".new", target)
        self.failed(job, says=["(changed", os.path.basename(target)], seconds=30)

    def test_replaced_during_the_run(self):
        self.replaced_while_running(self.data, self.shards[1])

    def test_replaced_during_the_run_over_http(self):
        folder = os.path.join(self.nginx.data, "replaced")
        files = write_shards(folder, [60, 60, 60])
        self.replaced_while_running(self.nginx.http + "/replaced/shard-{000..002}.tar", files[1])

    def test_unreadable(self):
        os.chmod(self.shards[2], 0)
        # Root may read anything, but for these.
        drop = "-dac_override,-dac_read_search"
        powerless = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", "--"]
        before = powerless if os.getuid() == 0 else []
        self.fails("run", self.data, before=before, says=["(access_denied", "shard-002.tar"])

    def test_no_shards(self):
        os.mkdir(self.path("none"))
        self.fails("run", self.path("none"), says=["(not_found", self.path("none"), ".tar"])
        self.fails("run", self.path("nowhere"), says=["(not_found", self.path("nowhere")])
        self.fails("run", self.path("data", "*.tfrecord"), says=["(not_found", "*.tfrecord"])
        self.fails("run", self.path("data", "shard-{000..004}.tar"),
                   says=["(not_found", "shard-004.tar"])
        self.fails("run", "@" + self.path("list"), says=["(not_found", self.path("list")])
        self.fails("run", "s4://bucket/x.tar", says=["(invalid_argument", "s4://bucket/x.tar"])

    def test_only_empty_shards(self):
        write_shards(self.path("empty"), [0, 0])
        self.fails("run", self.path("empty"), says=["(format", "no samples", self.path("empty")])

    def test_no_tar(self):
        with open(self.shards[1], "wb") as file:
            file.write(os.urandom(20000))
        self.fails("run", self.data, says=["(format", "shard-001.tar", "byte 0"])

    def test_raw_of_another_size(self):
        self.fails("run", self.shards[0], "--format", "raw", "--raw-record", 1000,
                   says=["(format", "shard-000.tar", "raw"])

    def test_global_batch_too_large(self):
        self.fails("run", self.data, "--global-batch", 241, "--end", "drop",
                   says=["(invalid_argument", "241", "240"], code=2)

    # ---- servers

    def test_missing_and_denied(self):
        folder = os.path.join(self.nginx.data, "denied")
        write_shards(folder, [20, 20])
        http = self.nginx.http
        self.fails("run", http + "/nothing/shard-{000..001}.tar",
                   says=["(not_found", "/nothing/shard-00", "404"])
        self.fails("run", http + "/denied/shard-{000..001}.tar",
                   says=["(access_denied", "/denied/shard-00", "403"])
        self.fails("run", self.nginx.https + "/denied/shard-000.tar", "--ca-file", self.nginx.ca,
                   says=["(access_denied", "403"])

    def test_gone_after_indexing(self):
        """404 and 403 in the run itself."""
        folder = os.path.join(self.nginx.data, "gone")
        files = write_shards(folder, [40, 40, 40])
        data = self.nginx.http + "/gone/shard-{000..002}.tar"
        manifest = self.index(data)
        run = ("run", data, "--manifest", manifest, "--window", "64K")
        os.chmod(files[1], 0)
        if os.getuid() != 0:  # else nginx may read it
            self.fails(*run, says=["(access_denied", "shard-001.tar", "403"])
        os.remove(files[1])
        self.fails(*run, says=["(not_found", "shard-001.tar", "404"])

    def test_nobody_answers(self):
        uri = f"http://127.0.0.1:{free_port()}/shard.tar"
        soon = ("--outage-deadline", 1)
        self.fails("run", uri, *soon, says=["(network", uri, "the store has answered nothing for"])
        self.fails("run", "http://nowhere.invalid/shard.tar", *soon,
                   says=["(network", "nowhere.invalid"])

    def test_servers_that_misbehave(self):
        """The index needs the size alone: what goes wrong goes wrong in the run."""
        size = self.faults.SIZE
        raw = ("--format", "raw", "--raw-record", size // 256, "--no-checksums", "--block-size",
               "64K", "--global-batch", 16, "--attempts", 2, "--request-timeout", 1,
               "--outage-deadline", 2)
        self.faro("run", self.faults.uri("ok"), *raw)
        for mode, code, words in (
                ("cut=1000", "network", "after 1000 bytes of the body"),
                ("stall_body=0", "timeout", " 1.0 s"),
                ("garbage", "network", "2 attempts"), ("s503", "network", "503"),
                ("wrong_range", "network", "sent bytes 7 to"), ("whole", "network", "200")):
            mode = "get:" + mode
            with self.subTest(mode):
                self.fails("run", self.faults.uri(mode), *raw, ranks=3,
                           says=[f"({code}", f"/{mode}/shard.bin", words])

    # ---- settings

    def toml(self, text):
        with open(self.path("run.toml"), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path("run.toml")

    def test_toml(self):
        for text, says in (
                ("seed = 1\nglobal_bach = 8\n", ["run.toml:2", "global_bach", "no such setting"]),
                ("[order]\nseed = 1\n[store]\nretries = 8\n", ["run.toml:4", "retries"]),
                ('global_batch = "many"\n', ["run.toml:1", "global_batch", "many"]),
                ("global_batch = 1.5\n", ["run.toml:1", "global_batch", "1.5"]),
                ("global_batch = -1\n", ["run.toml:1", "global_batch", "-1"]),
                ("seed = [1, 2]\n", ["run.toml:1", "seed"]),
                ("verify = 3\n", ["run.toml:1", "verify"]),
                ('end = "dorp"\n', ["run.toml:1", "end", "dorp", "drop"])):
            with self.subTest(text):
                self.fails("run", self.data, "--config", self.toml(text), ranks=2, code=2,
                           says=["(invalid_argument", *says])
        self.fails("run", self.data, "--config", self.toml("seed = 1\nseed\n"),
                   says=["(format", "run.toml:2"])
        self.fails("run", self.data, "--config", self.path("no.toml"),
                   says=["(not_found", "no.toml"])

    def test_command_line(self):
        for arguments, says in (
                (("--window", "16MM"), "--window"), (("--end", "stop"), "--end"),
                (("--global-batch", "-5"), "--global-batch"), (("--memory", "lots"), "--memory"),
                (("--global-batch", "0"), "global_batch"), (("--epochs", "0"), "epochs"),
                (("--window", "0"), "window"), (("--format", "zip"), "zip")):
            with self.subTest(arguments):
                self.fails("run", self.data, *arguments, ranks=2, code=2,
                           says=["(invalid_argument", says])
        self.fails("run", says=["(invalid_argument", "no data"], code=2)
        self.fails("run", self.data, "--ca-file", self.path("no.pem"), says=["no.pem"])
        # These are seen before MPI starts: one rank speaks, all end.
        for arguments in (("run", self.data, "--windw", "1M"), ("rum", self.data), ("run", self.data,
                          "--seed")):
            with self.subTest(arguments):
                result = self.start(*arguments, ranks=3).wait()
                self.assertEqual(result.code, 2, str(result))
                self.assertEqual(result.err.count("--help"), 1, str(result))

    def test_exit_code_of_mpirun(self):
        result = self.start("run", self.path("nowhere")).wait()
        self.assertEqual(result.code, 1, str(result))
        self.assertEqual(len(result.errors), 1, str(result))
        result = self.start("run", self.path("nowhere"), ranks=None).wait()
        self.assertEqual(result.code, 1, str(result))

    # ---- manifests and outputs

    def test_manifests(self):
        manifest = self.index()
        with open(manifest, "rb") as file:
            whole = file.read()

        def bad(content, *says, data=self.data):
            with open(manifest, "wb") as file:
                file.write(content)
            self.fails("run", data, "--manifest", manifest, says=["data.h5", *says])

        bad(whole[:len(whole) // 2], "(format")
        bad(whole[:-1], "(format")
        bad(b"", "(format")
        bad(b"hello" * 1000, "(format")
        middle = len(whole) // 2
        bad(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:], "(format")
        # A good one, but of other shards.
        bad(whole, "(changed", "other shards", data=self.path("data", "shard-{000..002}.tar"))
        self.fails("run", self.data, "--manifest", self.path("no", "data.h5"),
                   says=["(", self.path("no", "data.h5")])
        self.fails("verify", self.data, "--manifest", self.path("none.h5"),
                   says=["(not_found", "none.h5", "faro index"])

    def test_outputs(self):
        self.fails("run", self.data, "--order", self.path("no", "order.csv"),
                   says=["(io", self.path("no", "order.csv")])
        self.fails("run", self.data, "--report", self.path("no", "report.json"),
                   says=["(io", self.path("no", "report.json")])
        self.fails("run", self.data, "--order", "/dev/full", says=["(io", "/dev/full"])

    @unittest.skipIf(os.getuid() != 0, "only root can mount a small file system")
    def test_full_disk(self):
        full = self.path("full")
        os.mkdir(full)
        mount = ["unshare", "--mount", "sh", "-c",
                 f'mount -t tmpfs -o size=16k tmpfs {full} && "$@"; echo left: $(ls -A {full}) >&2',
                 "sh"]
        if subprocess.run([*mount, "true"], check=False, capture_output=True).stdout:
            self.skipTest("this root may not mount")
        for name in ("order", "report", "manifest"):
            with self.subTest(name):
                # An order file of 960 rows is more than the file system holds; the others meet one
                # that is full already.
                fill = f"head -c 20000 /dev/zero >{full}/fill; " if name != "order" else ""
                before = [*mount[:4], mount[4].replace('&& "$@"', f'&& {fill}true; "$@"'), "sh"]
                target = os.path.join(full, name)
                result = self.fails("run", self.data, "--epochs", 4, f"--{name}", target, before=before,
                                    says=["(io", target])
                self.assertNotIn(".part", result.err.rsplit("left:", 1)[1], str(result))


if __name__ == "__main__":
    unittest.main(verbosity=2)
