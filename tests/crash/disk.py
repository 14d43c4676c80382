"""Disks for tests: one on which the process is killed at a call of its choice, one whose power can be cut.

Both work on a real folder, so what reads past them sees what it would see. A process that was killed is
`Stopped`; nothing that it still tries reaches the disk. The machine's own disk is not waited for.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bandit.files import Files
from tests.core.journals import Stopped

SECTOR = 512
"""Bytes that reach a disk together or not at all."""


class Disk(Files):
    """Kills the process at call number `stop` (from 1; 0: never): before it, or half-way through a write.

    `calls` are the names of the calls made. Descriptors that are left open are closed by `close_all`.
    """

    def __init__(self, stop: int = 0, *, half: bool = False) -> None:
        self.calls: list[str] = []
        self.stop = stop
        self.half = half
        self._open: set[int] = set()

    def open(self, path: Path, flags: int) -> int:
        """As Files."""
        self._call("open" if flags & (os.O_CREAT | os.O_TRUNC) else "look")
        descriptor = super().open(path, flags)
        self._open.add(descriptor)
        return descriptor

    def duplicate(self, descriptor: int) -> int:
        """As Files."""
        self._call("duplicate")
        other = super().duplicate(descriptor)
        self._open.add(other)
        return other

    def close(self, descriptor: int) -> None:
        """As Files."""
        self._call("close")
        self._open.discard(descriptor)
        super().close(descriptor)

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """As Files."""
        if self._call("write"):
            data = data[: len(data) // 2]
        count = super().write(descriptor, data, offset)
        self._stop_here()
        return count

    def fsync(self, descriptor: int) -> None:  # noqa: ARG002 - the signature is that of Files
        """As Files, but for the wait."""
        self._call("fsync")

    def fallocate(self, descriptor: int, size: int) -> None:
        """As Files."""
        super().fallocate(descriptor, size // 2 if self._call("fallocate") else size)
        self._stop_here()

    def truncate(self, descriptor: int, size: int) -> None:
        """As Files."""
        self._call("truncate")
        super().truncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        """As Files."""
        self._call("rename")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        """As Files."""
        self._call("unlink")
        super().unlink(path)

    def fsync_dir(self, folder: Path) -> None:  # noqa: ARG002 - the signature is that of Files
        """As Files, but for the wait."""
        self._call("fsync_dir")

    def close_all(self) -> None:
        """Close what the end of a process closes."""
        while self._open:
            os.close(self._open.pop())

    def _call(self, name: str) -> bool:
        """Count a call; whether it is to stop half-way."""
        if 0 < self.stop <= len(self.calls):
            raise Stopped
        self.calls.append(name)
        if len(self.calls) != self.stop:
            return False
        if self.half and name in ("write", "fallocate"):
            return True
        raise Stopped

    def _stop_here(self) -> None:
        if len(self.calls) == self.stop:
            raise Stopped


@dataclass(eq=False)
class Inode:
    """A file's content on the disk, and what was done to it since: writes at an offset, and new sizes."""

    durable: bytes = b""
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)

    def sync(self) -> None:
        """Have everything on the disk."""
        self.durable = _changed(self.durable, self.pending)
        self.pending.clear()

    def cut(self, rng: random.Random) -> bytes:
        """What may be found after a power cut: nothing of what is pending, its beginning, or any part."""
        way = rng.randrange(4)
        if way == 0:
            return self.durable
        pieces = list(self._pieces())
        if way == 1:
            return _changed(self.durable, pieces[: rng.randrange(len(pieces) + 1)])
        probability = rng.random()
        return _changed(self.durable, [piece for piece in pieces if rng.random() < probability])

    def _pieces(self) -> Iterator[tuple[int, bytes] | int]:
        """What is pending, in pieces that are written whole or not at all."""
        for change in self.pending:
            if isinstance(change, int):
                yield change
                continue
            offset, data = change
            while data:
                size = SECTOR - offset % SECTOR
                yield offset, data[:size]
                offset, data = offset + size, data[size:]


