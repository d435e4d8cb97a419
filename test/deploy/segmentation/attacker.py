"""What an agent that was taken over sends. One attempt for each line of JSON on stdin; each answers "begun".

{"kind": "tcp", "to": "192.0.2.2", "port": 80, "from": null, "marker": "..."}
What is sent holds the marker, all through, so that every fragment holds it. An attempt may wait for ever for an answer:
the line {"kind": "forget"} closes everything that is open.
"""
import json
import os
import socket
import struct
import sys
import threading

opened = []


def family(attempt):
    return socket.AF_INET6 if ":" in attempt["to"] else socket.AF_INET


def endpoint(host, port):
    # with the interface of a link-local address
    return socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4]


def payload(attempt, size=64):
    marker = (attempt["marker"] + " ").encode()
    return (marker * (size // len(marker) + 1))[:size]


def connected(attempt, kind, protocol=0):
    sock = socket.socket(family(attempt), kind, protocol)
    opened.append(sock)
    if attempt.get("from"):
        sock.bind(endpoint(attempt["from"], 0))
    return sock


def tcp(attempt):
    sock = connected(attempt, socket.SOCK_STREAM)

    def talk():
        try:
            sock.connect(endpoint(attempt["to"], attempt["port"]))
            sock.sendall(payload(attempt))
            sock.recv(1)
        except OSError:
            pass  # refused, or forgotten

    threading.Thread(target=talk, daemon=True).start()
    return sock


def again(attempt):
    """One more line over the connection that is open."""
    for sock in opened:
        sock.sendall(payload(attempt))


def udp(attempt, size=64):
    sock = connected(attempt, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for _ in range(attempt.get("times", 1)):
        sock.sendto(payload(attempt, size), endpoint(attempt["to"], attempt["port"]))


def fragments(attempt):
    udp(attempt, 4000)


def icmp(attempt):
    six = family(attempt) == socket.AF_INET6
    sock = connected(attempt, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 7, 1)
    body = payload(attempt)
    if not six:
        head = head[:2] + struct.pack("!H", checksum(head + body)) + head[4:]
    sock.sendto(head + body, endpoint(attempt["to"], 0))


def raw(attempt):
    """A whole IPv4 packet, with any source, any protocol and any place in a datagram; of protocol 17 a UDP datagram."""
    sock = connected({**attempt, "from": None}, socket.SOCK_RAW, socket.IPPROTO_RAW)
    body = payload(attempt)
    protocol = attempt.get("protocol", 17)
    if protocol == 17:
        body = struct.pack("!HHHH", 4000, attempt["port"], 8 + len(body), 0) + body
    source = socket.inet_aton(attempt["from"])
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 77, attempt.get("offset", 0), 64, protocol, 0, source,
                       socket.inet_aton(attempt["to"]))
    sock.sendto(head + body, (attempt["to"], 0))


def raw6(attempt):
    """A whole IPv6 packet: a UDP datagram with any source."""
    sock = connected({**attempt, "from": None}, socket.SOCK_RAW, socket.IPPROTO_RAW)
    body = payload(attempt)
    source, target = (socket.inet_pton(socket.AF_INET6, attempt[name]) for name in ("from", "to"))
    datagram = struct.pack("!HHHH", 4000, attempt["port"], 8 + len(body), 0) + body
    pseudo = source + target + struct.pack("!II", len(datagram), 17)
    datagram = datagram[:6] + struct.pack("!H", checksum(pseudo + datagram) or 0xFFFF) + datagram[8:]
    head = struct.pack("!IHBB", 6 << 28, len(datagram), 17, 64) + source + target
    sock.sendto(head + datagram, (attempt["to"], 0))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forget(_attempt):
    for sock in opened:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()
    opened.clear()


KINDS = {name: globals()[name] for name in ("tcp", "again", "udp", "fragments", "icmp", "raw", "raw6", "forget")}

print("ready", flush=True)
for line in sys.stdin:
    attempt = json.loads(line)
    try:
        KINDS[attempt["kind"]](attempt)
        print("begun", flush=True)
    except OSError as error:
        # what a filter for one's own packets says at once
        print("refused" if isinstance(error, PermissionError) else "failed: %s" % error, flush=True)
os._exit(0)
