# TCP connections of random shapes, every byte of which is known beforehand at both
# ends: seed and client port decide what each side sends, in what sizes, by which calls,
# and who closes first.
#
#   streams.py serve ADDRESS SEED COUNT        prints {"port": n} first
#   streams.py connect ADDRESS PORT SEED COUNT PARALLEL
#
# At the end one JSON line says how much was exchanged and everything that was not as it
# should be. A blocking recv is told EAGAIN at times after this side has closed its own
# direction while there was something to read, or while another thread closes it: that is
# counted in `again`, and it is tried again. Anywhere else it is wrong.
import errno
import json
import os
import random
import select
import socket
import sys
import tempfile
import threading

DEADLINE_S = 60
LARGEST_MESSAGE = 256 << 10
TOO_LITTLE = "ended after %d of %d bytes"

lock = threading.Lock()
totals = {"connections": 0, "bytes": 0, "again": 0, "wrong": []}


def note(**amounts):
    with lock:
        for name, amount in amounts.items():
            totals[name] += amount


def complain(shape, what):
    with lock:
        totals["wrong"].append("%s: %s" % (shape, what))


class Shape:
    """What both ends know of a connection from its port alone."""

    def __init__(self, seed, port):
        rng = random.Random("%s/%d" % (seed, port))
        self.port = port
        self.kind = rng.choices(
            ["turns", "duplex", "once", "small", "bulk"], weights=[24, 48, 24, 3, 1]
        )[0]
        self.closer = rng.choice(["client", "server"])
        self.half_closes = {"client": rng.random() < 0.5, "server": rng.random() < 0.5}
        self.turns = rng.randint(1, 12)
        most = rng.choice([1, 64, 4096, 65536, LARGEST_MESSAGE])
        self.messages = {side: self.sizes(rng, most) for side in ("client", "server")}
        self.bytes = {
            side: rng.randbytes(sum(sizes)) for side, sizes in self.messages.items()
        }
        # How a side goes about it: its own affair, but a seed should repeat it.
        self.styles = {
            side: rng.choice(["threads", "edge", "level"]) for side in ("client", "server")
        }
        self.rngs = {side: random.Random(rng.random()) for side in ("client", "server")}

    def sizes(self, rng, most):
        if self.kind == "small":
            return [rng.randint(1, 300) for _ in range(rng.randint(0, 6000))]
        if self.kind == "bulk":
            most = rng.choice([1, 4096, LARGEST_MESSAGE])
            total = rng.choice([0, 4096, 24 << 20])
            return [most] * (total // most if most > 1 else min(total, 4096))
        if self.kind == "once":
            return [rng.randint(1, most)]
        if self.kind == "turns":
            return [rng.randint(1, most) for _ in range(self.turns)]
        return [rng.randint(1, most) for _ in range(rng.randint(0, 16))]

    def __str__(self):
        return "port %d %s %s/%s, %s closes" % (
            self.port,
            self.kind,
            self.styles["client"],
            self.styles["server"],
            self.closer,
        )


class Inbox:
    """Compares what arrives with what has to arrive, and remembers the first difference."""

    def __init__(self, expected):
        self.expected = memoryview(expected)
        self.at = 0
        self.difference = None

    def take(self, data):
        end = self.at + len(data)
        if self.difference is None and self.expected[self.at : end] != data:
            self.difference = "other bytes within %d..%d" % (self.at, end)
        self.at = end

    @property
    def is_full(self):
        return self.at >= len(self.expected)


def receive(sock, most, flags, meanwhile):
    """A blocking recv; `meanwhile` is "close" when this side closes its own direction."""
    while True:
        try:
            return sock.recv(most, flags)
        except BlockingIOError:
            if meanwhile != "close":
                raise
            note(again=1)


def take_some(sock, inbox, rng, upto, meanwhile=""):
    """One recv of a random kind; False at the end of the stream."""
    most = min(rng.choice([1, 100, 4096, 65536, LARGEST_MESSAGE]), max(1, upto - inbox.at))
    if rng.random() < 0.2:
        ahead = receive(sock, most, socket.MSG_PEEK, meanwhile)
        if ahead != inbox.expected[inbox.at : inbox.at + len(ahead)]:
            inbox.difference = inbox.difference or "other bytes peeked at %d" % inbox.at
    flags = socket.MSG_WAITALL if rng.random() < 0.2 and most <= upto - inbox.at else 0
    data = receive(sock, most, flags, meanwhile)
    inbox.take(data)
    return len(data) > 0


def send_message(sock, data, rng):
    """Blocking, all of it, by one of the calls that programs use."""
    way = rng.randrange(4)
    if way == 0 and len(data) > 1:
        cut = rng.randrange(1, len(data))
        sent = sock.sendmsg([data[:cut], data[cut:]])
        sock.sendall(data[sent:])
    elif way == 1 and len(data) > 1:
        cut = rng.randrange(1, len(data))
        sock.sendall(data[:cut], socket.MSG_MORE)
        sock.sendall(data[cut:])
    elif way == 2:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            sent = 0
            while sent < len(data):
                sent += os.sendfile(sock.fileno(), file.fileno(), sent, len(data) - sent)
    else:
        sock.sendall(data)


def messages_of(shape, side):
    view, at = memoryview(shape.bytes[side]), 0
    for size in shape.messages[side]:
        yield view[at : at + size]
        at += size


def expect_end(sock, inbox, meanwhile):
    """Nothing may follow; a reset is an end too, when bytes of ours were not read."""
    try:
        rest = receive(sock, 1, 0, meanwhile)
    except ConnectionResetError:
        return
    if rest:
        inbox.difference = inbox.difference or "bytes after the last one"


def take_turns(sock, shape, side, inbox, rng):
    """Each side waits for the other's message before it sends its next."""
    mine = list(messages_of(shape, side))
    other = "server" if side == "client" else "client"
    upto = 0
    for turn in range(shape.turns):
        for speaker in ("client", "server"):
            if speaker == side:
                send_message(sock, mine[turn], rng)
                continue
            upto += shape.messages[other][turn]
            while inbox.at < upto:
                if not take_some(sock, inbox, rng, upto):
                    return


def by_threads(sock, shape, side, inbox, rng, half_closes):
    """One thread sends, one receives, both block."""
    sending = random.Random(rng.random())

    def send():
        try:
            for message in messages_of(shape, side):
                send_message(sock, message, sending)
            if half_closes:
                sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            complain(shape, "%s sends: %s" % (side, errno.errorcode.get(error.errno, error)))

    sender = threading.Thread(target=send)
    sender.start()
    meanwhile = "close" if half_closes else ""
    while not inbox.is_full and take_some(sock, inbox, rng, len(inbox.expected), meanwhile):
        pass
    sender.join()


def by_events(sock, shape, side, inbox, rng, half_closes):
    """One thread, never blocks; edge-triggered: reads and writes until EAGAIN."""
    is_edge = shape.styles[side] == "edge"
    outgoing = list(messages_of(shape, side))
    sock.setblocking(False)
    poll = select.epoll()
    edge = select.EPOLLET if is_edge else 0
    poll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | edge)
    at = 0
    is_ended = False
    while (outgoing or not inbox.is_full) and not is_ended:
        events = poll.poll(DEADLINE_S)
        if not events:
            raise TimeoutError("no event")
        if events[0][1] & (select.EPOLLIN | select.EPOLLRDHUP):
            try:
                while not inbox.is_full:
                    data = sock.recv(rng.choice([100, 4096, LARGEST_MESSAGE]))
                    inbox.take(data)
                    if not data:
                        is_ended = True
                        break
                    if not is_edge:
                        break
            except BlockingIOError:
                pass
        if events[0][1] & select.EPOLLOUT:
            try:
                while outgoing:
                    at += sock.send(outgoing[0][at:])
                    if at == len(outgoing[0]):
                        outgoing.pop(0)
                        at = 0
                    if not is_edge:
                        break
            except BlockingIOError:
                pass
            if not outgoing and not is_edge:
                poll.modify(sock, select.EPOLLIN | select.EPOLLRDHUP)
    poll.close()
    sock.setblocking(True)
    if half_closes and not outgoing:
        sock.shutdown(socket.SHUT_WR)


