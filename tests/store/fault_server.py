#!/usr/bin/env python3
"""A scripted HTTP server that misbehaves on purpose, for the tests of store/.

GET or HEAD /MODE/NAME answers as MODE says (see MODES below); NAME only tells apart the counters of
different tests. HEAD /count/MODE/NAME tells, as its Content-Length, how many requests /MODE/NAME
has had; /connections how many connections were made. Prints its port, then serves until it is
killed or its standard input closes.
"""
import collections
import os
import re
import socketserver
import sys
import threading
import time

SIZE = 1 << 20
DATA = bytes((i * 7 + (i >> 8) * 13) % 251 for i in range(SIZE))
ETAG = '"v1"'

lock = threading.Lock()
counts = collections.Counter()
connections = 0


class Close(Exception):
    """Ends the connection."""


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True  # head and body are written apart

    def handle(self):
        global connections
        with lock:
            connections += 1
        try:
            while self.one():
                pass
        except (Close, OSError):
            pass

    def one(self):
        line = self.rfile.readline().decode()
        if not line.strip():
            return False
        self.method, path, _ = line.split(" ", 2)
        self.headers = {}
        while True:
            header = self.rfile.readline().decode().strip()
            if not header:
                break
            name, value = header.split(":", 1)
            self.headers[name.lower()] = value.strip()
        match = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("range", ""))
        self.range = (int(match[1]), int(match[2])) if match else None
        if path == "/connections":
            self.send(200, {"Content-Length": connections})
            return True
        if path.startswith("/count/"):
            with lock:
                count = counts[path[len("/count"):]]
            self.send(200, {"Content-Length": count})
            return True
        with lock:
            counts[path] += 1
            self.nth = counts[path]
        MODES[path.split("/")[1]](self)
        return True

    def send(self, status, headers, body=b""):
        head = f"HTTP/1.1 {status} X\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.wfile.write(head.encode() + b"\r\n")
        if self.method != "HEAD":
            self.wfile.write(body)

    def good(self, status=None, body=None, **changes):
        """The right answer, with changes: header_name='value', or None to leave it out."""
        first, last = self.range or (0, SIZE - 1)
        last = min(last, SIZE - 1)
        if body is None:
            body = DATA[first:last + 1]
        headers = {"ETag": ETAG, "Content-Length": len(body)}
        if self.range:
            headers["Content-Range"] = f"bytes {first}-{last}/{SIZE}"
        for name, value in changes.items():
            headers[name.replace("_", "-")] = value
        headers = {name: value for name, value in headers.items() if value is not None}
        self.send(status or (206 if self.range else 200), headers, body)

    def status(self, code, body=b"<html>no</html>", **headers):
        self.send(code, {"Content-Length": len(body), **headers}, body)

    def length(self):
        return self.range[1] - self.range[0] + 1 if self.range else SIZE

    def close_mid(self):
        self.good(body=DATA[:self.length() // 2], Content_Length=self.length())
        raise Close

    def chunked(self, extra):
        body = DATA[self.range[0]:self.range[1] + 1] + b"x" * extra
        body = body[:len(body) + min(extra, 0)]
        half = len(body) // 2
        parts = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:half], body[half:]))
        self.good(body=parts + b"0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")

    def flaky(self, code, times):
        self.status(code) if self.nth <= times else self.good()

    def stall(self, sent):
        if sent:
            self.good(body=DATA[:sent], Content_Length=self.length())
        time.sleep(20)
        raise Close

    def trickle(self):
        body = DATA[self.range[0]:self.range[1] + 1]
        self.good(body=b"", Content_Length=len(body))
        for i in range(10):
            step = -(-len(body) // 10)
            self.wfile.write(body[i * step:(i + 1) * step])
            time.sleep(0.1)

    def check_match(self):
        wanted = self.headers.get("if-match", ETAG)
        self.good() if wanted == ETAG else self.status(412)

    def head_refused(self, code):
        self.status(code) if self.method == "HEAD" else self.good()

    def redirect(self, where):
        self.status(302, Location=where)

    def garbage(self):
        self.wfile.write(b"\x00\xffnot HTTP\r\n\r\n")
        raise Close

    def reset(self):
        raise Close

    def empty_object(self):
        if self.method == "HEAD":
            self.status(405)
        else:
            self.send(416, {"Content-Length": 0, "Content-Range": "bytes */0"})


H = Handler
MODES = {
    "ok": H.good,
    "match": H.check_match,
    "s401": lambda h: h.status(401),
    "s403": lambda h: h.status(403),
    "s404": lambda h: h.status(404),
    "s416": lambda h: h.status(416, Content_Range=f"bytes */{SIZE}"),
    "s500": lambda h: h.status(500),
    "s503": lambda h: h.status(503),
    "s400": lambda h: h.status(400),
    "flaky503": lambda h: h.flaky(503, 2),
    "flaky429": lambda h: h.flaky(429, 1),
    "flaky408": lambda h: h.flaky(408, 1),
    "close_mid": H.close_mid,
    "close_once": lambda h: h.close_mid() if h.nth == 1 else h.good(),
    "reset": H.reset,
    "reset_once": lambda h: h.reset() if h.nth == 1 else h.good(),
    "garbage": H.garbage,
    "longer": lambda h: h.good(body=DATA[:h.length() + 100]),
    "longer_chunked": lambda h: h.chunked(100),
    "exact_chunked": lambda h: h.chunked(0),
    "shorter_chunked": lambda h: h.chunked(-10),
    "shorter": lambda h: h.good(body=DATA[:h.length() - 10]),
    "wrong_range": lambda h: h.good(Content_Range=f"bytes 7-{h.length() + 6}/{SIZE}"),
    "no_range": lambda h: h.good(Content_Range=None),
    "bad_range": lambda h: h.good(Content_Range="bytes 9999999999999999999999-1/x"),
    "wrong_total": lambda h: h.good(Content_Range=f"bytes {h.range[0]}-{h.range[1]}/{SIZE + 1}"),
    "star_total": lambda h: h.good(Content_Range=f"bytes {h.range[0]}-{h.range[1]}/*"),
    "other_etag": lambda h: h.good(ETag='"v2"'),
    "no_etag": lambda h: h.good(ETag=None),
    "weak": lambda h: h.status(412) if "if-match" in h.headers else h.good(ETag='W/"v1"'),
    "whole": lambda h: h.good(200, body=DATA, Content_Range=None),
    "gzip": lambda h: h.good(Content_Encoding="gzip"),
    "stall_head": lambda h: h.stall(0),
    "stall_body": lambda h: h.stall(1000),
    "trickle": H.trickle,
    "head405": lambda h: h.head_refused(405),
    "head403": lambda h: h.head_refused(403),
    "head_mute": lambda h: h.good(Content_Length=None) if h.method == "HEAD" else h.good(),
    "empty": H.empty_object,
    "redirect": lambda h: h.redirect("/ok/redirected"),
    "loop": lambda h: h.redirect("/loop/again"),
    "to_file": lambda h: h.redirect("file:///etc/passwd"),
    "big_error": lambda h: h.status(500, body=b"e" * SIZE),
}


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
