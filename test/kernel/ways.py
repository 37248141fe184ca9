# Both ends of many conversations in one process, which does with them what it is told on
# stdin, one JSON command a line. A socket belongs to the cgroup in which its process was
# when it was made, so the process goes from one to the other. On one CPU, what is sent
# over loopback is processed in order: a packet of one's own that comes back says that all
# before it has arrived, or never will.
import errno
import json
import os
import socket
import struct
import sys

UDP_PORTS = {"inside": (40001, 40002), "outside": (40001, 40003)}
NOPS = b"\x01\x01\x01\x01"
# Next header and length, which the kernel fills in, and one PadN option.
PADDING = b"\x00\x00\x01\x04\x00\x00\x00\x00"
IPV6_HOPOPTS, IPV6_DSTOPTS = 54, 59
# A connection's packets cause others: handshake, data and what acknowledges it.
PASSES = 6

marker = None
scenes = {}


def settle(passes=1):
    for _ in range(passes):
        marker.send(b"here")
        marker.recv(8)


def name_of(error):
    return errno.errorcode.get(error.errno, str(error))


class Scene:
    """The sockets of one policy: `inside` its cgroup, and `outside` of any."""

    def __init__(self, command):
        self.cgroups = command["cgroups"]
        self.addresses = command["addresses"]
        self.is_ipv4 = command["family"] == 4
        self.option = command["option"]
        self.connections = {}
        # Datagrams go between each of `inside` and each of `outside`.
        self.datagrams = {
            side: [
                self.bound(side, socket.SOCK_DGRAM, address, port)
                for address in self.addresses[side]
                for port in UDP_PORTS[side]
            ]
            for side in ("inside", "outside")
        }

    def socket(self, side, kind):
        with open(self.cgroups[side] + "/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))
        sock = socket.socket(socket.AF_INET if self.is_ipv4 else socket.AF_INET6, kind)
        sock.setblocking(False)
        return self.marked(sock)

    def marked(self, sock):
        if self.option == "nops":
            sock.setsockopt(socket.SOL_IP, socket.IP_OPTIONS, NOPS)
        elif self.option:
            name = IPV6_HOPOPTS if self.option == "hop-by-hop" else IPV6_DSTOPTS
            sock.setsockopt(socket.IPPROTO_IPV6, name, PADDING)
        return sock

    def bound(self, side, kind, address, port):
        sock = self.socket(side, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        return sock

    def send(self, inside, outside, direction):
        """A datagram: error of the sender, and what the other one got."""
        ends = self.datagrams["inside"][inside], self.datagrams["outside"][outside]
        sender, receiver = ends if direction == "egress" else ends[::-1]
        try:
            sender.sendto(b"datagram", receiver.getsockname())
            result = "ok"
        except OSError as error:
            result = name_of(error)
        settle()
        return [result, self.arrived(receiver)]

    def arrived(self, sock):
        try:
            return sock.recv(64).decode()
        except OSError as error:
            return name_of(error)

    def join(self, inside, outside):
        """Chooses the one peer from which a socket of `inside` wants to hear."""
        peer = self.datagrams["outside"][outside]
        self.datagrams["inside"][inside].connect(peer.getsockname())
        return "joined"

    def open(self, name, direction, place, port):
        """A connection begun in this direction; both ends of it are kept when it comes about."""
        own, other = ("inside", "outside") if direction == "egress" else ("outside", "inside")
        addresses = self.addresses["outside"]
        local, remote = self.addresses["inside"][0], addresses[place]
        if direction == "ingress":
            local, remote = remote, local
        listener = self.bound(other, socket.SOCK_STREAM, remote, port)
        listener.listen(1)
        client = self.bound(own, socket.SOCK_STREAM, local, 0)
        result = errno.errorcode.get(client.connect_ex((remote, port)), "ok")
        settle(PASSES)
        try:
            ends = client, self.marked(listener.accept()[0])
            ends[1].setblocking(False)
            self.connections[name] = ends if direction == "egress" else ends[::-1]
        except OSError as error:
            result += " " + name_of(error)
            client.close()
        listener.close()
        settle(PASSES)
        return result

    def talk(self, name, direction):
        """Whether data arrives; where it does not, nobody waits for what TCP does about it."""
        if name not in self.connections:
            return "none"
        ends = self.connections[name]
        sender, receiver = ends if direction == "egress" else ends[::-1]
        try:
            sender.send(b"segment")
        except OSError as error:
            return name_of(error)
        settle(PASSES)
        result = self.arrived(receiver)
        if result == "segment":
            receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        else:
            self.abort(name)
        settle(PASSES)
        return result

    def abort(self, name):
        for sock in self.connections.pop(name):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def close(self):
        for name in list(self.connections):
            self.abort(name)
        for sockets in self.datagrams.values():
            for sock in sockets:
                sock.close()


def run(command):
    if command["op"] == "open":
        scenes[command["scene"]] = Scene(command)
        return None
    scene = scenes[command["scene"]]
    if command["op"] == "close":
        return scenes.pop(command["scene"]).close()
    return [getattr(scene, op)(*arguments) for op, *arguments in command["steps"]]


os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
marker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
marker.bind(("127.0.0.1", 0))
marker.connect(marker.getsockname())
marker.settimeout(10)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
