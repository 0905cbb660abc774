#!/usr/bin/env python3
"""Batches from the store as tensors where they are used, in the host's memory or a GPU's.

Makes raw samples (below 1 GB at a time) and serves them with an nginx of its own on loopback; where there is none,
reads the files themselves and says so. One rank. Built with FARO_BUILD_BENCH:

    tests/bench/place.py build/release/bin [--device host|cuda] [--threads auto|N] [--pairs 5] [--only place stall]
        [--json FILE]

place: how fast batches come (place_bench), over the slower of two limits: what bare sockets take from the same
server (store_limit, right before), and plain copies of as many bytes to where the tensors are (page-locked memory to
the GPU, or memcpy; right after). Ratios are medians over the pairs; the first epoch is left out of them.

stall: what a training step waits for its batch (stall_bench), with the samples, batches and times of a step of
MLPerf Storage's emulated H100 (v1.0, resnet50_h100.yaml, unet3d_h100.yaml, cosmoflow_h100.yaml), from the server and
from the files. Utilisation is the median over the epochs but the first. What is not as there: the data sets are
smaller (800 MB, read from the store anew in each epoch) and their samples all of the mean size; UNet3D's samples and
step are a 16th, which leaves its bytes a second as they are; samples become tensors as a whole, not cut to what the
net reads, and ResNet-50's are normalised.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
from store import Server, cut, nginx, ratios, receive  # noqa: E402
from support import ENVIRONMENT  # noqa: E402

SHARDS = 8
TARGET = 0.9
NORMALISE = '{ op = "normalise", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }'
RUN = """data = "{data}"
manifest = "{manifest}"
format = "raw"
raw_record = {sample}
epochs = {epochs}
global_batch = {batch}
window = "{window}"
memory = "1536M"
[tensors]
device = "{device}"
transform_threads = {threads}
[[tensor]]
name = "x"
field = "data"
decode = "raw"
"""


class Data:
    """Shards of samples of that size, about 800 MB: their folder, their names and bytes."""

    def __init__(self, folder, sample, batch):
        batches = (800 << 20) // (sample * batch)
        self.sample, self.batch = sample, batch
        self.folder = tempfile.mkdtemp(dir=folder)
        os.chmod(self.folder, 0o755)
        noise = memoryview(os.urandom((64 << 20) + sample))
        self.files = []
        for shard in range(SHARDS):
            records = batches * batch * (shard + 1) // SHARDS - batches * batch * shard // SHARDS
            self.files.append((f"s-{shard:04d}.raw", records * sample))
            with open(os.path.join(self.folder, self.files[-1][0]), "wb") as file:
                for record in range(records):
                    at = record * 4099 % (64 << 20)
                    file.write(noise[at:at + sample])

    def remove(self):
        for name, _ in self.files:
            os.remove(os.path.join(self.folder, name))
        os.rmdir(self.folder)


class Bench:
    """Of the data that stands in a folder, which the server serves if there is one."""

    def __init__(self, options, folder, served, server):
        self.options, self.folder, self.served, self.server = options, folder, served, server

    def uri(self, data, store):
        if store == "files":
            return data.folder
        return f"{self.server.uris['plain']}/{os.path.basename(data.folder)}"

    def program(self, *command):
        done = subprocess.run(["mpirun", "-n", "1", os.path.join(self.options.binaries, command[0]), *command[1:]],
                              env=ENVIRONMENT, text=True, capture_output=True, timeout=600, check=False)
        if done.returncode != 0:
            own = [line for line in done.stderr.splitlines() if line.startswith(command[0] + ":")]
            sys.exit(f"place.py: {own[0] if own else done.stderr}")
        return done.stdout

    def measure(self, program, *arguments):
        """What the benchmark says."""
        said = json.loads(self.program(program, *arguments))
        if said["resident"]:
            sys.exit(f"place.py: {program} kept the data in memory, and read the store once alone")
        return said

    def settings(self, data, store, tensor):
        """A TOML file for the benchmarks, and a manifest."""
        name = os.path.join(self.folder, f"{os.path.basename(data.folder)}-{store}")
        shards = f"{self.uri(data, store)}/s-{{0000..{SHARDS - 1:04d}}}.raw"
        if not os.path.exists(name + ".h5"):
            self.program("faro", "index", shards, "--format", "raw", "--raw-record", str(data.sample), "--manifest",
                         name + ".h5")
        window = max(64 << 20, 2 * data.sample * data.batch)
        with open(name + ".toml", "w", encoding="utf-8") as file:
            file.write(RUN.format(data=shards, manifest=name + ".h5", sample=data.sample, batch=data.batch,
                                  epochs=self.options.epochs, window=window, device=self.options.device,
                                  threads=json.dumps(self.options.threads)) + tensor)
        return name + ".toml"

    def limit(self, data, store):
        """Bytes a second that come from the server at most; of files None."""
        if store == "files":
            return None
        ranges = cut([(f"{self.uri(data, store)}/{name}", 0, size) for name, size in data.files])
        passes = [receive(self.options.binaries, "recv", count, ranges, 3)[1:] for count in (8, 32)]
        return max(rate(one) for one in passes)


def rate(parts):
    return sum(part["bytes"] for part in parts) / sum(part["seconds"] for part in parts)


def place(bench):
    cases = {
        "u8 as it is": 'shape = [224, 224, 3]\ntype = "u8"\n',
        "u8 to f16, normalised, nchw":
            f'shape = [224, 224, 3]\ntype = "f16"\nlayout = "nchw"\nsteps = [{NORMALISE}]\n',
        "crop, flip, f16, nchw":
            'shape = [224, 224, 3]\ntype = "f16"\nlayout = "nchw"\nsteps = [{ op = "random_resized_crop", '
            f'size = [224, 224] }}, {{ op = "horizontal_flip" }}, {NORMALISE}]\n',
    }
    store = "server" if bench.server else "files"
    if not bench.server:
        print("no nginx here (package nginx-light): read from files, of which no limit is measured")
    data = Data(bench.served, 224 * 224 * 3, 128)
    results = []
    print("| 147 KiB samples | GB/s | first epoch | CPU s/GB | bare recv, GB/s | plain copy, GB/s | of the slower "
          f"(goal {TARGET}) |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, tensor in cases.items():
        runs, received = [], []
        for _ in range(bench.options.pairs):
            received.append(bench.limit(data, store))
            runs.append(bench.measure("place_bench", bench.settings(data, store, tensor)))
        ours = [rate(run["epochs"][1:]) for run in runs]
        copied = [run["copies"]["bytes"] / statistics.median(run["copies"]["seconds"]) for run in runs]
        if bench.server:
            limits = middle(received), ratios((our, min(both)) for our, *both in zip(ours, received, copied))
        else:
            limits = "not measured", "not measured"
        cpu = [sum(e["cpu_seconds"] for e in run["epochs"][1:]) / sum(e["bytes"] for e in run["epochs"][1:]) * 1e9
               for run in runs]
        print(f"| {name} | {middle(ours)} | {middle([rate(run['epochs'][:1]) for run in runs])} | "
              f"{statistics.median(cpu):.2f} | {limits[0]} | {middle(copied)} | {limits[1]} |", flush=True)
        results.append({"case": name, "store": store, "receive_bytes_per_second": received, "runs": runs})
    data.remove()
    tell_where(results[0]["runs"][0])
    return results


def stall(bench):
    whole = 'shape = [{}]\ntype = "u8"\n'
    # Name, bytes of a sample, batch, seconds of a step, pass mark of MLPerf Storage, tensor.
    cases = [
        ("ResNet-50", 114_660, 400, 0.224, 0.9,
         f'shape = [195, 196, 3]\ntype = "f16"\nlayout = "nchw"\nsteps = [{NORMALISE}]\n'),
        ("UNet3D", 146_600_628 // 16, 7, 0.323 / 16, 0.9, whole.format(146_600_628 // 16)),
        ("CosmoFlow", 2_828_486, 1, 0.0035, 0.7, whole.format(2_828_486)),
    ]
    results = []
    print("| emulated step | GB/s asked | from | GB/s | utilisation | pass mark | stall a step, ms | longest | "
          "utilisation, first epoch |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, sample, batch, step, mark, tensor in cases:
        data = Data(bench.served, sample, batch)
        for store in ("server", "files") if bench.server else ("files",):
            run = bench.measure("stall_bench", bench.settings(data, store, tensor), "--step", str(step))
            late = run["epochs"][1:]
            steps = sum(epoch["steps"] for epoch in late)
            shares = sorted(used(epoch, step) for epoch in late)
            print(f"| {name} | {sample * batch / step / 1e9:.2f} | {store} | {rate(late) / 1e9:.2f} | "
                  f"{statistics.median(shares):.3f} ({shares[0]:.3f} to {shares[-1]:.3f}) | {mark:.2f} | "
                  f"{sum(e['stall_seconds'] for e in late) / steps * 1e3:.2f} | "
                  f"{max(e['longest_stall_seconds'] for e in late) * 1e3:.1f} | {used(run['epochs'][0], step):.3f} |",
                  flush=True)
            results.append({"workload": name, "store": store, **run})
        data.remove()
    tell_where(results[0])
    return results


def used(epoch, step):
    """The accelerator's utilisation: the part of the time in which it would compute."""
    return epoch["steps"] * step / epoch["seconds"]


def tell_where(run):
    print(f"\nTensors on {run['device']}; {run['threads']} threads transform beside the consumer's.\n", flush=True)


def middle(values):
    return f"{statistics.median(values) / 1e9:.2f}"


def main():
    parts = {"place": place, "stall": stall}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", help="folder of faro, store_limit and the two benchmarks")
    parser.add_argument("--device", choices=["auto", "host", "cuda"], default="host")
    parser.add_argument("--threads", default="auto", type=lambda text: int(text) if text.isdigit() else text,
                        help="that transform beside the consumer; auto: as faro chooses")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="the first one warms up")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--json", help="writes every figure there")
    options = parser.parse_args()
    results = {"load": os.getloadavg()}
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o755)
        served = os.path.join(folder, "data")
        os.mkdir(served)
        server = Server(os.path.join(folder, "nginx"), served, ["plain"]) if nginx() else None
        try:
            bench = Bench(options, folder, served, server)
            for part in options.only:
                results[part] = parts[part](bench)
        finally:
            if server:
                server.stop()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
