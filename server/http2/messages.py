"""gRPC's messages in a stream of bytes: a flag, a length, the message (Length-Prefixed-Message).

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import struct
import zlib

from server.codes import Code
from server.errors import ShellError, ShellReason
from server.methods import CallError

PREFIX = struct.Struct(">BI")
PREFIX_BYTES = PREFIX.size
"""One byte says whether the message is compressed, four how long it is."""

GZIP_WINDOW = 31
"""zlib's `wbits` for a gzip header and its largest window."""


class Packed(bytes):
    """A message in gzip: inflated when its turn comes, since a thousand bytes may make a million."""


class MessageReader:
    """Cuts one call's bytes into messages, however they arrive.

    `bytes_max` bounds a message as it comes; `gzip` says whether the call announced that encoding.
    """

    __slots__ = ("_bytes_max", "_gzip", "_held")

    def __init__(self, bytes_max: int, *, gzip: bool) -> None:
        self._bytes_max = bytes_max
        self._gzip = gzip
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of a message that has not come whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, some of them `Packed`.

        Raises ShellError MESSAGE_TOO_LARGE as soon as a prefix says so, CallError INTERNAL for a compressed
        message without an announced encoding.
        """
        held = self._held
        held += data
        messages = []
        while len(held) >= PREFIX_BYTES:
            size = int.from_bytes(held[1:PREFIX_BYTES], "big")
            if size > self._bytes_max:
                raise too_large(size, self._bytes_max)
            end = PREFIX_BYTES + size
            if len(held) < end:
                break
            message = bytes(held[PREFIX_BYTES:end])
            messages.append(self._marked(message, held[0]))
            del held[:end]
        return messages

    def _marked(self, message: bytes, flag: int) -> bytes:
        """The message, as `Packed` if its flag says that it is compressed."""
        if flag == 0:
            return message
        if flag != 1 or not self._gzip:
            raise CallError(
                Code.INTERNAL,
                f"a message with the compression flag {flag}, in a call whose grpc-encoding is not gzip",
            )
        return Packed(message)


def plain(message: bytes, bytes_max: int) -> bytes:
    """The message itself. Raises what `inflated` raises."""
    return inflated(message, bytes_max) if isinstance(message, Packed) else message


def inflated(data: bytes, bytes_max: int) -> bytes:
    """What gzip packed. Never makes more than `bytes_max` bytes and one of it.

    Raises ShellError MESSAGE_TOO_LARGE beyond them, CallError INTERNAL for what is not one whole gzip stream.
    """
    unpacker = zlib.decompressobj(wbits=GZIP_WINDOW)
    try:
        message = unpacker.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise CallError(Code.INTERNAL, "a message that is said to be gzip and is not") from error
    if len(message) > bytes_max:
        raise too_large(len(message), bytes_max)
    if not unpacker.eof or unpacker.unused_data:
        raise CallError(Code.INTERNAL, "a gzip message that ends too early or too late")
    return message


def whole(data: bytes, bytes_max: int) -> bytes | None:
    """The message in `data` if that is exactly one, not compressed; None if it wants a `MessageReader`."""
    size = len(data) - PREFIX_BYTES
    if 0 <= size <= bytes_max and PREFIX.unpack_from(data) == (0, size):
        return data[PREFIX_BYTES:]
    return None


def framed(message: bytes) -> bytes:
    """A message with its prefix."""
    return PREFIX.pack(0, len(message)) + message


def too_large(size: int, bytes_max: int) -> ShellError:
    """The refusal of a message of `size` bytes, or of so many found while it was inflated."""
    return ShellError(
        ShellReason.MESSAGE_TOO_LARGE,
        f"a message of {size} bytes; at most {bytes_max} are read (--message-bytes-max): send less",
        limit=str(bytes_max),
    )
