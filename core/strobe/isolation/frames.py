"""Frames on a socket: length first, then bytes, and file descriptors beside them. Nothing here unpickles what a worker says."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

HEAD = struct.Struct("<QI")
"""Bytes that follow; file descriptors beside them."""
ANSWER = struct.Struct("<QQ")
"""Bytes of JSON and bytes of Arrow that follow."""
MOST_FDS = 8


def send(connection: socket.socket, body: bytes, fds: Sequence[int] = ()) -> None:
    head = HEAD.pack(len(body), len(fds))
    sent = socket.send_fds(connection, [head], list(fds)) if fds else connection.send(head)
    if sent < len(head):
        connection.sendall(head[sent:])
    connection.sendall(body)


def receive(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """A frame and its file descriptors; None when the other side is gone."""
    head, fds, _, _ = socket.recv_fds(connection, HEAD.size, MOST_FDS)
    if not head:
        return None
    while len(head) < HEAD.size:
        head += _some(connection, HEAD.size - len(head))
    size, _ = HEAD.unpack(head)
    parts = bytearray()
    while len(parts) < size:
        parts += _some(connection, min(size - len(parts), 2**20))
    return bytes(parts), fds


def _some(connection: socket.socket, most: int) -> bytes:
    data = connection.recv(most)
    if not data:
        raise ConnectionResetError("the other side is gone in the middle of a frame")
    return data


def answer(connection: socket.socket, said: Mapping[str, Any], table: Any = b"") -> None:
    """What a worker says: JSON, and a table as Arrow IPC."""
    text = json.dumps(said).encode()
    text += b" " * (-len(text) % 16)  # so that what follows is aligned
    connection.sendall(ANSWER.pack(len(text), len(table)) + text)
    if len(table):
        connection.sendall(table)


def ipc(table: pa.Table) -> memoryview:
    """A table as bytes of Arrow IPC."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


class Incoming:
    """An answer as it arrives, piece by piece. What claims to be larger than `most` bytes is refused."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._data = bytearray()
        self._sizes: tuple[int, int] | None = None

    def feed(self, data: bytes) -> bool:
        """Whether the answer is complete. Raises `ValueError` for what cannot be one."""
        self._data += data
        if self._sizes is None and len(self._data) >= ANSWER.size:
            self._sizes = ANSWER.unpack(self._data[: ANSWER.size])
            if sum(self._sizes) > self.most:
                raise ValueError(f"an answer of {sum(self._sizes):,} bytes; at most {self.most:,} are taken")
        wanted = None if self._sizes is None else ANSWER.size + sum(self._sizes)
        if wanted is not None and len(self._data) > wanted:
            raise ValueError("more bytes than it announced")
        return len(self._data) == wanted

    def parts(self) -> tuple[dict[str, Any], memoryview]:
        """The JSON and the Arrow of a complete answer. Raises `ValueError`."""
        assert self._sizes is not None
        middle = ANSWER.size + self._sizes[0]
        said = json.loads(bytes(self._data[ANSWER.size : middle]))
        if not isinstance(said, dict):
            raise ValueError("its answer is no JSON object")
        return said, memoryview(self._data)[middle:]
