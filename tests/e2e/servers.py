"""Servers that the tests read from: nginx, plain and TLS, and tests/store/fault_server.py, which
misbehaves on purpose."""
import os
import re
import shutil
import socket
import subprocess
import sys
import time

from support import ROOT

# A server must not outlive its test, however that ends.
WITH_ME = ["setpriv", "--pdeathsig", "KILL", "--"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def certificate(key, cert):
    """For localhost, signed by itself: its own CA."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", cert],
        check=True, stderr=subprocess.DEVNULL)


class Nginx:
    """Serves the folder `data` of its directory. One process; every answer is logged."""

    CONF = """daemon off; master_process off; pid logs/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  log_format ranges '$request_method $uri $status $http_range';
  access_log logs/access.log ranges; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
  uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;
  ssl_certificate srv.pem; ssl_certificate_key srv.key;
  root data;
  server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; location /denied/ {{ deny all; }}
    location /slow/ {{ alias data/set/; sendfile off; limit_rate 128k; }} }}
}}
"""

    def __init__(self, test_class, folder):
        self.folder = folder
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
        for _ in range(5):  # another process may take a free port first
            plain, tls = free_port(), free_port()
            with open(os.path.join(folder, "conf", "nginx.conf"), "w", encoding="utf-8") as file:
                file.write(self.CONF.format(plain=plain, tls=tls))
            process = subprocess.Popen(
                [*WITH_ME, nginx, "-p", folder, "-c", "conf/nginx.conf", "-e", "logs/error.log"],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not (listening(plain) and listening(tls)):
                time.sleep(0.02)
            if process.poll() is None:
                break
        else:
            raise RuntimeError(f"nginx does not start: see {folder}/logs/error.log")
        test_class.addClassCleanup(process.wait)
        test_class.addClassCleanup(process.kill)
        self.http, self.https = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}"

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
    """uri(MODE): what tests/store/fault_server.py answers in that mode; 1 MiB without a format."""

    SIZE = 1 << 20

    def __init__(self, test_class):
        process = subprocess.Popen(
            [*WITH_ME, sys.executable, os.path.join(ROOT, "tests/store/fault_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for close in (process.wait, process.kill, process.stdin.close, process.stdout.close):
            test_class.addClassCleanup(close)
        self.port = int(process.stdout.readline())

    def uri(self, mode):
        return f"http://127.0.0.1:{self.port}/{mode}/shard.bin"
