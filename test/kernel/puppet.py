# A process in a cgroup that does with sockets what it is told on stdin, one JSON
# command a line, and answers each with one JSON line: {"value": ...} or
# {"error": "EPERM"}. Bytes travel as latin-1 text.
import errno
import json
import select
import socket
import sys

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


def run(command):
    op = command["op"]
    if op == "socket":
        sock = socket.socket(*[constant(name) for name in command["args"]])
        sock.settimeout(command.get("timeout", 2))
        return keep(sock)
    sock = sockets[command["socket"]]
    if op == "close":
        del sockets[command["socket"]]
        return sock.close()
    if op == "readable":
        return bool(select.select([sock], [], [], command["args"][0])[0])
    if op == "writable":
        return bool(select.select([], [sock], [], command["args"][0])[1])
    if op == "burst":
        return burst(sock, *[given(value) for value in command["args"]])
    arguments = [given(value) for value in command["args"]]
    if op == "setsockopt":
        arguments[:2] = [constant(name) for name in arguments[:2]]
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
