#!/usr/bin/env python3
"""A scripted HTTP and S3 server that misbehaves on purpose, for the tests.

/SPEC/NAME, or s3://store/SPEC/NAME in path style, is an object of 1 MiB (data() of fault_store.py)
that also takes uploads. SPEC says what goes wrong, NAME tells tests apart:

    SPEC   = clause ; clause ...       the clause of the request's kind, else the one without kind,
    clause = [KIND :] STEP , STEP ...  else ok; KIND: head get put part init complete abort delete
                                       list (whose SPEC/NAME is the prefix)
    STEP   = NAME [= ARGUMENT]         see STEPS of fault_steps.py

The first time that a request (method, path, query, last byte of its range) comes it meets the first
step, then the second one, and so on; the last one stays. "s503,s503,ok" is well at the third try;
"cut=1000,ok" ends after 1000 bytes of a body and answers well when asked for the rest, or again.

Prints one line of JSON: the ports of "http", "other" (the same on 127.0.0.2), "https" (by the
certificate "ca"), "wrong_name", "expired", "self_signed" (the same with certificates that a client
must refuse) and "control"; serves until its standard input closes. As a proxy it answers requests
for http:// itself and tunnels for https://. GET on the control port answers JSON:

    /log?key=/SPEC/NAME    requests of it so far, oldest first: see Exchange.record()
    /log                   all requests
    /connections           connections made so far
    /outage?seconds=S      no port but this one listens for S s, and all connections are reset
"""
import collections
import contextlib
import json
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import fault_steps
from fault_store import BUCKET

lock = threading.Lock()
log = []
turns = collections.Counter()
connections = 0  # of the ports that misbehave
ports = {}


class Close(Exception):
    """Ends the connection."""


class Exchange:
    """One request and what is sent for it."""

    def __init__(self, connection, method, target, headers, body):
        self.connection, self.method, self.headers, self.body = connection, method, headers, body
        url = urllib.parse.urlsplit(target)
        self.proxied, self.port = bool(url.scheme), connection.port
        self.tls, self.ports = connection.tls, ports
        self.path = urllib.parse.unquote(url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.kind = self.find_kind()
        self.key = self.path
        if self.path == f"/{BUCKET}" or self.path.startswith(f"/{BUCKET}/"):
            self.key = self.path[len(BUCKET) + 1:]
        if self.kind == "list":
            self.key = "/" + self.query.get("prefix", "")
        match = re.match(r"bytes=(\d+)-(\d+)$", headers.get("range", ""))
        self.range = (int(match[1]), int(match[2])) if match else None
        question = (method, url.path, url.query, self.range and self.range[1])
        with lock:
            self.nth, self.total = turns[question], turns[self.key]
            turns[question] += 1
            turns[self.key] += 1
            log.append(self.record())

    def find_kind(self):
        query = self.query
        if self.method in ("HEAD", "GET"):
            return "list" if "list-type" in query else self.method.lower()
        if self.method == "POST":
            return "init" if "uploads" in query else "complete"
        if self.method == "DELETE":
            return "abort" if "uploadId" in query else "delete"
        return "part" if "partNumber" in query else "put"

    def record(self):
        return {"method": self.method, "kind": self.kind, "key": self.key, "port": self.port,
                "range": self.headers.get("range", ""), "query": self.query,
                "proxied": self.proxied, "bytes": len(self.body), "headers": self.headers,
                "connection": self.connection.number, "time": time.monotonic()}

    def step(self):
        """The step that it meets: its name and argument."""
        clauses = {}
        for clause in self.key.split("/")[1].split(";"):
            kind, colon, steps = clause.rpartition(":")
            clauses[kind if colon else ""] = steps.split(",")
        steps = clauses.get(self.kind) or clauses.get("") or ["ok"]
        name, _, argument = steps[min(self.nth, len(steps) - 1)].partition("=")
        return name, argument

    def send(self, status, headers, body=b""):
        self.write(self.head(status, headers) + (b"" if self.method == "HEAD" else body))

    def head(self, status, headers):
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"

    def write(self, data):
        self.connection.socket.sendall(data)

    def close(self):
        raise Close

    def reset(self):
        """Ends the connection by RST, once the client has had time to read what was sent."""
        time.sleep(0.05)
        self.connection.reset_at_close()
        raise Close

    def hold(self, seconds=60):
        """Says nothing until the client gives up."""
        select.select([self.connection.socket], [], [], seconds)
        raise Close


class Connection:
    def __init__(self, sock, port, tls, number):
        self.socket, self.port, self.tls, self.number = sock, port, tls, number
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are written apart

    def reset_at_close(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def serve(self, context, answer):
        with contextlib.suppress(Close, OSError, ValueError):
            if context:
                self.socket = context.wrap_socket(self.socket, server_side=True)
            self.file = self.socket.makefile("rb")
            while self.one(answer):
                pass
        self.socket.close()

    def one(self, answer):
        line = self.file.readline().decode()
        if not line.strip():
            return False
        method, target, _ = line.split(" ", 2)
        headers = {}
        while header := self.file.readline().decode().strip():
            name, value = header.split(":", 1)
            headers[name.lower()] = value.strip()
        if method == "CONNECT":
            return self.tunnel(target, headers)
        if headers.get("expect"):
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        answer(self, method, target, headers, self.file.read(int(headers.get("content-length", 0))))
        return True

    def tunnel(self, target, headers):
        with lock:
            log.append({"method": "CONNECT", "kind": "connect", "key": target, "port": self.port,
                        "headers": headers, "connection": self.number, "time": time.monotonic()})
        host, port = target.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            self.socket.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            ends = {self.socket: there, there: self.socket}
            while True:
                for source in select.select(list(ends), [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return False
                    ends[source].sendall(data)


class Listener:
    """A port, its threads and its open connections."""

    def __init__(self, answer, host="127.0.0.1", context=None):
        self.answer, self.host, self.context, self.port = answer, host, context, 0
        self.open = {}
        self.listen()

    def listen(self):
        self.listening = socket.create_server((self.host, self.port), backlog=512)
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listening,), daemon=True).start()

    def accept(self, listening):
        with contextlib.suppress(OSError):
            while True:
                self.take(listening.accept()[0])

    def take(self, sock):
        global connections
        with lock:
            connections += self.answer is misbehave
            connection = Connection(sock, self.port, self.context is not None, connections)
            self.open[connection.number] = connection

        def serve():
            connection.serve(self.context, self.answer)
            with lock:
                self.open.pop(connection.number, None)
        threading.Thread(target=serve, daemon=True).start()

    def vanish(self):
        self.listening.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listening.close()
        with lock:
            gone = list(self.open.values())
        for connection in gone:
            with contextlib.suppress(OSError):
                connection.reset_at_close()
                connection.socket.shutdown(socket.SHUT_RDWR)


def misbehave(connection, method, target, headers, body):
    exchange = Exchange(connection, method, target, headers, body)
    try:
        name, argument = exchange.step()
        fault_steps.find(name)(exchange, argument)
    except (KeyError, IndexError) as error:
        exchange.send(599, {"Content-Length": 0, "X-No-Such-Step": repr(error)})


def control(connection, method, target, headers, body):
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query))
    if url.path == "/log":
        with lock:
            answer = [entry for entry in log if query.get("key") in (None, entry["key"])]
    elif url.path == "/connections":
        answer = connections
    else:
        answer = outage(float(query["seconds"]))
    text = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 X\r\nContent-Length: {len(text)}\r\n\r\n"
    connection.socket.sendall(head.encode() + text)


