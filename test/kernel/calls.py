# What a puppet can do with a socket beside Python's own methods.
import errno
import fcntl
import functools
import os
import select
import struct
import tempfile
import termios
import threading

# Bytes that tell their place in the stream: no two blocks of this size are alike.
BLOCK = 1 << 20
FLOOD_LIMIT = 1 << 30
SPLICE_F_NONBLOCK = 2

watched = {}
heard_by = {}


@functools.lru_cache(maxsize=64)
def block_of(number):
    first = number * BLOCK // 8
    return struct.pack(">%dQ" % (BLOCK // 8), *range(first, first + BLOCK // 8))


def pattern(at, size):
    """The bytes at this place of the endless stream that flood sends and drain expects."""
    data = b""
    while len(data) < size:
        number, offset = divmod(at + len(data), BLOCK)
        data += block_of(number)[offset : offset + size - len(data)]
    return data


def queued(sock):
    """FIONREAD: how much can be read."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]


def sendfile(sock, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return os.sendfile(sock.fileno(), file.fileno(), 0, len(data))


def splice_from(sock, size):
    """Socket to pipe; the socket is as blocking as it was made."""
    reader, writer = os.pipe()
    try:
        moved = os.splice(sock.fileno(), writer, size)
        return os.read(reader, moved) if moved else b""
    finally:
        os.close(reader)
        os.close(writer)


def splice_to(sock, data):
    """Pipe to socket."""
    reader, writer = os.pipe()
    try:
        os.write(writer, data)
        return os.splice(reader, sock.fileno(), len(data))
    finally:
        os.close(reader)
        os.close(writer)


def watch(sock, *names):
    """Registers the socket with an epoll of its own."""
    poll = watched[sock] = select.epoll()
    poll.register(sock, sum(getattr(select, name) for name in names))


def events(sock, timeout):
    """Names of the events that the epoll reports within so many seconds."""
    found = watched[sock].poll(timeout)
    names = ("EPOLLIN", "EPOLLOUT", "EPOLLPRI", "EPOLLERR", "EPOLLHUP", "EPOLLRDHUP")
    return [name for name in names if found and found[0][1] & getattr(select, name)]


def flood(sock, at, limit=FLOOD_LIMIT, size=65536):
    """Sends the pattern from this place on until the socket would block; where it got to."""
    sock.setblocking(False)
    block = pattern(at, BLOCK)
    begin = at
    try:
        while at < limit:
            if at + size > begin + BLOCK:
                block, begin = pattern(at, BLOCK), at
            at += sock.send(block[at - begin : at - begin + min(size, limit - at)])
    except BlockingIOError:
        pass
    return at


def pour(sock, at, end, size):
    """Sends the pattern in a thread of its own that blocks; join() waits for it."""
    sock.setblocking(True)

    def work():
        for begin in range(at, end, size):
            sock.sendall(pattern(begin, min(size, end - begin)))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    watched[sock] = thread


def join(sock):
    watched.pop(sock).join()


def hear(sock, size):
    """A thread waits in recv; returns when it sleeps there. heard() gives what it got."""
    sock.setblocking(True)
    heard_by[sock] = []

    def work():
        try:
            heard_by[sock].append(sock.recv(size).decode())
        except OSError as error:
            heard_by[sock].append(errno.errorcode[error.errno])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    heard_by[sock].append(thread)
    while "wait_woken" not in open("/proc/self/task/%d/wchan" % thread.native_id).read():
        os.sched_yield()


def heard(sock):
    thread = heard_by[sock].pop(0)
    thread.join()
    return heard_by.pop(sock)[0]


def drain(sock, at, end):
    """Reads from this place to that one; the first place that is not the pattern's, or `end`."""
    while at < end:
        data = sock.recv(min(BLOCK, end - at))
        if not data or data != pattern(at, len(data)):
            return at
        at += len(data)
    return at


def together(sock, tasks, count, size):
    """So many processes send equal messages, each of its own letter, at the same time."""
    sock.setblocking(True)
    children = []
    for task in range(tasks):
        child = os.fork()
        if child == 0:
            for _ in range(count):
                sock.sendall(bytes([ord("a") + task]) * size)
            os._exit(0)
        children.append(child)
    watched[sock] = children
    return tasks


def tally(sock, total, size):
    """Reads so many bytes; how many times `size` of each letter came."""
    counts, seen = {}, 0
    while seen < total:
        data = sock.recv(BLOCK)
        if not data:
            break
        seen += len(data)
        for letter in set(data):
            counts[letter] = counts.get(letter, 0) + data.count(letter)
    return [counts[letter] / size for letter in sorted(counts)]


def completion(sock):
    """Waits for a MSG_ZEROCOPY completion."""
    poll = select.poll()
    poll.register(sock, 0)
    if not poll.poll(2000):
        return "none"
    _, ancillary, _, _ = sock.recvmsg(0, 1024, 0x2000)
    return "done" if ancillary else "empty"


def quickly(sock, address, *messages):
    """Connects without waiting and sends at once, again and again while it is refused."""
    sock.setblocking(False)
    sock.connect_ex(address)
    for message in messages:
        while True:
            try:
                sock.send(message)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ENOTCONN):
                    raise
    sock.settimeout(2)


def send_while_connecting(sock, address, message):
    """A thread sends, and blocks, while the connection is still being made."""
    sock.setblocking(False)
    sock.connect_ex(address)
    sock.setblocking(True)
    thread = threading.Thread(target=sock.sendall, args=(message,))
    thread.start()
    thread.join()
    sock.settimeout(2)


CALLS = {
    call.__name__: call
    for call in (
        queued, hear, heard, sendfile, splice_from, splice_to, watch, events, flood, pour, join, drain,
        together, tally, completion, quickly, send_while_connecting,
    )
}
