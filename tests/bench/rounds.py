#!/usr/bin/env python3
"""What a round of the exchange costs, against the number of ranks, and the model that is fitted to it.

Samples of 240 bytes, all in memory: 1,024 or 4,096 of a rank in a round on one node (by pointer), then 1,024
as if each had a node to itself (a message a pair of ranks and round), so that rounds and not bytes are measured.
CPU time of a rank and round, least of the epochs after the first: on a machine with fewer cores than ranks, wall
time is that times ranks over cores. Prints the constants of src/exchange/cost.hpp by least squares, and draws
docs/round_cost.svg.

    tests/bench/rounds.py build/release/bin/faro [--ranks 2 4 8 16 32 64] [--svg FILE]
"""
import argparse, json, math, os, subprocess, sys, tempfile

ENVIRONMENT = dict(os.environ, OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1",
                   OMPI_MCA_hwloc_base_binding_policy="none", OMPI_ALLOW_RUN_AS_ROOT="1",
                   OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
RECORD = 240
SAMPLES = 1 << 19
EPOCHS = 4


def measure(faro, directory, ranks, local, extra):
    """CPU and wall seconds of a round, its samples and messages of a rank."""
    report = os.path.join(directory, "report.json")
    command = ["mpirun", "-n", str(ranks), faro, "run", os.path.join(directory, "data"), "--format", "raw",
               "--raw-record", str(RECORD), "--block-size", "64K", "--manifest", os.path.join(directory, "m.h5"),
               "--epochs", str(EPOCHS), "--global-batch", str(ranks * local), "--window", "full", "--consume", "none",
               "--memory", "500M", "--max-requests", "4", "--report", report, *extra]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    if run.returncode != 0:
        sys.exit(run.stderr)
    with open(report, encoding="utf-8") as file:
        result = json.load(file)
    steps = result["plan"]["steps_per_round"]
    rounds = result["plan"]["steps"] / steps
    late = result["epochs"][1:]
    got = steps * local
    messages = (ranks - 1) * -math.expm1(got * math.log1p(-1 / ranks)) if extra else 0
    return {"ranks": ranks, "samples": got, "messages": messages,
            "cpu": min(e["cpu_seconds"] for e in late) / rounds / ranks, "wall": min(e["seconds"] for e in late) / rounds}


def terms(p):
    return [1, math.ceil(math.log2(p["ranks"])), p["samples"], p["messages"]]


def fit(points):
    """cpu = round + hop log2(ranks) + sample samples + message messages, relative errors least: the normal
    equations, by Gauss and Jordan."""
    rows = [[term / p["cpu"] for term in terms(p)] + [1] for p in points]
    n = len(rows[0]) - 1
    m = [[sum(row[i] * row[j] for row in rows) for j in range(n + 1)] for i in range(n)]
    for i in range(n):
        m[i] = [value / m[i][i] for value in m[i]]
        for k in range(n):
            if k != i:
                m[k] = [value - m[k][i] * pivot for value, pivot in zip(m[k], m[i])]
    return [row[n] for row in m]


def model(constants, p):
    return sum(constant * term for constant, term in zip(constants, terms(p)))


def draw(file, series, constants):
    """CPU microseconds of a rank and round over the number of ranks, both logarithmic: points measured, lines
    the model."""
    values = [p["cpu"] * 1e6 for _, _, points in series for p in points]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    most = max(p["ranks"] for _, _, points in series for p in points)
    x = lambda ranks: 70 + 480 * math.log2(ranks) / math.log2(most)
    y = lambda us: 300 - 270 * math.log(us / low) / math.log(high / low)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="760" height="350" font-family="sans-serif" font-size="12">',
           '<rect width="760" height="350" fill="white"/>',
           '<text x="310" y="340" text-anchor="middle">ranks</text>',
           '<text x="16" y="165" text-anchor="middle" transform="rotate(-90 16 165)">CPU us of a rank and round</text>']
    for power in range(round(math.log2(most)) + 1):
        out.append(f'<path d="M{x(2 ** power):.0f} 30V300" stroke="#ddd"/>'
                   f'<text x="{x(2 ** power):.0f}" y="318" text-anchor="middle">{2 ** power}</text>')
    us = low
    while us <= high:
        out.append(f'<path d="M70 {y(us):.0f}H550" stroke="#ddd"/>'
                   f'<text x="64" y="{y(us) + 4:.0f}" text-anchor="end">{us:g}</text>')
        us *= 10
    for i, (name, colour, points) in enumerate(series):
        line = " ".join(f"{x(p['ranks']):.1f},{y(model(constants, p) * 1e6):.1f}" for p in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        out += [f'<circle cx="{x(p["ranks"]):.1f}" cy="{y(p["cpu"] * 1e6):.1f}" r="3.5" fill="{colour}"/>' for p in points]
        out.append(f'<circle cx="570" cy="{50 + 20 * i}" r="3.5" fill="{colour}"/>'
                   f'<text x="580" y="{54 + 20 * i}">{name}</text>')
    out.append(f'<text x="570" y="{64 + 20 * len(series)}">lines: the model</text></svg>\n')
    with open(file, "w", encoding="utf-8") as svg:
        svg.write("\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faro")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--svg")
    options = parser.parse_args()
    kinds = [("pointers, 1,024 samples", "#1f77b4", 16, []), ("pointers, 4,096 samples", "#17a", 64, []),
             ("messages, 1,024 samples", "#d62728", 16, ["--node-ranks", "1"])]
    series = []
    with tempfile.TemporaryDirectory(prefix="faro-rounds-", dir="/dev/shm") as directory:
        os.makedirs(os.path.join(directory, "data"))
        for shard in range(4):
            with open(os.path.join(directory, "data", f"{shard}.bin"), "wb") as file:
                file.write(bytes(RECORD) * (SAMPLES // 4))
        print("way                       ranks  samples  messages  CPU us of a rank  wall us")
        for name, colour, local, extra in kinds:
            points = []
            for ranks in options.ranks:
                points.append(measure(options.faro, directory, ranks, local, extra))
                p = points[-1]
                print(f"{name:25} {ranks:5} {p['samples']:8} {p['messages']:9.1f} {p['cpu'] * 1e6:17.0f} "
                      f"{p['wall'] * 1e6:8.0f}", flush=True)
            series.append((name, colour, points))
    points = [p for _, _, those in series for p in those]
    constants = fit(points)
    print("fitted, in us: " + ", ".join(f"{name} {value * 1e6:.3g}" for name, value in
                                        zip(("round", "hop", "sample", "message"), constants)))
    errors = sorted(model(constants, p) / p["cpu"] for p in points)
    print(f"model over measured: {errors[0]:.2f} to {errors[-1]:.2f}")
    if options.svg:
        draw(options.svg, series, constants)


main()
