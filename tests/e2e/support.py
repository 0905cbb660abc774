"""What the end-to-end tests share: running the command, and an oracle that owes it nothing.

The tests drive the built `faro` (environment: FARO, set by CMake) under mpirun, as a user does, and
hold what it writes against Python's own tarfile, csv and a CRC32C written here. By hand, one test
against the release preset's build:
    python3 tests/e2e/order_test.py Order.test_windows
"""
import collections
import contextlib
import csv
import glob
import io
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import unittest
import uuid

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FARO = os.environ.get("FARO") or os.path.join(ROOT, "build/release/bin/faro")

# More ranks than cores, unbound, as root: what Open MPI needs for it. No proxy between loopback's
# ends. C locale: messages of the system are compared.
ENVIRONMENT = {
    **os.environ,
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "no_proxy": "*",
    "LC_ALL": "C.UTF-8",
}


# ---- running ------------------------------------------------------------------------------------

class Result:
    """A run that has ended."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err = command, code, out, err
        self.seconds = seconds
        self.errors = [line for line in err.splitlines() if line.startswith("faro: error")]

    def __str__(self):
        return (f"{' '.join(self.command)}\nexit code {self.code} after {self.seconds:.1f} s\n"
                f"---- stdout\n{self.out[-3000:]}\n---- stderr\n{self.err[-3000:]}")


def tagged(tag):
    """The processes that were started with FARO_E2E_RUN=tag, by id."""
    found = []
    needle = f"FARO_E2E_RUN={tag}\0".encode()
    for entry in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(entry + "/environ", "rb") as file:
                if needle in file.read() + b"\0" and running(entry):
                    found.append(int(entry[6:]))
    return found


def running(entry):
    with open(entry + "/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def orphans_in_shm(before):
    """New files of /dev/shm that no process has mapped or open: what a run has left behind. Files
    that are in use belong to others on this machine."""
    new = set(os.listdir("/dev/shm")) - before
    if not new:
        return []
    used = set()
    for entry in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(entry + "/maps", encoding="utf-8", errors="replace") as file:
                used.update(line.split("/dev/shm/")[1].split("/")[0].strip() for line in file
                            if "/dev/shm/" in line)
            for link in os.listdir(entry + "/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"{entry}/fd/{link}")
                    if target.startswith("/dev/shm/"):
                        used.add(target[len("/dev/shm/"):].split("/")[0])
    return sorted(new & set(os.listdir("/dev/shm")) - used)


class Job:
    """A running command; wait() ends it, checks that nothing is left of it, and tells the Result.
    One that outlives its time is killed, with all that it has started, and is an error."""

    def __init__(self, command, cwd, environment=None):
        self.command = command
        self.tag = uuid.uuid4().hex
        self.shm = set(os.listdir("/dev/shm"))
        self.streams = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=cwd, env={**ENVIRONMENT, **(environment or {}), "FARO_E2E_RUN": self.tag},
            stdin=subprocess.DEVNULL, stdout=self.streams[0], stderr=self.streams[1],
            start_new_session=True)

    def so_far(self):
        """What it has written to stdout and stderr."""
        return [os.pread(stream.fileno(), 1 << 24, 0).decode(errors="replace")
                for stream in self.streams]

    def wait_for(self, text, seconds=30):
        """Until it has written that to stderr."""
        while text not in self.so_far()[1]:
            if self.process.poll() is not None or time.monotonic() > self.start + seconds:
                self.kill()
                raise AssertionError(f"did not say '{text}': {self.result()}")
            time.sleep(0.05)

    def wait(self, timeout=60):
        try:
            self.process.wait(timeout)
            result = self.result()
            self.check_nothing_left(result)
            return result
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {timeout} s: {self.result()}") from None
        finally:
            for stream in self.streams:
                stream.close()

    def result(self):
        return Result(self.command, self.process.returncode, *self.so_far(),
                      time.monotonic() - self.start)

    def check_nothing_left(self, result):
        # mpirun may return a moment before its ranks are gone. A process in the midst of an exec
        # shows no environment, and one that forks may have been passed by: only what is seen to be
        # clean twice is believed to be.
        deadline = time.monotonic() + 5
        clean = 0
        while True:
            left, files = tagged(self.tag), orphans_in_shm(self.shm)
            clean = 0 if left or files else clean + 1
            if clean == 2:
                return
            if clean == 1:
                time.sleep(0.02)
                continue
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"left: processes {left}, in /dev/shm {files}: {result}")
            time.sleep(0.1)

    def kill(self):
        """Asks mpirun first, which cleans up after its ranks."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        for pid in tagged(self.tag):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


# Keeps the exit code of a rank, and lets mpirun think that all is well: it would end the other ranks,
# and nobody could tell whether they would have ended by themselves.
KEEP_CODE = ["sh", "-c", '"$@"; echo $? >"$CODES/${OMPI_COMM_WORLD_RANK:-0}"', "sh"]


