#!/usr/bin/env python3
"""From rank to rank, or gathered from node to node: which is faster at which size of message.

Three hosts on this machine (namespaces, tests/support/hosts.py) with several ranks each, a data set of
256 byte records that stays in memory, and global batches such that messages from rank to rank have the wanted
size. For each, `faro run --exchange direct` and `gathered` in turn; prints the medians over the pairs of
GB/s delivered, and of gathered over direct. As root:

    tests/bench/routes.py build/release/bin [--ranks 6,12] [--kib 4,32,128,1024] [--pairs 3] [--one-node]

--one-node takes --node-ranks instead of hosts: messages then go through shared memory, not over TCP.
"""
import argparse, contextlib, json, os, statistics, subprocess, sys, tempfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder)
                for folder in ("support", "e2e")]
from hosts import Hosts, why_not  # noqa: E402
from support import ENVIRONMENT  # noqa: E402

RECORD, HOSTS = 256, 3


def run(options, launch, directory, ranks, batch, way):
    report = os.path.join(directory, "report.json")
    command = [*launch.get("before", ()), "mpirun", "-n", str(ranks), os.path.join(options.programs, "faro"), "run",
               os.path.join(directory, "data.bin"), "--format", "raw", "--raw-record", str(RECORD),
               "--no-checksums", "--window", "full", "--epochs", str(options.epochs), "--memory", "1G",
               "--global-batch", str(batch), "--consume", "none", "--exchange", way, "--report", report]
    if options.one_node:
        command += ["--node-ranks", str(ranks // HOSTS)]
    subprocess.run(command, check=True, timeout=300, capture_output=True,
                   env={**ENVIRONMENT, **launch.get("environment", {})})
    with open(report, encoding="utf-8") as file:
        said = json.load(file)
    rate = statistics.median(epoch["bytes_per_second"] for epoch in said["epochs"][1:])
    return rate / 1e9, said["exchange"]["mean_message_bytes"] / 1024


def compare(options, launch, directory, ranks):
    for kib in map(int, options.kib.split(",")):
        # A rank gets a message from each rank; a round of up to 8 MiB has up to 64 steps.
        local = kib * 1024 * ranks // RECORD
        batch = max(1, local // 64 if local * RECORD <= 8 << 20 else local) * ranks
        rates = {"direct": [], "gathered": []}
        sizes = {}
        for _ in range(options.pairs):
            for way, list_ in rates.items():
                rate, sizes[way] = run(options, launch, directory, ranks, batch, way)
                list_.append(rate)
        ratio = statistics.median(g / d for d, g in zip(rates["direct"], rates["gathered"]))
        print(f"{ranks:5}  {sizes['direct']:10.1f} KiB  {statistics.median(rates['direct']):.2f}  "
              f"{sizes['gathered']:13.1f} KiB  {statistics.median(rates['gathered']):.2f}  {ratio:10.2f}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs")
    parser.add_argument("--ranks", default="6,12")
    parser.add_argument("--kib", default="4,32,128,1024")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--mib", type=int, default=96)
    parser.add_argument("--one-node", action="store_true")
    options = parser.parse_args()
    if not options.one_node and why_not():
        sys.exit(why_not())
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "data.bin"), "wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(1 << 20))
        print("ranks  direct: message  GB/s   gathered: message  GB/s   gathered/direct")
        for ranks in map(int, options.ranks.split(",")):
            with contextlib.ExitStack() as stack:
                hosts = None if options.one_node else stack.enter_context(Hosts(HOSTS, ranks // HOSTS))
                compare(options, hosts.launch() if hosts else {}, directory, ranks)


main()
