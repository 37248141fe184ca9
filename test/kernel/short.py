# Short connections, many at once: one question, one answer, closed by whoever is last.
#
#   short.py serve COUNT                     prints {"port": n} first
#   short.py connect PORT COUNT PARALLEL
import json
import selectors
import socket
import sys

ADDRESS = "127.0.0.1"
totals = {"answers": 0, "wrong": []}


def answer_to(question):
    return question[::-1]


def serve(count):
    listener = socket.socket()
    listener.bind((ADDRESS, 0))
    listener.listen(1024)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    poll = selectors.DefaultSelector()
    poll.register(listener, selectors.EVENT_READ)
    left = int(count)
    while left:
        for key, _ in poll.select():
            if key.fileobj is listener:
                sock, _ = listener.accept()
                poll.register(sock, selectors.EVENT_READ)
                continue
            sock = key.fileobj
            question = sock.recv(4096)
            if question:
                sock.sendall(answer_to(question))
                totals["answers"] += 1
                continue
            poll.unregister(sock)
            sock.close()
            left -= 1


def connect(port, count, parallel):
    poll = selectors.DefaultSelector()
    numbers = iter(range(int(count)))

    def begin():
        number = next(numbers, None)
        if number is None:
            return 0
        sock = socket.create_connection((ADDRESS, int(port)))
        question = b"question %d" % number
        sock.sendall(question)
        poll.register(sock, selectors.EVENT_READ, answer_to(question))
        return 1

    open_now = sum(begin() for _ in range(int(parallel)))
    while open_now:
        for key, _ in poll.select():
            answer = key.fileobj.recv(4096)
            if answer == key.data:
                totals["answers"] += 1
            else:
                totals["wrong"].append("%r instead of %r" % (answer, key.data))
            poll.unregister(key.fileobj)
            key.fileobj.close()
            open_now += begin() - 1


{"serve": serve, "connect": connect}[sys.argv[1]](*sys.argv[2:])
print(json.dumps(totals), flush=True)
