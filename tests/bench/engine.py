#!/usr/bin/env python3
"""The whole engine with a consumer that touches every byte, from files in the page cache.

Makes about 1 GB of tar shards (samples of 50 to 150 kB), then runs `faro run` for several rank counts
and windows. Each run is paired with the limit beside it: one process that reads the same files into one
buffer. Prints medians over the pairs; the ratio is delivered bytes per second over the limit's.

    tests/bench/engine.py build/release/bin/faro [--pairs 5] [--directory DIR]
"""
import argparse, io, json, os, random, statistics, subprocess, tarfile, tempfile, time

ENVIRONMENT = dict(os.environ, OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1",
                   OMPI_MCA_hwloc_base_binding_policy="none", OMPI_ALLOW_RUN_AS_ROOT="1",
                   OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def make(directory):
    rng = random.Random(1)
    for shard in range(16):
        path = os.path.join(directory, f"s-{shard:04d}.tar")
        if os.path.exists(path):
            continue
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for i in range(640):
                info = tarfile.TarInfo(f"{shard:04d}{i:05d}.jpg")
                info.size = rng.randint(50_000, 150_000)
                tar.addfile(info, io.BytesIO(rng.randbytes(info.size)))


def limit(directory):
    buffer = memoryview(bytearray(8 << 20))
    start, total = time.monotonic(), 0
    for name in sorted(os.listdir(directory)):
        if name.endswith(".tar"):
            with open(os.path.join(directory, name), "rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    total += count
    return total / (time.monotonic() - start)


def engine(faro, directory, ranks, window, extra):
    report = os.path.join(directory, "report.json")
    command = ["mpirun", "-n", str(ranks), faro, "run", directory, "--manifest",
               os.path.join(directory, "m.h5"), "--epochs", "3", "--global-batch", "64", "--window", window,
               "--memory", "4G", "--report", report, *extra]
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, timeout=300)
    with open(report, encoding="utf-8") as file:
        return [epoch["bytes_per_second"] for epoch in json.load(file)["epochs"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faro")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or temporary
        make(directory)
        manifest = os.path.join(directory, "m.h5")
        subprocess.run([options.faro, "index", directory, "--manifest", manifest], check=True,
                       env=ENVIRONMENT, capture_output=True)
        print("ranks window  by       first epoch  last epoch  limit GB/s  last/limit")
        for ranks, window, extra in [(1, "256M", []), (2, "256M", []), (4, "256M", []), (2, "full", []),
                                     (4, "full", []), (2, "256M", ["--node-ranks", "1"]),
                                     (4, "256M", ["--node-ranks", "1"])]:
            first, last, raw = [], [], []
            for _ in range(options.pairs):
                raw.append(limit(directory))
                epochs = engine(options.faro, directory, ranks, window, extra)
                first.append(epochs[0])
                last.append(epochs[-1])
            ratio = statistics.median(a / b for a, b in zip(last, raw))
            way = "message" if extra else "pointer"
            print(f"{ranks:5} {window:7} {way:8} {statistics.median(first) / 1e9:11.2f} "
                  f"{statistics.median(last) / 1e9:11.2f} {statistics.median(raw) / 1e9:11.2f} {ratio:11.2f}")


main()