def converse(sock, shape, side):
    other = "server" if side == "client" else "client"
    inbox = Inbox(shape.bytes[other])
    rng = shape.rngs[side]
    half_closes = shape.half_closes[side] and shape.kind in ("duplex", "small", "bulk")
    sock.settimeout(None)
    try:
        if shape.kind == "turns":
            take_turns(sock, shape, side, inbox, rng)
        elif shape.styles[side] == "threads":
            by_threads(sock, shape, side, inbox, rng, half_closes)
        else:
            by_events(sock, shape, side, inbox, rng, half_closes)
        # Whoever closes first has received everything; the other sees that.
        if shape.closer != side:
            expect_end(sock, inbox, "close" if half_closes else "")
    except OSError as error:
        complain(shape, "%s: %s" % (side, errno.errorcode.get(error.errno, error)))
    sock.close()
    if inbox.difference:
        complain(shape, "%s received %s" % (side, inbox.difference))
    elif not inbox.is_full:
        complain(shape, "%s: " % side + TOO_LITTLE % (inbox.at, len(inbox.expected)))
    note(connections=1, bytes=inbox.at)


def serve(address, seed, count):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 0))
    listener.listen(1024)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    threads = []
    for _ in range(int(count)):
        sock, peer = listener.accept()
        thread = threading.Thread(target=converse, args=(sock, Shape(seed, peer[1]), "server"))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def connect(address, port, seed, count, parallel):
    numbers = iter(range(int(count)))

    def work():
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            sock = socket.create_connection((address, int(port)))
            converse(sock, Shape(seed, sock.getsockname()[1]), "client")

    threads = [threading.Thread(target=work) for _ in range(int(parallel))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


{"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
print(json.dumps(totals), flush=True)
