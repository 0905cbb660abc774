#!/usr/bin/env python3
"""Samples made into tensors on one core, and gradients summed over ranks, on the host.

Runs bin/transform_bench and bin/sync_bench (built with FARO_BUILD_BENCH). Both measure what is faro's and
what it is held against in turn, in the same process; printed are medians of the ratios within a repetition,
with the least and the most.

    tests/bench/tensors.py build/release/bin [--repetitions 7] [--seconds 0.3] [--ranks 1 2 4] [--mib 64]
        [--parameters 40] [--only transforms sync] [--json FILE]

Transforms are in CPU seconds, so that other programs on the machine count for little. The sums are in seconds
of the slowest rank: with more ranks than cores the spinning backward pass and the sums share cores.
"""
import argparse, json, os, statistics, subprocess, sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
from support import ENVIRONMENT  # noqa: E402


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True, timeout=900, check=False)
    if done.returncode != 0:
        sys.exit(f"tensors.py: {' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def ratio(over, under):
    """Of what was measured right after each other."""
    values = sorted(a / b for a, b in zip(over, under))
    return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def transforms(options):
    results = run([os.path.join(options.binaries, "transform_bench"), str(options.repetitions), str(options.seconds)])
    print("| samples, on one core | samples/s | GB/s in | GB/s out | limit | limit, samples/s | of the limit |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")
    for r in results:
        rate = 1 / statistics.median(r["seconds"])
        print(f"| {r['name']} | {rate:,.0f} | {rate * r['bytes_in'] / 1e9:.2f} | {rate * r['bytes_out'] / 1e9:.2f} | "
              f"{r['limit']} | {1 / statistics.median(r['limit_seconds']):,.0f} | "
              f"{ratio(r['limit_seconds'], r['seconds'])} |", flush=True)
    return results


def sums(options):
    results = []
    print("\n| ranks | MPI_Allreduce, GB/s | in its bucket | of the caller's, f32 | bf16 | exposed, of the sums alone |\n"
          "| --- | --- | --- | --- | --- | --- |")
    for ranks in options.ranks:
        r = run(["mpirun", "-n", str(ranks), os.path.join(options.binaries, "sync_bench"), str(options.mib),
                 str(options.parameters), str(options.repetitions)])
        results.append(r)
        plain = r["allreduce_seconds"]
        print(f"| {ranks} | {r['bytes'] / statistics.median(plain) / 1e9:.2f} | {ratio(plain, r['seconds'])} | "
              f"{ratio(plain, r['own_f32_seconds'])} | {ratio(plain, r['own_bf16_seconds'])} | "
              f"{ratio(r['exposed_seconds'], r['seconds'])} |", flush=True)
    print("\nMiddle columns: bytes of f32 summed a second, over MPI_Allreduce's of the same buckets.")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="that one transform is measured at a time")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--mib", type=int, default=64, help="of gradients")
    parser.add_argument("--parameters", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=["transforms", "sync"], default=["transforms", "sync"])
    parser.add_argument("--json", help="writes every repetition's figures there")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    results = {"load": os.getloadavg()}
    if "transforms" in options.only:
        results["transforms"] = transforms(options)
    if "sync" in options.only:
        results["sync"] = sums(options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
