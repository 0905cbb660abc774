"""Servers that the tests read from: nginx, plain and TLS; Ceph's radosgw, an S3 server; and
tests/store/fault_server.py, which misbehaves on purpose."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

from support import ROOT, samples_of_tars, write_shards

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import radosgw  # noqa: E402
from s3_client import S3  # noqa: E402

# A server must not outlive its test, however that ends.
WITH_ME = ["setpriv", "--pdeathsig", "KILL", "--"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(key, cert):
    """For localhost, signed by itself: its own CA."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert],
        check=True, stderr=subprocess.DEVNULL)


class Nginx:
    """Serves the folder `data` of its directory. One process; every answer is logged. Its address is
    loopback's, or where there are hosts (tests/support/hosts.py), their switch's."""

    MODULES = "/usr/lib/nginx/modules"  # libnginx-mod-http-lua's
    LUA = os.path.exists(MODULES + "/ngx_http_lua_module.so")
    LOAD = f"""load_module {MODULES}/ndk_http_module.so;
load_module {MODULES}/ngx_http_lua_module.so;
"""
    # See shaped().
    SHAPES = """
    location ~ ^/shaped/(?<share>\\d+)/(?<delay>\\d+)/(?<slow>\\d+)/(?<rate>\\w+)/(?<rest>.*)$ {
      alias data/$rest; limit_rate $rate; sendfile_max_chunk 256k;
      access_by_lua_block {
        requests = (requests or 0) + 1
        local wait = tonumber(ngx.var.delay)
        if requests % 100 == 99 then wait = wait + tonumber(ngx.var.slow) end
        if wait > 0 then ngx.sleep(wait / 1000) end
        if math.random(100) <= tonumber(ngx.var.share) then return ngx.exit(503) end
      }
    }"""
    CONF = """{load}daemon off; master_process off; pid logs/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  {seed}
  log_format ranges '$request_method $uri $status $http_range';
  access_log logs/access.log ranges; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
  uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
  ssl_certificate srv.pem; ssl_certificate_key srv.key;
  root data;
  server {{ listen {address}:{plain}; listen {address}:{tls} ssl; location /denied/ {{ deny all; }}
    location /slow/ {{ alias data/set/; sendfile off; limit_rate 128k; }}{shapes} }}
}}
"""

    def __init__(self, test_class, folder, hosts=None):
        self.folder = folder
        self.address = hosts.address if hosts else "127.0.0.1"
        self.enter = hosts.switch.enter() if hosts else []
        self.data = os.path.join(folder, "data")
        self.ca = os.path.join(folder, "conf", "srv.pem")
        for name in ("conf", "logs", "tmp", "data"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        # Where nginx is started by root, its process is nobody's.
        os.chmod(folder, 0o755)
        certificate(os.path.join(folder, "conf", "srv.key"), self.ca)
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        if nginx is None:
            raise RuntimeError("no nginx: it is package nginx-light (jobs/setup.sh --tests)")
        self.program, self.process = nginx, None
        test_class.addClassCleanup(self.stop)
        for _ in range(5):  # another process may take a free port first
            self.plain, self.tls = free_port(), free_port()
            with open(os.path.join(folder, "conf", "nginx.conf"), "w", encoding="utf-8") as file:
                file.write(self.CONF.format(
                    address=self.address, plain=self.plain, tls=self.tls, load=self.LOAD if self.LUA else "",
                    seed="init_by_lua_block { math.randomseed(7) }" if self.LUA else "",
                    shapes=self.SHAPES if self.LUA else ""))
            if self.start():
                break
        else:
            raise RuntimeError(f"nginx does not start: see {folder}/logs/error.log")
        self.http = f"http://{self.address}:{self.plain}"
        self.https = f"https://{self.address}:{self.tls}"

    def start(self):
        """On the same ports as ever; whether it listens."""
        listens = os.path.join(self.folder, "logs", "nginx.pid")  # written after that
        if os.path.exists(listens):
            os.remove(listens)
        self.process = subprocess.Popen(
            [*WITH_ME, *self.enter, self.program, "-p", self.folder, "-c", "conf/nginx.conf", "-e",
             "logs/error.log"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.process.poll() is None and not os.path.exists(listens):
            time.sleep(0.02)
        return self.process.poll() is None

    def stop(self):
        """At once: its connections are reset."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def shaped(self, errors=0, delay=0, slow=0, rate="0"):
        """Its URI as another store: errors in 100 requests are answered 503; delay ms to the first
        byte; slow ms more for every 100th request; rate bytes/s of a request ("30m"), 0: no limit."""
        if not self.LUA:
            raise unittest.SkipTest("no Lua in nginx: it is package libnginx-mod-http-lua")
        return f"{self.http}/shaped/{errors}/{delay}/{slow}/{rate}"

    def mark(self):
        """Where the log ends now: nginx writes a line when an answer is out."""
        log = os.path.join(self.folder, "logs", "access.log")
        size = -1
        while size != os.path.getsize(log):
            size = os.path.getsize(log)
            time.sleep(0.1)
        return size

    def ranges(self, since=0):
        """The ranges that were answered since mark(): (path, first, last), for each request."""
        self.mark()
        with open(os.path.join(self.folder, "logs", "access.log"), encoding="utf-8") as file:
            file.seek(since)
            lines = file.read().splitlines()
        found = []
        for line in lines:
            match = re.fullmatch(r"GET (\S+) 206 bytes=(\d+)-(\d+)", line)
            if match:
                found.append((match[1], int(match[2]), int(match[3])))
        return found


class FaultServer:
    """uri(SPEC): what tests/store/fault_server.py answers so; 1 MiB without a format."""

    SIZE = 1 << 20

    def __init__(self, test_class):
        process = subprocess.Popen(
            [*WITH_ME, sys.executable, os.path.join(ROOT, "tests/store/fault_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # A class, or one test of it.
        clean = getattr(test_class, "addCleanup" if isinstance(test_class, unittest.TestCase)
                        else "addClassCleanup")
        for close in (process.wait, process.kill, process.stdin.close, process.stdout.close):
            clean(close)
        self.ports = json.loads(process.stdout.readline())
        self.port = self.ports["http"]

    def endpoint(self, port="http"):
        """port: http, other, https, wrong_name, expired, self_signed."""
        scheme = "http" if port in ("http", "other") else "https"
        return f"{scheme}://127.0.0.{2 if port == 'other' else 1}:{self.ports[port]}"

    def uri(self, spec, name="shard.bin"):
        return f"{self.endpoint()}/{spec}/{name}"

    def s3(self, spec, name="shard.bin"):
        return f"s3://store/{spec}/{name}"

    def control(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.ports['control']}{path}", timeout=20) as answer:
            return json.load(answer)

    def log(self, key=None):
        """The requests of /SPEC/NAME so far: see record() of fault_server.py."""
        return self.control("/log" + (f"?key={urllib.parse.quote(key)}" if key else ""))

    def outage(self, seconds):
        self.control(f"/outage?seconds={seconds}")


class Radosgw(S3):
    """Ceph's S3 server, with a bucket "bucket"; see radosgw.py. Skips where it is not installed."""

    def __init__(self, test_class, folder):
        if not radosgw.installed():
            raise unittest.SkipTest("no radosgw here: packages ceph-mon, ceph-osd and radosgw "
                                    "(jobs/setup.sh --tests)")
        self.folder = folder
        process = subprocess.Popen(
            [*WITH_ME, sys.executable, os.path.join(ROOT, "tests/support/radosgw.py"), folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for close in (process.wait, process.stdin.close, process.stdout.close):
            test_class.addClassCleanup(close)
        ports = process.stdout.readline().split()
        if len(ports) != 2:
            raise RuntimeError(f"radosgw does not start: see {folder}/log")
        super().__init__(f"http://127.0.0.1:{ports[0]}", radosgw.KEY, radosgw.SECRET,
                         ca=os.path.join(folder, "ca.pem"))
        self.https = f"https://127.0.0.1:{ports[1]}"
        self.bucket("bucket")


def aws(endpoint=None, key=radosgw.KEY, secret=radosgw.SECRET, token=None, **more):
    """An environment that tells AWS's tools, and nothing of this machine's own settings. With
    key=None there are no credentials in it."""
    said = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"}
    if endpoint:
        said["AWS_ENDPOINT_URL"] = endpoint
    if key:
        said.update(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)
    if token:
        said["AWS_SESSION_TOKEN"] = token
    return {**said, **more}


def serve_shards(test_class):
    """An nginx with four shards of small samples, one of them nearly empty, as attributes of the class:
    nginx, folder (of the shards), files, samples, bytes, pattern (of their paths). The nginx's folder."""
    base = tempfile.mkdtemp(prefix="faro-e2e-nginx-")
    test_class.addClassCleanup(shutil.rmtree, base, ignore_errors=True)
    test_class.nginx = Nginx(test_class, base)
    test_class.folder = os.path.join(test_class.nginx.data, "set")
    test_class.files = write_shards(test_class.folder, [90, 70, 5, 110])
    test_class.samples = samples_of_tars(test_class.files)
    test_class.bytes = sum(map(os.path.getsize, test_class.files))
    test_class.pattern = "/set/shard-{000..003}.tar"
    return base
