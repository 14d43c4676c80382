"""What is wrong with a file: damage, or a format of a later version. Neither changes anything on the disk."""

from typing import ClassVar


class CorruptFile(Exception):  # noqa: N818 - it says what the file is
    """A file is damaged: nothing is used of it from there on.

    Attributes: `path`; `offset`, the byte in it where what is wrong begins.
    """

    remedy: ClassVar[str]
    """what to do about it"""

    def __init__(self, path: str, offset: int, expected: str, found: str) -> None:
        super().__init__(f"{path}: byte {offset}: expected {expected}, found {found}; {self.remedy}")
        self.path = path
        self.offset = offset


class NewerFormat(Exception):  # noqa: N818 - it says what the file has
    """A file has a version of its format that this program does not know.

    Attributes: `path`; `version`; `why`, the message without the path.
    """

    def __init__(self, path: str, what: str, version: int, known: int) -> None:
        self.why = (
            f"version {version} of the {what}'s format, this program knows {known}: start the version of "
            "banditd that wrote it, or a later one"
        )
        super().__init__(f"{path}: {self.why}")
        self.path = path
        self.version = version
