#!/usr/bin/env python3
"""The exchange on one node, beside pack + MPI_Alltoallv + unpack, a message a sample, and a get a sample.

Makes about 256 MB of tar shards a sample size in memory and runs bin/exchange_bench (built with
FARO_BUILD_BENCH) on them: every way in turn, in the same processes, with the same order, from memory.
Prints bytes delivered in order over a memcpy of as many ranks at once: medians over repetitions of the
ratios within a repetition. "read" counts a consumer that reads every byte, whichever way it got them.

    tests/bench/exchange.py build/release/bin [--ranks 2 4 8] [--sizes 4K 100K 1M mixed] [--repetitions 7]
        [--seconds 0.2] [--json FILE] [--directory /dev/shm/x]
    tests/bench/exchange.py build/release/bin --samples 1920 --sizes 4K 100K 1M
    tests/bench/exchange.py build/release/bin --overlap

--samples: what a sample of each size costs where there are as many of each.
--overlap: what a consumer waits that computes twice as long as the exchange takes, by bin/overlap_bench,
and the CPU time of ranks whose consumers sleep for 10 s.
"""
import argparse, io, json, math, os, random, statistics, subprocess, sys, tarfile, tempfile

ENVIRONMENT = dict(os.environ, OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1",
                   OMPI_MCA_hwloc_base_binding_policy="none", OMPI_ALLOW_RUN_AS_ROOT="1",
                   OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
BYTES = 256 << 20
SHARDS = 8
# Bytes of a sample, and samples of a rank's batch.
SIZES = {"4K": (lambda _: 4096, 64), "100K": (lambda _: 100 << 10, 64), "1M": (lambda _: 1 << 20, 8),
         "mixed": (lambda rng: round(4096 * math.exp(rng.random() * math.log(256))), 32)}
WAYS = ["faro, in place", "faro, gather", "alltoallv", "message each", "get each"]


def make(directory, size, total):
    os.makedirs(directory)
    rng = random.Random(1)
    payload = rng.randbytes(2 << 20)
    for shard in range(SHARDS):
        left = total // SHARDS
        with tarfile.open(os.path.join(directory, f"s-{shard:02d}.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
            i = 0
            while left > 0:
                info = tarfile.TarInfo(f"{shard:02d}{i:06d}.bin")
                info.size = SIZES[size][0](rng)
                at = rng.randrange(len(payload) - info.size)
                tar.addfile(info, io.BytesIO(payload[at:at + info.size]))
                left -= info.size
                i += 1


def measure(program, directory, size, ranks, options):
    batch = 64 if options.samples else SIZES[size][1]
    run = subprocess.run(["mpirun", "-n", str(ranks), program, directory, str(ranks * batch), str(options.repetitions),
                          str(options.seconds)] + options.way, env=ENVIRONMENT, text=True, capture_output=True,
                         timeout=900, check=False)
    if run.returncode != 0:
        sys.exit(f"{program} on {ranks} ranks: {run.stderr}")
    result = json.loads(run.stdout)
    result["size"] = size
    return result


def ratio(result, over, under):
    """Of bytes a second, median of those within a repetition."""
    pairs = zip(result["ways"][under]["seconds"], result["ways"][over]["seconds"])
    return statistics.median(a / b for a, b in pairs)


def speed(result, way):
    return result["bytes"] / statistics.median(result["ways"][way]["seconds"]) / 1e9


def per_sample(results):
    print("faro in place, the same samples and batches: ns a sample (least to most), CPU ns")
    for r in results:
        times = sorted(s / r["samples"] * 1e9 for s in r["ways"]["faro, in place"]["seconds"])
        cpu = statistics.median(r["ways"]["faro, in place"]["cpu_seconds"]) / r["samples"] * 1e9
        print(f"  {r['size']:6}{r['ranks']:3} ranks, {r['samples']} samples: {statistics.median(times):.0f} "
              f"({times[0]:.0f} to {times[-1]:.0f}), {cpu:.0f}")


def table(results):
    print("Bytes delivered in order over memcpy's (GB/s beside it); CPU of faro in place")
    print(f"{'size':6}{'ranks':>6}{'memcpy GB/s':>13}" + "".join(f"{way:>20}" for way in WAYS) +
          f"{'ns a sample':>13}{'CPU ns':>8}")
    for read in ("", ", read"):
        for r in results:
            line = f"{r['size']:6}{r['ranks']:6}{speed(r, 'memcpy'):13.2f}"
            for way in WAYS:
                line += f"{ratio(r, way + read, 'memcpy'):11.2f} ({speed(r, way + read):6.2f})"
            ours = r["ways"]["faro, in place" + read]
            line += f"{statistics.median(ours['seconds']) / r['samples'] * 1e9:13.0f}"
            line += f"{statistics.median(ours['cpu_seconds']) / r['samples'] * 1e9:8.0f}"
            print(line + ("  read" if read else ""))
    print("\nGoals: 100K in place 5 x alltoallv; gather 0.8 x memcpy, 1.5 x alltoallv; 4K 20 x a message each")
    for r in results:
        got = [f"in place {ratio(r, 'faro, in place', 'alltoallv'):.1f} x alltoallv"]
        if r["size"] == "4K":
            got.append(f"{ratio(r, 'faro, in place', 'message each'):.1f} x a message each")
        got.append(f"gather {ratio(r, 'faro, gather', 'memcpy'):.2f} x memcpy, "
                   f"{ratio(r, 'faro, gather', 'alltoallv'):.2f} x alltoallv")
        print(f"  {r['size']:6}{r['ranks']:3} ranks: " + ", ".join(got))


def overlap(program, directory, options):
    print("ranks  others' samples by  exchange ms  waited / exchange (least to most)  CPU s in 10 s of idling")
    for ranks, node, way in [(1, 0, "pointer"), (2, 0, "pointer"), (2, 1, "message"), (8, 0, "pointer"), (8, 1, "message")]:
        run = subprocess.run(["mpirun", "-n", str(ranks), program, directory, str(ranks * 64), str(node),
                              str(options.repetitions), "10"], env=ENVIRONMENT, text=True, capture_output=True,
                             timeout=600, check=False)
        if run.returncode != 0:
            sys.exit(f"{program} on {ranks} ranks: {run.stderr}")
        result = json.loads(run.stdout)
        waits = sorted(a / b for a, b in zip(result["stall_seconds"], result["exchange_seconds"]))
        print(f"{ranks:5}  {way:20}{statistics.median(result['exchange_seconds']) * 1e3:11.2f}"
              f"{statistics.median(waits):14.3f} ({waits[0]:.3f} to {waits[-1]:.3f}){result['idle_cpu_seconds']:22.2f}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="that one way is measured at a time")
    parser.add_argument("--json", help="writes every repetition's figures there")
    parser.add_argument("--directory", help="keeps the data sets there")
    parser.add_argument("--overlap", action="store_true")
    parser.add_argument("--samples", type=int, help="of each size, in batches of 64: faro in place alone")
    options = parser.parse_args()
    options.way = ["faro, in place"] if options.samples else []
    if options.overlap:
        options.sizes = ["100K"]
    results = []
    with tempfile.TemporaryDirectory(prefix="faro-exchange-", dir="/dev/shm") as temporary:
        for size in options.sizes:
            directory = os.path.join(options.directory or temporary, size)
            if not os.path.isdir(directory):
                make(directory, size, options.samples * SIZES[size][0](random) if options.samples else BYTES)
            if options.overlap:
                overlap(os.path.join(options.binaries, "overlap_bench"), directory, options)
                return
            for ranks in options.ranks:
                results.append(measure(os.path.join(options.binaries, "exchange_bench"), directory, size, ranks, options))
    (per_sample if options.samples else table)(results)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


main()