class Test(unittest.TestCase):
    """A test with a directory of its own: the working directory of what it runs."""

    maxDiff = 2000

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="faro-e2e-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self, *arguments, ranks=4, before=(), wrapper=(), environment=None, program=FARO):
        """ranks=None: without mpirun. before: the command that mpirun is started by; wrapper: the
        one that each rank is started by."""
        # A job must not outlive its test, however that ends.
        command = ["setpriv", "--pdeathsig", "TERM", "--", *before]
        if ranks is not None:
            command += ["mpirun", "-n", str(ranks)]
        return Job([*command, *wrapper, program, *map(str, arguments)], self.dir, environment)

    def faro(self, *arguments, timeout=60, **options):
        """Runs the command, which must succeed."""
        result = self.start(*arguments, **options).wait(timeout)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(result.errors, [], str(result))
        return result

    def fails(self, *arguments, says=(), code=None, seconds=15, **options):
        """Runs the command, which must fail on every rank as start_failing() and failed() say."""
        return self.failed(self.start_failing(*arguments, **options), says, code, seconds)

    def start_failing(self, *arguments, ranks=4, environment=None, **options):
        codes = tempfile.mkdtemp(dir=self.dir)
        job = self.start(*arguments, ranks=ranks, wrapper=KEEP_CODE,
                         environment={**(environment or {}), "CODES": codes}, **options)
        job.codes, job.ranks = codes, ranks or 1
        return job

    def failed(self, job, says=(), code=None, seconds=15):
        """Every rank ends by itself, within seconds, with the same exit code, which is one of
        faro's; there is one line of error, which says what it should."""
        result = job.wait(seconds + 30)
        codes = {}
        for name in os.listdir(job.codes):
            with open(os.path.join(job.codes, name), encoding="utf-8") as file:
                codes[int(name)] = int(file.read())
        self.assertEqual(sorted(codes), list(range(job.ranks)), str(result))
        self.assertEqual(len(set(codes.values())), 1, f"{codes}: {result}")
        self.assertIn(codes[0], (1, 2) if code is None else (code,), str(result))
        self.assertEqual(len(result.errors), 1, str(result))
        self.assertNotIn("(internal", result.errors[0], str(result))
        for words in says:
            self.assertIn(words, result.errors[0], str(result))
        self.assertLess(result.seconds, seconds, str(result))
        return result

    def run_order(self, data, *arguments, **options):
        """faro run; the rows of its order file, and its report."""
        name = uuid.uuid4().hex
        order, report = self.path(name + ".csv"), self.path(name + ".json")
        self.faro("run", data, *arguments, "--order", order, "--report", report, **options)
        return read_order(order), read_json(report)


# ---- the oracle ---------------------------------------------------------------------------------

def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC32C = crc32c_table()


def crc32c(data):
    """RFC 3720's, a byte at a time: for small data."""
    crc, table = 0xFFFFFFFF, CRC32C
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283

# A sample as the order file tells it.
Sample = collections.namedtuple("Sample", "key bytes crc32c")
Row = collections.namedtuple("Row", "epoch step rank slot sample key bytes crc32c pad")


def samples_of_tars(files):
    """What Python's tarfile finds in the shards, by WebDataset's rules, in the data set's order."""
    samples = []
    for file in files:
        found = []
        with tarfile.open(file) as tar:
            for member in tar:
                folder, base = os.path.split(member.name)
                if not member.isreg() or "." not in base or base.startswith("."):
                    continue
                key = os.path.join(folder, base.split(".", 1)[0])
                if not found or found[-1][0] != key:
                    found.append((key, []))
                found[-1][1].append(tar.extractfile(member).read())
        samples += [Sample(key, sum(map(len, parts)), f"{crc32c(b''.join(parts)):08x}")
                    for key, parts in found]
    return samples


def read_order(file):
    with open(file, newline="", encoding="utf-8") as text:
        rows = list(csv.reader(text, strict=True))
    if rows[0] != list(Row._fields):
        raise AssertionError(f"{file} begins with {rows[0]}")
    return [Row(*map(int, row[:5]), row[5], int(row[6]), row[7], int(row[8])) for row in rows[1:]]


def read_json(file):
    with open(file, encoding="utf-8") as text:
        return json.load(text)


def without_ranks(rows):
    return [(r.epoch, r.step, r.sample, r.key, r.bytes, r.crc32c, r.pad) for r in rows]


def by_epoch(rows):
    epochs = collections.defaultdict(list)
    for row in rows:
        epochs[row.epoch].append(row)
    return epochs


# ---- data sets ----------------------------------------------------------------------------------

def write_tar(file, samples, form=tarfile.PAX_FORMAT):
    """samples: (key, [(field, bytes)])."""
    with tarfile.open(file, "w", format=form) as tar:
        for key, fields in samples:
            for field, data in fields:
                info = tarfile.TarInfo(f"{key}.{field}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return file


def varied_samples(count, seed, mean=1200):
    """Samples of 0 to some thousand bytes, of one to three fields, with keys that are long, that hold
    commas, quotes and letters beyond ASCII, and that lie in folders with dots."""
    rng = random.Random(seed)
    samples = []
    for i in range(count):
        key = f"{seed}/{i:05}"
        if i % 17 == 3:
            key = f'{seed}/a "quoted", comma,{i}'
        if i % 29 == 5:
            key = f"{seed}/v1.5/größe-{i}"
        if i % 41 == 7:
            key = f"{seed}/" + "d" * 120 + f"/{'n' * 90}{i}"
        sizes = [min(int(rng.expovariate(1 / mean)), 8 * mean), 0 if i % 5 else 3, 700]
        fields = [("png", rng.randbytes(sizes[0])), ("cls", b"7" * sizes[1]),
                  ("seg.PNG", rng.randbytes(sizes[2]))][:1 + i % 3]
        if i % 23 == 11:
            fields = [("cls", b"")]
        samples.append((key, fields))
    return samples


def write_shards(folder, counts, form=tarfile.PAX_FORMAT, mean=1200):
    """Shards shard-000.tar and so on, with that many varied samples each."""
    os.makedirs(folder, exist_ok=True)
    return [write_tar(os.path.join(folder, f"shard-{i:03}.tar"), varied_samples(count, i, mean), form)
            for i, count in enumerate(counts)]
