"""Doubles in as few bytes as they need, and back bit for bit (docs/format.md, Payloads).

A double's zero bytes are left out at the end where its least digits are, and so is its first byte where that
is 0x40: from 2 on, below 131,072. So a count takes one to three bytes, and what was measured mostly seven. A
code of half a byte says what follows: 0 to 8 bytes, or 1 to 7 behind a first one of 0x40.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bandit.kernels.jit import Arguments, kernel

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

NOT_FINITE = -1

_EXPONENT = np.uint64(0x7FF0_0000_0000_0000)
_LOW_32, _LOW_16, _LOW_8 = np.uint64(0xFFFF_FFFF), np.uint64(0xFFFF), np.uint64(0xFF)
_64, _32, _16, _8, _3, _1, _NONE = (np.uint64(bits) for bits in (64, 32, 16, 8, 3, 1, 0))
_FIRST = np.uint64(0x40)
_LEFT_OUT = 8
"""What is added to the number of bytes if the first one is left out."""


def _trim_example() -> Arguments:
    return np.zeros(2), np.zeros(4, np.uint64)


@kernel(_trim_example)
def trim(values: Floats, data: Words) -> int:
    """Write doubles `values` (n,) to `data`: the codes, then the bytes that are kept; return how many bytes.

    Or NOT_FINITE. `data`, n + n // 16 + 2 words or more, all 0, takes them in little-endian order.
    """
    words = values.view(np.uint64)
    begin = (words.size + 1) // 2
    at, filled, held = begin // 8, np.uint64(begin % 8 * 8), _NONE
    for i in range(words.size):
        word, bits = words[i], _64
        if word == _NONE:
            continue
        if word & _EXPONENT == _EXPONENT:
            return NOT_FINITE
        if word & _LOW_8 == _NONE:
            if word & _LOW_32 == _NONE:
                word, bits = word >> _32, bits - _32
            if word & _LOW_16 == _NONE:
                word, bits = word >> _16, bits - _16
            if word & _LOW_8 == _NONE:
                word, bits = word >> _8, bits - _8
        code = bits >> _3
        if bits > _8 and word >> (bits - _8) == _FIRST:
            bits -= _8
            word, code = word & ((_1 << bits) - _1), code + np.uint64(_LEFT_OUT - 1)
        data[i >> 4] |= code << np.uint64(4 * (i & 15))
        held, filled = held | word << filled, filled + bits
        if filled >= _64:
            data[at] |= held
            at, filled = at + 1, filled - _64
            held = word >> (bits - filled) if filled else _NONE
    data[at] |= held
    return 8 * at + int(filled >> _3)


def _untrim_example() -> Arguments:
    return np.frombuffer(bytes(1), np.uint8), np.zeros(2, np.uint64)


@kernel(_untrim_example)
def untrim(data: Bytes, words: Words) -> bool:
    """Read the bits of doubles, `words` (n,), from all of `data`: the codes, then the bytes that were kept.

    `data` has at least (n + 1) // 2 bytes. False: `trim` writes no such bytes.
    """
    at = (words.size + 1) // 2
    if words.size & 1 and data[at - 1] >> np.uint8(4):
        return False
    for i in range(words.size):
        code = int(np.int64(data[i >> 1])) >> 4 * (i & 1) & 15
        word, size, end = _NONE, code, 64
        if code > 8:
            word, size, end = _FIRST << np.uint64(56), code - _LEFT_OUT, 56
        begin, at = at, at + size
        if at > data.size or (size > 0 and data[begin] == 0):
            return False
        if 1 < code <= 8 and data[at - 1] == _FIRST:
            return False
        for k in range(size):
            word |= np.uint64(data[begin + k]) << np.uint64(end - 8 * (size - k))
        words[i] = word
    return bool(at == data.size)
