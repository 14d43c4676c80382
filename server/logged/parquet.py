"""Reads a Parquet file of another program through a mapping, as a CSV file is read. Needs pyarrow."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from server.replays.mapping import Mapping
from server.replays.rows import LogError, Row, mapped


def read_parquet(path: Path, mapping: Mapping) -> list[Row]:
    """The rows that pass `where`, in the file's order, counted from 1. Raises LogError."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            header = [name for name in file.schema_arrow.names if name in mapping.columns()]
            rows = list(mapped(path, header or file.schema_arrow.names, _records(file, header), mapping))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LogError(
            f"{path}: cannot be read as Parquet ({error}); expected Parquet, or CSV named .csv or .csv.gz"
        ) from error
    if not rows:
        raise LogError(f"{path}: has no row; check the file and the mapping's where")
    return rows


def _records(file: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for batch in file.iter_batches(columns=columns):
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            yield number, [_text(cell) for cell in cells]


def _text(cell: object) -> str:
    """A cell as CSV has it: empty where it is null, 0 or 1 for booleans."""
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, bool) else str(cell)