@dataclass(frozen=True)
class Naming:
    """A change of a folder's names: `target` stands for `inode` now, None: for nothing; `source` is gone."""

    target: Path
    inode: Inode | None
    source: Path | None = None


class PowerDisk(Disk):
    """A Disk that knows what of the files in `root` an fsync has made safe. It outlives processes."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._inodes: dict[int, Inode] = {}
        self._durable = {path: Inode(path.read_bytes()) for path in root.rglob("*") if path.is_file()}
        self._names = dict(self._durable)
        self._pending: list[Naming] = []

    def another_process(self, stop: int = 0) -> None:
        """The process has ended, however it did; the next one is killed at its call number `stop`."""
        self.close_all()
        self._inodes.clear()
        self.calls.clear()
        self.stop = stop

    def open(self, path: Path, flags: int) -> int:
        """As Files."""
        descriptor = super().open(path, flags)
        if path not in self._names:
            self._names[path] = Inode()
            self._pending.append(Naming(path, self._names[path]))
        elif flags & os.O_TRUNC:
            self._names[path].pending.append(0)
        self._inodes[descriptor] = self._names[path]
        return descriptor

    def duplicate(self, descriptor: int) -> int:
        """As Files."""
        other = super().duplicate(descriptor)
        self._inodes[other] = self._inodes[descriptor]
        return other

    def close(self, descriptor: int) -> None:
        """As Files."""
        super().close(descriptor)
        del self._inodes[descriptor]

    def write(self, descriptor: int, data: memoryview, offset: int) -> int:
        """As Files."""
        count = super().write(descriptor, data, offset)
        self._inodes[descriptor].pending.append((offset, bytes(data[:count])))
        return count

    def fsync(self, descriptor: int) -> None:
        """As Files."""
        super().fsync(descriptor)
        self._inodes[descriptor].sync()

    def fallocate(self, descriptor: int, size: int) -> None:
        """As Files."""
        super().fallocate(descriptor, size)
        self._inodes[descriptor].pending.append(size)

    def truncate(self, descriptor: int, size: int) -> None:
        """As Files."""
        super().truncate(descriptor, size)
        self._inodes[descriptor].pending.append(size)

    def rename(self, source: Path, target: Path) -> None:
        """As Files."""
        super().rename(source, target)
        self._names[target] = self._names.pop(source)
        self._pending.append(Naming(target, self._names[target], source))

    def unlink(self, path: Path) -> None:
        """As Files."""
        super().unlink(path)
        del self._names[path]
        self._pending.append(Naming(path, None))

    def fsync_dir(self, folder: Path) -> None:
        """As Files."""
        super().fsync_dir(folder)
        self._durable = _renamed(self._durable, [n for n in self._pending if n.target.parent == folder])
        self._pending = [n for n in self._pending if n.target.parent != folder]

    def cut(self, target: Path, rng: random.Random) -> None:
        """Make, in the new folder `target`, what is found when the power comes back.

        Names that were changed and not synced are the old or the new ones, each by itself.
        """
        for folder in [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]:
            (target / folder.relative_to(self.root)).mkdir()
        probability = rng.choice([0.0, 0.5, 1.0])
        names = _renamed(self._durable, [n for n in self._pending if rng.random() < probability])
        for path, inode in names.items():
            (target / path.relative_to(self.root)).write_bytes(inode.cut(rng))


def _changed(content: bytes, changes: list[tuple[int, bytes] | int]) -> bytes:
    result = bytearray(content)
    for change in changes:
        if isinstance(change, int):
            del result[change:]
            result.extend(bytes(max(0, change - len(result))))
            continue
        offset, data = change
        result.extend(bytes(max(0, offset - len(result))))
        result[offset : offset + len(data)] = data
    return bytes(result)


def _renamed(names: dict[Path, Inode], namings: list[Naming]) -> dict[Path, Inode]:
    result = dict(names)
    for naming in namings:
        if naming.source is not None:
            result.pop(naming.source, None)
        if naming.inode is None:
            result.pop(naming.target, None)
        else:
            result[naming.target] = naming.inode
    return result
