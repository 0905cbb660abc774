#!/usr/bin/env python3
"""Test accuracy with faro's order and with a full in-memory Fisher-Yates shuffle, seed by seed.

    tests/bench/train.py TRAIN TEST [--seeds 3] [--ranks 2] [--epochs 5]

TRAIN and TEST: Fashion-MNIST as jobs/quickstart.sh packs it (build/quickstart/data and test). Six runs
of faro_train (build/release/bin, or FARO_TRAIN), two at a time: one of each shuffle.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
from support import ENVIRONMENT  # noqa: E402

TRAIN = os.environ.get("FARO_TRAIN") or os.path.join(ROOT, "build/release/bin/faro_train")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    found = {"faro": [], "memory": []}
    print("| seed | faro | Fisher-Yates | difference |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, arguments.seeds + 1):
            jobs = {}
            for shuffle in found:
                jobs[shuffle] = subprocess.Popen(
                    ["mpirun", "-n", str(arguments.ranks), TRAIN, arguments.train, "--test",
                     arguments.test, "--epochs", str(arguments.epochs), "--seed", str(seed),
                     "--shuffle", shuffle, "--log", f"{folder}/{shuffle}"],
                    env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            for shuffle, job in jobs.items():
                if job.wait() != 0:
                    raise SystemExit(f"train.py: {shuffle}, seed {seed}: exit code {job.returncode}")
                with open(f"{folder}/{shuffle}", encoding="utf-8") as file:
                    found[shuffle].append(100 * json.loads(file.readlines()[-1])["accuracy"])
            one, other = found["faro"][-1], found["memory"][-1]
            print(f"| {seed} | {one:.2f} % | {other:.2f} % | {one - other:+.2f} |", flush=True)
    one, other = (statistics.fmean(values) for values in found.values())
    print(f"| mean | {one:.2f} % | {other:.2f} % | {one - other:+.2f} |")


if __name__ == "__main__":
    main()
