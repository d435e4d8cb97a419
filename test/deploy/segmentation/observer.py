"""What arrives: observer.py [sniff=INTERFACE] [tcp=PORT ...] [udp=PORT ...], as lines of JSON on stdout.

{"seen": "192.0.2.2", "from": "10.77.0.2", "marker": "..."}   a packet that came in by the interface
{"served": "tcp:9090", "from": "10.77.0.2", "marker": "..."}  what a server on that port has read
The marker is null when there is none.
"""
import json
import re
import socket
import struct
import sys
import threading

lock = threading.Lock()


def tell(**facts):
    with lock:
        print(json.dumps(facts), flush=True)


def marker_in(data):
    found = re.search(rb"mark-\d+-", data)
    return found.group().decode() if found else None


def sniff(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    sock.bind((interface, 0))

    def run():
        while True:
            data, (_, protocol, kind, *_rest) = sock.recvfrom(65535)
            if kind == socket.PACKET_OUTGOING:
                continue
            if protocol == 0x0800:
                source, target = (socket.inet_ntoa(data[at:at + 4]) for at in (12, 16))
            elif protocol == 0x86DD:
                source, target = (socket.inet_ntop(socket.AF_INET6, data[at:at + 16]) for at in (8, 24))
            else:
                continue
            tell(seen=target, marker=marker_in(data), **{"from": source})

    threading.Thread(target=run, daemon=True).start()


def serve_tcp(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def talk(sock, peer):
        with sock:
            try:
                while data := sock.recv(65535):
                    tell(served="tcp:%d" % port, marker=marker_in(data), **{"from": peer[0]})
            except OSError:
                pass

    def run():
        while True:
            threading.Thread(target=talk, args=listener.accept(), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()


def serve_udp(port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))

    def run():
        while True:
            data, peer = sock.recvfrom(65535)
            tell(served="udp:%d" % port, marker=marker_in(data), **{"from": peer[0]})

    threading.Thread(target=run, daemon=True).start()


KINDS = {"sniff": sniff, "tcp": lambda port: serve_tcp(int(port)), "udp": lambda port: serve_udp(int(port))}
for word in sys.argv[1:]:
    kind, value = word.split("=")
    KINDS[kind](value)
tell(ready=True)
sys.stdin.read()
