# A process in a cgroup that does with sockets what it is told on stdin, one JSON
# command a line, and answers each with one JSON line: {"value": ...} or
# {"error": "EPERM"}. Bytes travel as latin-1 text.
import ctypes
import errno
import json
import os
import select
import socket
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from calls import CALLS

sockets = {}


def plain(value):
    """Turns what a socket call returns into JSON."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, socket.socket):
        return keep(value)
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


def keep(sock):
    number = max(sockets, default=0) + 1
    sockets[number] = sock
    return number


def given(value):
    """Turns a JSON argument into what a socket call takes."""
    if isinstance(value, dict):
        return value["bytes"].encode("latin-1")
    if isinstance(value, list):
        return tuple(given(item) for item in value)
    return value


def constant(name):
    return getattr(socket, name) if isinstance(name, str) else name


def disconnect(sock):
    """What Python's connect() cannot: AF_UNSPEC undoes a connection."""
    nowhere = socket.AF_UNSPEC.to_bytes(16, sys.byteorder)
    if ctypes.CDLL(None, use_errno=True).connect(sock.fileno(), nowhere, 16):
        raise OSError(ctypes.get_errno(), "connect")


def burst(sock, count, size, address):
    """Sends equal datagrams as fast as possible; how many met which fate."""
    results = {}
    payload = b"x" * size
    for _ in range(count):
        try:
            sock.sendto(payload, address)
            result = "ok"
        except OSError as error:
            result = errno.errorcode[error.errno]
        results[result] = results.get(result, 0) + 1
    return results


class Alternator:
    """Tries two addresses in turn, as fast as possible, until it is stopped.

    Policies let exactly one of them pass, so each attempt shows which policy it
    met: the first address passes or the second fails (0), or the reverse (1).
    """

    def __init__(self, attempt):
        self.attempt = attempt
        self.met = [0, 0]
        self.changes = 0
        self.errors = {}
        self.stopping = False
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        turn, last = 0, None
        while not self.stopping:
            result = self.attempt(turn)
            if result not in ("ok", "EPERM"):
                self.errors[result] = self.errors.get(result, 0) + 1
            met = turn ^ (result != "ok")
            self.met[met] += 1
            if last is not None and last != met:
                self.changes += 1
            last = met
            turn ^= 1

    def stop(self):
        self.stopping = True
        self.thread.join()
        return {"met": self.met, "changes": self.changes, "errors": self.errors}


def attempt_send(sock, addresses):
    def attempt(turn):
        try:
            sock.sendto(b"x", addresses[turn])
            return "ok"
        except OSError as error:
            return errno.errorcode[error.errno]

    return attempt


def attempt_connect(_, addresses):
    def attempt(turn):
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            result = errno.errorcode.get(sock.connect_ex(addresses[turn]), "ok")
        return "ok" if result == "EINPROGRESS" else result

    return attempt


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_http():
    """Serves HTTP in the background; returns the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def get_http(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return [response.status, response.read().decode()]


ATTEMPTS = {"send": attempt_send, "connect": attempt_connect}
alternators = {}


def run(command):
    op = command["op"]
    if op == "socket":
        sock = socket.socket(*[constant(name) for name in command["args"]])
        sock.settimeout(command.get("timeout", 2))
        return keep(sock)
    if op == "comm":
        with open("/proc/self/comm", "w") as comm:
            return comm.write(command["args"][0])
    if op == "serve":
        return serve_http()
    if op == "get":
        return get_http(*command["args"])
    sock = sockets[command["socket"]]
    if op == "close":
        del sockets[command["socket"]]
        return sock.close()
    if op == "disconnect":
        return disconnect(sock)
    if op == "readable":
        return bool(select.select([sock], [], [], command["args"][0])[0])
    if op == "writable":
        return bool(select.select([], [sock], [], command["args"][0])[1])
    if op == "alternate":
        kind, addresses = command["args"]
        os.nice(10)  # whoever switches policies meanwhile comes first
        alternators[command["socket"]] = Alternator(ATTEMPTS[kind](sock, given(addresses)))
        return None
    if op == "stop":
        return alternators.pop(command["socket"]).stop()
    if op == "burst":
        return burst(sock, *[given(value) for value in command["args"]])
    arguments = [given(value) for value in command["args"]]
    if op == "setsockopt":
        arguments[:2] = [constant(name) for name in arguments[:2]]
    if op in CALLS:
        return CALLS[op](sock, *arguments)
    result = getattr(sock, op)(*arguments)
    if op == "accept":
        result[0].settimeout(2)
    return result


for line in sys.stdin:
    try:
        answer = {"value": plain(run(json.loads(line)))}
    except socket.timeout as error:  # Python's own, or the kernel's ETIMEDOUT
        answer = {"error": errno.errorcode.get(error.errno, "TIMEOUT")}
    except OSError as error:
        answer = {"error": errno.errorcode.get(error.errno, str(error))}
    except Exception as error:  # a mistake of the test's own
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
