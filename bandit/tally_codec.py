"""A tally as fields of msgpack: every sum once, in eight bytes, and back bit for bit (docs/format.md).

A is symmetric to the last bit, since float32s multiply exactly in float64: its upper triangle is enough.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bandit.fields import Fields, pack_doubles
from bandit.tally import Floats, Tally

_SUMS = ("n", "r1", "r2")


def pack_tally(where: str, tally: Tally) -> dict[str, bytes]:
    """Return the fields of a tally with columns. Raises SectionError for a sum that is not finite."""
    return pack_sums(where, tally) | {
        "A": pack_triangles(where, "A", tally.moments),
        "b": pack_doubles(where, "b", tally.b),
    }


def pack_triangles(where: str, field: str, moments: Floats) -> bytes:
    """Return the upper triangles of symmetric matrices (arms, at least columns, columns) as doubles."""
    upper, _ = _triangle(moments.shape[2])
    return pack_doubles(where, field, moments.reshape(len(moments), -1).take(upper, axis=1))


def pack_sums(where: str, tally: Tally) -> dict[str, bytes]:
    """Return the fields of a tally without columns. Raises SectionError for a sum that is not finite."""
    sums = zip(_SUMS, tally.sums, strict=True)
    return {name: pack_doubles(where, name, values) for name, values in sums}


def read_tally(fields: Fields, arms: int, columns: int) -> Tally:
    """Return the tally in its fields. Raises SectionError, before anything is allocated for wrong lengths."""
    square = read_triangles(fields, "A", arms, columns)
    b = fields.doubles("b", arms * columns).reshape(arms, 1, columns)
    return Tally(_sums(fields, arms), np.concatenate([square, b], axis=1))


def read_triangles(fields: Fields, field: str, arms: int, columns: int) -> Floats:
    """Return the symmetric matrices (arms, columns, columns) in a field. Raises SectionError."""
    upper, everywhere = _triangle(columns)
    triangles = fields.doubles(field, arms * upper.size).reshape(arms, upper.size)
    return triangles.take(everywhere, axis=1).reshape(arms, columns, columns)


def read_sums(fields: Fields, arms: int) -> Tally:
    """Return the tally without columns in its fields. Raises SectionError."""
    return Tally(_sums(fields, arms), Tally.zeros(arms).moments)


def _sums(fields: Fields, arms: int) -> Floats:
    return np.stack([fields.doubles(name, arms, low=0.0 if name == "n" else -np.inf) for name in _SUMS])


@lru_cache(maxsize=64)
def _triangle(columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the upper triangle's entries stand in a matrix, row by row; and where in it each entry is.

    Both flat: (columns (columns + 1) / 2,) and (columns²,).
    """
    row, column = np.triu_indices(columns)
    position = np.zeros((columns, columns), np.int64)
    position[row, column] = position[column, row] = np.arange(row.size)
    return row * columns + column, position.ravel()
