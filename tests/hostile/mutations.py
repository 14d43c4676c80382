"""What a client could say, and that a little wrong: seeded streams of HTTP/2 for fuzzing."""

import gzip
import random
from collections.abc import Sequence

from tests.hostile import frames
from tests.hostile.attacks import BREACHES, FLOODS, GAMES
from tests.hostile.frames import Frame, Kind, Setting
from tests.transport.http2_client import CHOOSE, PREFACE, frame, message

PATHS = [
    CHOOSE,
    "/bandit.v1.BanditService/RewardBatch",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/no.Such/Method",
    "",
]

FIELDS = [
    ("grpc-timeout", "1S"),
    ("grpc-timeout", "0n"),
    ("grpc-timeout", "ages"),
    ("grpc-encoding", "gzip"),
    ("grpc-encoding", "snappy"),
    ("content-type", "text/plain"),
    ("x-bin", "AAEC"),
    ("trace", "t" * 5_000),
    ("x-empty", ""),
]

MUTATIONS_MAX = 6


def valid(rng: random.Random) -> bytes:
    """A stream of a well-behaved client: a few calls, in all the ways in which they can be put."""
    parts = [frames.opening([(Setting.INITIAL_WINDOW_SIZE, rng.choice([0, 10, 65_535, 2**20]))])]
    stream = 1
    for _ in range(rng.randrange(1, 6)):
        parts.append(_call(rng, stream))
        stream += 2 * rng.randrange(1, 3)
        parts.append(
            rng.choice(
                [
                    b"",
                    b"",
                    frames.ping(),
                    frames.window_update(rng.randrange(1, 9), rng.choice([0, stream - 2])),
                    frames.priority(stream, 0),
                    frames.reset(max(1, stream - 2)),
                    frames.settings([(Setting.INITIAL_WINDOW_SIZE, rng.randrange(100_000))]),
                    frame(0xBB, 0xFF, stream, b"unknown"),
                ]
            )
        )
    return b"".join(parts)


def _call(rng: random.Random, stream: int) -> bytes:
    """One call: its headers in one frame or several, its message in any number of them."""
    body = rng.randbytes(rng.choice([0, 1, 40, 3_000]))
    compressed = rng.random() < 0.2
    if compressed:
        body = gzip.compress(body)
    fields = [*frames.request_fields(rng.choice(PATHS))]
    fields += rng.sample(FIELDS, rng.choice([0, 0, 1, 2]))
    if compressed and rng.random() < 0.8:
        fields.append(("grpc-encoding", "gzip"))
    whole = frames.block(fields)
    parts = []
    if rng.random() < 0.2:
        at = rng.randrange(len(whole))
        parts += [frames.headers(stream, whole[:at], end_headers=False)]
        parts += [frames.continuation(stream, whole[at:], end_headers=True)]
    else:
        parts += [frames.headers(stream, whole, end_stream=rng.random() < 0.05)]
    text = message(body, compressed=compressed) * rng.choice([1, 1, 1, 1, 0, 2])
    for piece in pieces(rng, text, rng.choice([1, 1, 3])):
        parts.append(frames.data(stream, piece))
    parts.append(
        rng.choice(
            [
                frames.data(stream, b"", end_stream=True),
                frames.data(stream, b"", end_stream=True),
                frames.headers(stream, frames.block([("x-trailer", "1")]), end_stream=True),
                frames.reset(stream),
                b"",
            ]
        )
    )
    return b"".join(parts)


def pieces(rng: random.Random, data: bytes, count: int) -> Sequence[bytes]:
    """`data` in at most `count` parts, cut anywhere."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(count - 1))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def hostile(rng: random.Random) -> bytes:
    """A valid stream with a few frames lost, doubled, exchanged, changed, or others put in; rarely noise."""
    if rng.random() < 0.02:
        return rng.choice([b"", PREFACE]) + rng.randbytes(rng.randrange(400))
    if rng.random() < 0.05:
        return rng.choice(list(BREACHES.values()))
    found = list(frames.split(valid(rng)[len(PREFACE) :]))
    raw = [_bytes(part) for part in found]
    for _ in range(rng.randrange(MUTATIONS_MAX + 1)):
        _mutate(rng, found, raw)
    result = PREFACE + b"".join(raw)
    if rng.random() < 0.1:
        at = rng.randrange(len(result))
        result = result[:at] + bytes([result[at] ^ 1 << rng.randrange(8)]) + result[at + 1 :]
    if rng.random() < 0.1:
        result = result[: rng.randrange(len(result))]
    return result


def _bytes(part: Frame) -> bytes:
    return frame(part.kind, part.flags, part.stream, part.payload)


def _mutate(rng: random.Random, found: Sequence[Frame], raw: list[bytes]) -> None:
    """Change one thing in the list of frames."""
    at = rng.randrange(len(raw))
    part = rng.choice(found)
    match rng.randrange(9):
        case 0:
            raw[at] = b""
        case 1:
            raw.insert(at, raw[at])
        case 2:
            other = rng.randrange(len(raw))
            raw[at], raw[other] = raw[other], raw[at]
        case 3:
            raw.insert(at, _bytes(part._replace(flags=rng.randrange(256))))
        case 4:
            raw.insert(at, _bytes(part._replace(stream=rng.choice([0, 1, 2, 3, 99, 2**31 - 1]))))
        case 5:
            raw.insert(at, _bytes(part._replace(kind=rng.choice([*Kind, 0x0A, 0x10, 0xFF]))))
        case 6:
            payload = bytearray(part.payload or b"\0")
            payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
            raw.insert(at, _bytes(part._replace(payload=bytes(payload))))
        case 7:
            raw.insert(at, rng.choice(list(GAMES.values())))
        case _:
            raw.insert(at, rng.choice(list(FLOODS.values())).step(rng.randrange(4))[:20_000])
