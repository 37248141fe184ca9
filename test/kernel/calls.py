# What a puppet can do with a socket beside Python's own methods.
import errno
import fcntl
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


def pattern(at, size):
    """The bytes at this place of the endless stream that flood sends and drain expects."""
    first, last = at // 8, (at + size + 7) // 8
    words = struct.pack(">%dQ" % (last - first), *range(first, last))
    return words[at - first * 8 : at - first * 8 + size]


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

    thread = threading.Thread(target=work)
    thread.start()
    watched[sock] = thread


def join(sock):
    watched.pop(sock).join()


def drain(sock, at, end):
    """Reads from this place to that one; the first place that is not the pattern's, or `end`."""
    while at < end:
        data = sock.recv(min(BLOCK, end - at))
        if not data or data != pattern(at, len(data)):
            return at
        at += len(data)
    return at


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


CALLS = {
    call.__name__: call
    for call in (
        queued, sendfile, splice_from, splice_to, watch, events, flood, pour, join, drain,
        completion, quickly,
    )
}
