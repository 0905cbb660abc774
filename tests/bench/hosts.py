#!/usr/bin/env python3
"""Three hosts on this machine (namespaces, tests/support/hosts.py), two ranks each: what faro delivers
from host to host over TCP, against what MPI's own Isend and Irecv bring of the same volume.

The data set (one file of 100 KiB samples) stays in memory, so epochs but the first read nothing, and
the consumer looks at nothing. An epoch's bytes from other hosts over its seconds, median of its epochs,
is held against hosts_limit's best message size right before. Prints each pair and the median ratio.
As root:

    tests/bench/hosts.py build/release/bin [--pairs 5] [--mib 384] [--sample 102400]
        [--faro "more settings"]
"""
import argparse, json, os, statistics, subprocess, sys, tempfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder)
                for folder in ("support", "e2e")]
from hosts import Hosts, why_not  # noqa: E402
from support import ENVIRONMENT  # noqa: E402

RANKS, PEERS = 6, 4


def mpirun(hosts, *command):
    launch = hosts.launch()
    return subprocess.run(
        [*launch["before"], "mpirun", "-n", str(RANKS), *map(str, command)], check=True, timeout=300,
        env={**ENVIRONMENT, **launch["environment"]}, capture_output=True, text=True).stdout


def limit(hosts, programs, volume):
    pair = volume // (RANKS * PEERS)
    said = mpirun(hosts, os.path.join(programs, "hosts_limit"), pair,
                  *(size << 10 for size in (64, 256, 1024, 4096, 16384) if size << 10 <= pair))
    return {int(size) >> 10: float(rate) / 1e9 for size, rate in map(str.split, said.splitlines())}


def faro(hosts, programs, directory, options):
    report = os.path.join(directory, "report.json")
    mpirun(hosts, os.path.join(programs, "faro"), "run", os.path.join(directory, "data.bin"), "--format",
           "raw", "--raw-record", options.sample, "--no-checksums", "--window", "full", "--epochs",
           options.epochs, "--memory", "2G", "--global-batch", max(RANKS, (6 << 20) // options.sample),
           "--consume", "none", "--report", report, *options.faro.split())
    with open(report, encoding="utf-8") as file:
        said = json.load(file)
    remote = said["remote_bytes"] / options.epochs
    return statistics.median(remote / epoch["seconds"] / 1e9 for epoch in said["epochs"][1:]), remote


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=384)
    parser.add_argument("--sample", type=int, default=100 << 10)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--faro", default="")
    options = parser.parse_args()
    if why_not():
        sys.exit(why_not())
    with tempfile.TemporaryDirectory() as directory, Hosts() as hosts:
        with open(os.path.join(directory, "data.bin"), "wb") as file:
            for _ in range((options.mib << 20) // options.sample):
                file.write(os.urandom(options.sample))
        volume = (options.mib << 20) * PEERS // RANKS
        ratios = []
        for _ in range(options.pairs):
            raw = limit(hosts, options.programs, volume)
            delivered, remote = faro(hosts, options.programs, directory, options)
            ratios.append(delivered / max(raw.values()))
            sizes = ", ".join(f"{size} KiB {rate:.2f}" for size, rate in raw.items())
            print(f"faro {delivered:.2f} GB/s ({remote / 1e6:.0f} MB an epoch); Isend/Irecv by message: "
                  f"{sizes}; ratio to the best {ratios[-1]:.2f}", flush=True)
        print(f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


main()