def outage(seconds):
    for listener in listeners:
        listener.vanish()

    def back():
        time.sleep(seconds)
        for listener in listeners:
            listener.listen()
    threading.Thread(target=back, daemon=True).start()


def contexts(folder):
    """The servers' TLS, by name, and the CA that "https" and "expired" are signed by."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=folder, capture_output=True)

    def make(name, alternative, days):
        """days = 0: signed by itself."""
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
               f"{name}.key", "-subj", f"/CN={name}"]
        if alternative:
            new += ["-addext", f"subjectAltName={alternative}"]
        if days == 0:
            openssl("req", "-x509", "-days", "2", *new, "-out", f"{name}.pem")
            return
        openssl("req", *new, "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days",
                str(days), "-copy_extensions", "copy", "-out", f"{name}.pem")

    here = "IP:127.0.0.1,IP:127.0.0.2,DNS:localhost"
    made = {}
    for name, alternative, days in (("ca", None, 0), ("self_signed", here, 0), ("https", here, 2),
                                    ("wrong_name", "DNS:elsewhere.example", 2),
                                    ("expired", here, -1)):
        make(name, alternative, days)
        made[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made[name].load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    del made["ca"]
    with open(f"{folder}/ca.pem", encoding="utf-8") as file:
        return made, file.read()


with tempfile.TemporaryDirectory() as temporary:
    tls, ca = contexts(temporary)
servers = {"http": Listener(misbehave), "other": Listener(misbehave, host="127.0.0.2"),
           **{name: Listener(misbehave, context=context) for name, context in tls.items()}}
listeners = list(servers.values())
ports.update({name: server.port for name, server in servers.items()})
print(json.dumps({**ports, "control": Listener(control).port, "ca": ca}), flush=True)
sys.stdin.read()
os._exit(0)
