#!/usr/bin/env python3
"""The whole engine over HTTP, one rank and a consumer that looks at nothing, beside its limits.

Makes about 4 GB of tar shards and serves them with an nginx of its own (packages nginx-light and
libnginx-mod-http-lua) on loopback. Each run of `faro run` is paired with bin/store_limit (built with
FARO_BUILD_BENCH) over the same ranges: libcurl's multi interface and bare sockets, one thread each,
into touched memory. Ratios are medians over the pairs; the first epoch or pass of each warms it up.

    tests/bench/store.py build/release/bin [--pairs 5] [--directory /dev/shm/x] [--only PART ...]

PARTS: plain, tls (as fast as the machine), limited (30 MB/s a request, 30 ms to the first byte), rclone
(the same, by rclone where it is installed), slow (the same with 32 requests at once, 1 % of which take
100 times as long), errors (10 % are answered 503).
"""
import argparse, io, json, os, random, shutil, socket, statistics, subprocess, sys, tarfile, tempfile, time

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_hwloc_base_binding_policy="none")
EPOCHS = 3
SHARDS = 32
CONNECTION = 30 << 20  # bytes/s: nginx's "30m"
FIRST_BYTE = 0.03      # seconds
REQUEST = 8 << 20      # the engine's largest range
NGINX = """{modules}daemon off; master_process off; pid nginx.pid; events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; root {data};
  client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f; uwsgi_temp_path tmp/u;
  scgi_temp_path tmp/s;
{servers}}}
"""
LUA = """load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
"""
# What stands behind a server's address. FAR: 100 times what a request takes where nothing is slow.
FAR = 100 * (FIRST_BYTE + REQUEST / CONNECTION)
SERVERS = {
    "plain": ";",
    "tls": " ssl; ssl_certificate srv.pem; ssl_certificate_key srv.key;",
    "limited": f"""; limit_rate 30m; sendfile_max_chunk 256k; autoindex on;
    access_by_lua_block {{ ngx.sleep({FIRST_BYTE}) }}""",
    "slow": f"""; limit_rate 30m; sendfile_max_chunk 256k;
    access_by_lua_block {{ ngx.sleep(math.random() < .01 and {FAR} or {FIRST_BYTE}) }}""",
    "errors": """;
    access_by_lua_block { if math.random() < .1 then return ngx.exit(503) end }""",
}


def make(directory):
    rng = random.Random(1)
    for shard in range(SHARDS):
        path = os.path.join(directory, f"s-{shard:04d}.tar")
        if os.path.exists(path):
            continue
        with tarfile.open(path + ".part", "w", format=tarfile.USTAR_FORMAT) as tar:
            for i in range(1280):
                info = tarfile.TarInfo(f"{shard:04d}{i:05d}.jpg")
                info.size = rng.randint(50_000, 150_000)
                tar.addfile(info, io.BytesIO(rng.randbytes(info.size)))
        os.rename(path + ".part", path)


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def nginx():
    """The program, or None."""
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


class Server:
    """An nginx that serves the folder `data` as each of the names of SERVERS."""

    def __init__(self, folder, data, names=tuple(SERVERS)):
        os.makedirs(os.path.join(folder, "tmp"))
        os.chmod(folder, 0o755)
        self.ca = os.path.join(folder, "srv.pem")
        if "tls" in names:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=IP:127.0.0.1", "-keyout", os.path.join(folder, "srv.key"), "-out",
                            self.ca], check=True, stderr=subprocess.DEVNULL)
        ports = dict(zip(names, free_ports(len(names))))
        self.uris = {name: f"http{'s' if name == 'tls' else ''}://127.0.0.1:{port}" for name, port in ports.items()}
        servers = "".join(f"  server {{ listen 127.0.0.1:{port}{SERVERS[name]} }}\n" for name, port in ports.items())
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(NGINX.format(modules=LUA if "lua" in servers else "", data=data, servers=servers))
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", nginx(), "-p", folder, "-c",
                                         "nginx.conf", "-e", "error.log"])
        for port in ports.values():
            for _ in range(250):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            else:
                sys.exit(f"nginx does not start: see {folder}/error.log")

    def stop(self):
        self.process.kill()
        self.process.wait()


def receive(binaries, how, connections, ranges, passes, *ca):
    """What bin/store_limit takes for them, a pass each; the first one warms up. Ranges: URI, offset, length."""
    lines = "".join(f"{uri} {offset} {length}\n" for uri, offset, length in ranges)
    run = subprocess.run([os.path.join(binaries, "store_limit"), how, str(connections), str(passes), *ca], input=lines,
                         capture_output=True, text=True, check=True, timeout=600)
    return [json.loads(line) for line in run.stdout.splitlines()]


