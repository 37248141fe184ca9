# Connections whose client closes its direction at a random moment, while the server is in
# the midst of sending: the moment at which its socket leaves the table of accelerated ones.
#
#   halfclose.py serve SEED COUNT                       prints {"port": n} first
#   halfclose.py connect PORT SEED COUNT PARALLEL
import json
import random
import socket
import sys
import threading

ADDRESS = "127.0.0.1"
NUMBER = 16

lock = threading.Lock()
totals = {"connections": 0, "wrong": []}


def stream_of(seed, number):
    rng = random.Random("%s/%d" % (seed, number))
    return rng.randbytes(rng.choice([2000, 60_000, 400_000]))


def receive(sock, most):
    """A blocking recv may be told EAGAIN after a half-close: that is no loss."""
    while True:
        try:
            return sock.recv(most)
        except BlockingIOError:
            pass


def note(number, what):
    with lock:
        totals["connections"] += 1
        if what:
            totals["wrong"].append("%d: %s" % (number, what))


def answer(sock, seed):
    number = int(sock.recv(NUMBER, socket.MSG_WAITALL))
    data, at, rng = stream_of(seed, number), 0, random.Random(number)
    what = None
    try:
        while at < len(data):
            size = rng.choice([1, 50, 500, 5000])
            sock.sendall(data[at : at + size])
            at += size
        if receive(sock, 1):
            what = "bytes instead of an end"
    except OSError as error:
        what = str(error)
    sock.close()
    note(number, what)


def serve(seed, count):
    listener = socket.socket()
    listener.bind((ADDRESS, 0))
    listener.listen(1024)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    threads = []
    for _ in range(int(count)):
        thread = threading.Thread(target=answer, args=(listener.accept()[0], seed))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def ask(port, seed, number):
    expected, received, rng = stream_of(seed, number), b"", random.Random(-number)
    moment = rng.randrange(len(expected))
    is_open = True
    sock = socket.create_connection((ADDRESS, int(port)))
    sock.settimeout(None)
    sock.sendall(b"%016d" % number)
    while len(received) < len(expected):
        if is_open and len(received) >= moment:
            sock.shutdown(socket.SHUT_WR)
            is_open = False
        data = receive(sock, rng.choice([100, 5000, 100_000]))
        if not data:
            break
        received += data
    sock.close()
    is_whole = received == expected
    note(number, None if is_whole else "%d of %d bytes" % (len(received), len(expected)))


def connect(port, seed, count, parallel):
    numbers = iter(range(int(count)))

    def work():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            ask(port, seed, number)

    threads = [threading.Thread(target=work) for _ in range(int(parallel))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


{"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
print(json.dumps(totals), flush=True)
