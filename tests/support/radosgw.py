#!/usr/bin/env python3
r"""An S3 server for tests: Ceph's radosgw over one monitor and one OSD in memory, on loopback.

    radosgw.py DIR    keeps its files in DIR, which must be empty

When it serves, it prints a line of two ports: HTTP and HTTPS (by DIR/ca.pem). It then takes lines
on its standard input (words apart by tabs), and answers each with a line:

    bucket\tNAME              makes a bucket
    put\tBUCKET/KEY\tFILE     stores a file

It ends, with all its daemons, when its standard input closes, and however else it dies. Users: KEY
and SECRET may do all in their own buckets; STRANGER and STRANGER_SECRET have no right to them.
Packages ceph-mon, ceph-osd and radosgw; without them it says so and ends with code 77.
"""
import concurrent.futures
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid

from s3_client import S3

KEY, SECRET = "FAROTESTKEY", "farotestsecret+/0123456789abcdef"
STRANGER, STRANGER_SECRET = "FAROTESTSTRANGER", "strangersecret+/0123456789abcdef"
MISSING = 77  # as automake's tests say "skipped"

# One copy of everything, no authentication between the daemons, no waiting for others.
CONF = """[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon}
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = {dir}/run
log file = {dir}/log/$name.log
admin socket =
pid file = {dir}/run/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
paxos propose interval = 0.02
[mon.a]
mon data = {dir}/mon
mon data avail crit = 1
mon data avail warn = 2
[osd.0]
osd data = {dir}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
[client.rgw]
rgw data = {dir}/rgw
rgw run sync thread = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw thread pool size = 64
rgw frontends = beast endpoint=127.0.0.1:{http} tcp_nodelay=1 ssl_endpoint=127.0.0.1:{https} \
ssl_certificate={dir}/ca.pem ssl_private_key={dir}/ca.key
"""


def installed():
    return all(shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin")
               for program in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph"))


def free_ports(count):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Cluster:
    def __init__(self, folder):
        self.dir = os.path.abspath(folder)
        for name in ("mon", "osd", "rgw", "log", "run"):
            os.makedirs(os.path.join(self.dir, name))
        mon, self.http, self.https = free_ports(3)
        self.fsid = str(uuid.uuid4())
        self.conf = os.path.join(self.dir, "ceph.conf")
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(CONF.format(dir=self.dir, fsid=self.fsid, mon=mon, http=self.http,
                                   https=self.https))
        self.environment = {**os.environ, "CEPH_CONF": self.conf, "no_proxy": "*",
                            "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin"}
        self.daemons = []
        self.mon = mon

    def run(self, *command):
        done = subprocess.run(command, env=self.environment, check=False, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout)[-500:].strip()}")
        return done.stdout

    def ceph(self, *words):
        return self.run("ceph", "--connect-timeout", "20", *words)

    def daemon(self, *command):
        """In the foreground and with our life: the kernel ends it when we are gone."""
        self.daemons.append(subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command, "-f"], env=self.environment,
            cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL))

    def wait_for(self, ready, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not ready():
            if any(daemon.poll() is not None for daemon in self.daemons):
                raise RuntimeError(f"a daemon has ended: see {self.dir}/log")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} is not there after {seconds} s: see {self.dir}/log")
            time.sleep(0.02)

    def user(self, name, key, secret):
        self.run("radosgw-admin", "-n", "client.rgw", "user", "create", f"--uid={name}",
                 f"--display-name={name}", f"--access-key={key}", f"--secret-key={secret}")

    def start(self):
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                       "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                       "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                       "-keyout", f"{self.dir}/ca.key", "-out", f"{self.dir}/ca.pem"]
        self.run(*certificate)
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a",
                 f"[v1:127.0.0.1:{self.mon}]", f"{self.dir}/monmap")
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{self.dir}/monmap")
        self.daemon("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self.ceph("osd", "new", osd, "0")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.daemon("ceph-osd", "-i", "0")
        self.ceph("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        # It waits for the OSD by itself, makes its pools, and answers when it can.
        self.daemon("radosgw", "-n", "client.rgw")
        self.wait_for(lambda: listening(self.http) and listening(self.https), "radosgw")
        users = (("faro", KEY, SECRET), ("stranger", STRANGER, STRANGER_SECRET))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda user: self.user(*user), users))
        return S3(f"http://127.0.0.1:{self.http}", KEY, SECRET)

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.kill()
        for daemon in self.daemons:
            daemon.wait()


def obey(store, line):
    words = line.rstrip("\n").split("\t")
    if words[0] == "bucket":
        store.bucket(words[1])
    elif words[0] == "put":
        with open(words[2], "rb") as file:
            store.put(words[1], file.read())
    else:
        raise RuntimeError(f"no such command: {line!r}")


def main(folder):
    if not installed():
        print("radosgw.py: no radosgw here; it is packages ceph-mon, ceph-osd and radosgw "
              "(jobs/setup.sh --tests)", file=sys.stderr)
        return MISSING
    cluster = Cluster(folder)
    try:
        store = cluster.start()
        print(cluster.http, cluster.https, flush=True)
        for line in sys.stdin:
            try:
                obey(store, line)
                print("ok", flush=True)
            except (OSError, RuntimeError) as error:
                print(f"error: {error}".replace("\n", " "), flush=True)
    finally:
        cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