def cut(blocks):
    """Ranges as the engine's, of (URI, offset, length), in some order that is always the same."""
    random.Random(1).shuffle(blocks)
    return [(uri, offset + at, min(REQUEST, length - at))
            for uri, offset, length in blocks for at in range(0, length, REQUEST)]


class Bench:
    def __init__(self, binaries, server, folder, pairs):
        self.binaries, self.server, self.folder, self.pairs = binaries, server, folder, pairs
        self.manifests, self.ranges = {}, {}

    def program(self, name):
        return os.path.join(self.binaries, name)

    def data(self, name):
        return f"{self.server.uris[name]}/s-{{0000..{SHARDS - 1:04d}}}.tar"

    def manifest(self, name):
        """Of the same shards under another name; ranges for store_limit."""
        import h5py  # other benchmarks use this file, and do without it
        if name not in self.manifests:
            file = os.path.join(self.folder, f"{name}.h5")
            subprocess.run([self.program("faro"), "index", self.data(name), "--manifest", file, "--ca-file",
                            self.server.ca], check=True, env=ENVIRONMENT, capture_output=True, timeout=600)
            with h5py.File(file) as manifest:
                shards = [row["uri"].decode() for row in manifest["shards"][:]]
                blocks = [(shards[row["shard"]], int(row["offset"]), int(row["length"]))
                          for row in manifest["blocks"][:]]
            self.manifests[name] = file
            self.ranges[name] = cut(blocks)
        return self.manifests[name]

    def faro(self, name, *extra, epochs=EPOCHS, memory="2G"):
        """The report; bytes and seconds of the epochs after the first. An arena is touched in its first
        lap; memory should be less than an epoch's bytes, where speed and CPU time are looked at."""
        report = os.path.join(self.folder, "report.json")
        manifest = self.manifest(name)
        run = subprocess.run([self.program("faro"), "run", self.data(name), "--manifest", manifest, "--epochs",
                              str(epochs), "--global-batch", "64", "--memory", memory, "--consume",
                              "none", "--ca-file", self.server.ca, "--report", report, *extra],
                             env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
        if run.returncode != 0:
            sys.exit(f"faro run: {run.stderr}")
        with open(report, encoding="utf-8") as file:
            result = json.load(file)
        late = result["epochs"][1:]
        stored = result["store_bytes"] / epochs  # with the tars' headers
        result["throughput"] = stored * len(late) / sum(epoch["seconds"] for epoch in late)
        result["first_throughput"] = stored / result["epochs"][0]["seconds"]
        result["cpu"] = sum(epoch["cpu_seconds"] for epoch in late) / (stored * len(late)) * 1e9
        return result

    def limit(self, how, name, connections):
        """Bytes/s and CPU seconds a GB of the passes after the first."""
        self.manifest(name)
        passes = receive(self.binaries, how, connections, self.ranges[name], EPOCHS, self.server.ca)[1:]
        total = sum(one["bytes"] for one in passes)
        return (total / sum(one["seconds"] for one in passes), sum(one["cpu_seconds"] for one in passes) / total * 1e9)

    def best(self, how, name, connections):
        """Of the numbers of connections the one that is fastest."""
        return max(self.limit(how, name, count) for count in connections)


def middle(values):
    return statistics.median(values)


def ratios(pairs):
    """Median, least and most of a / b."""
    all_of_them = sorted(a / b for a, b in pairs)
    return f"{middle(all_of_them):.3f} ({all_of_them[0]:.3f} to {all_of_them[-1]:.3f})"


def fast(bench, name):
    """Throughput and CPU beside the limits, on a server that has no limit of its own."""
    ours, curl, recv = [], [], []
    for _ in range(bench.pairs):
        curl.append(bench.best("curl", name, (8, 32)))
        ours.append(bench.faro(name))
        if name != "tls":
            recv.append(bench.best("recv", name, (8, 32)))
    print(f"{name}: faro {middle(r['throughput'] for r in ours) / 1e9:.2f} GB/s (first epoch "
          f"{middle(r['first_throughput'] for r in ours) / 1e9:.2f}), curl multi {middle(c[0] for c in curl) / 1e9:.2f}, "
          f"recv {middle([r[0] for r in recv] or [0]) / 1e9:.2f}; peak requests {middle(r['peak_requests'] for r in ours)}")
    print(f"  over curl multi           {ratios([(o['throughput'], c[0]) for o, c in zip(ours, curl)])}  goal 0.95")
    if recv:
        print(f"  over recv                 {ratios([(o['throughput'], r[0]) for o, r in zip(ours, recv)])}  goal 0.85")
    print(f"  CPU s/GB: faro {middle(r['cpu'] for r in ours):.3f}, curl multi {middle(c[1] for c in curl):.3f}; over curl multi "
          f"{ratios([(o['cpu'], c[1]) for o, c in zip(ours, curl)])}  goal 1.15", flush=True)


def limited(bench):
    for most in (128, 16):
        ours, theirs = [], []
        for _ in range(bench.pairs):
            # What the machine can take of this server with the same number of requests.
            theirs.append(min(bench.best("curl", "limited", sorted({min(most, 64), most}))[0], most * CONNECTION))
            ours.append(bench.faro("limited", "--max-requests", str(most)))
        print(f"limited, max_requests {most}: faro {middle(r['throughput'] for r in ours) / 1e9:.2f} GB/s (first epoch "
              f"{middle(r['first_throughput'] for r in ours) / 1e9:.2f}), peak requests "
              f"{middle(r['peak_requests'] for r in ours)}; min(curl multi, 30 MB/s * {most}) {middle(theirs) / 1e9:.2f}")
        print(f"  ratio                     {ratios([(o['throughput'], t) for o, t in zip(ours, theirs)])}  goal 0.9", flush=True)


def rclone(bench):
    if shutil.which("rclone") is None:
        print("rclone: not installed (Debian: rclone)")
        return
    total = sum(length for _, _, length in bench.ranges["limited"])
    for streams in (["--transfers", "16", "--multi-thread-streams", "8", "--multi-thread-cutoff", "1M"],
                    ["--transfers", "4"]):
        speeds = []
        for _ in range(bench.pairs):
            target = os.path.join(bench.folder, "copy")
            begin = time.monotonic()
            subprocess.run(["rclone", "copy", "--config", "/dev/null", "--http-url", bench.server.uris["limited"], ":http:",
                            target, *streams, "--include", "*.tar"], check=True, capture_output=True, timeout=600)
            speeds.append(total / (time.monotonic() - begin))
            shutil.rmtree(target)
        print(f"rclone {' '.join(streams)}: {middle(speeds) / 1e9:.2f} GB/s into tmpfs", flush=True)


def slow(bench):
    pairs, shares, won = [], [], []
    bench.manifest("limited")
    for _ in range(bench.pairs):
        clean = bench.faro("limited", epochs=6, memory="3500M")
        dirty = bench.faro("slow", epochs=6, memory="3500M")
        seconds = [sum(epoch["seconds"] for epoch in report["epochs"][1:]) for report in (dirty, clean)]
        pairs.append(seconds)
        shares.append(dirty["hedges"] / dirty["store_requests"])
        won.append(dirty["hedges_won"])
    print(f"1 % of requests 100 times slower: {middle(p[0] for p in pairs):.2f} s for 5 epochs, clean "
          f"{middle(p[1] for p in pairs):.2f} s; hedges won {middle(won)}")
    print(f"  epoch time over clean     {ratios(pairs)}  goal 1.10")
    print(f"  hedges over requests      {middle(shares):.4f} (at most {max(shares):.4f})  goal 0.02", flush=True)


def errors(bench):
    shares = []
    bench.manifest("errors")
    for _ in range(bench.pairs):
        report = bench.faro("errors")
        necessary = report["store_requests"] - report["retries"] - report["hedges"]
        shares.append((report["store_requests"], necessary))
        retried = report["retries_by"]
    print(f"10 % random 503s: {middle(s[0] for s in shares)} requests, {middle(s[1] for s in shares)} necessary; "
          f"causes of the last: { {k: v for k, v in retried.items() if v} }")
    print(f"  requests over necessary   {ratios(shares)}  goal 1.15", flush=True)


def main():
    parts = {"plain": lambda b: fast(b, "plain"), "tls": lambda b: fast(b, "tls"), "limited": limited, "rclone": rclone,
             "slow": slow, "errors": errors}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", help="folder of faro and store_limit")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--directory", help="keeps the shards here; otherwise they are made and removed")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        data = options.directory or os.path.join(folder, "data")
        os.makedirs(data, exist_ok=True)
        make(data)
        server = Server(os.path.join(folder, "nginx"), data)
        try:
            bench = Bench(options.binaries, server, folder, options.pairs)
            bench.manifest("limited")
            for part in options.only:
                parts[part](bench)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
