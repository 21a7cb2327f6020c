"""What an idle keep-alive client costs a proxy in memory."""

import resource
import socket

from driver.failure import Failure
from driver.servers import Server

REQUEST = b"GET /1k/idle HTTP/1.1\r\nHost: compare\r\n\r\n"
# Before the count begins: the first ones make the proxy reserve what it never gives back.
FIRST = 64


def allow_files(files: int) -> None:
    """For the driver and all that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise Failure(f"{files} open files are needed and {hard} allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def bytes_per_idle_client(proxy: Server, clients: int) -> float:
    """Of a fresh proxy, each of whose clients has made one request and stays."""
    kept = [_client(proxy) for _ in range(FIRST)]
    before = proxy.tree.resident_bytes()
    kept += [_client(proxy) for _ in range(clients)]
    after = proxy.tree.resident_bytes()
    for client in kept:
        client.close()
    return (after - before) / clients


def _client(proxy: Server) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port))
    client.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _some(client)
    head, _, content = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise Failure(f"{proxy.name} answers an idle client with {head!r}")
    left = 1024 - len(content)
    while left > 0:
        left -= len(_some(client))
    return client


def _some(client: socket.socket) -> bytes:
    received = client.recv(4096)
    if not received:
        raise Failure("the proxy closed a client's connection")
    return received
