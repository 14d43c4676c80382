"""What the process's exit code says. Supervisors and scripts switch on it; see `docs/operations.md`."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `banditd` command. 2 is click's own, for a command line it cannot use."""

    OK = 0
    FAILURE = 1
    """Something failed that has no code of its own; `probe`: not serving."""
    USAGE = 2
    """The command line or an environment variable is wrong, or a combination of flags is unsafe."""
    CONFIG = 3
    """The configuration is refused; every problem was printed with its path."""
    LISTEN = 4
    """An address cannot be listened on: in use, not ours, not permitted."""
    FILES = 5
    """The data directory, the key file or a TLS file is missing, unreadable, malformed or too open."""
    DATA = 6
    """What the data directory holds is damaged, incomplete or of a newer version: a start refuses it."""
    DISK = 7
    """A write or an fsync failed while serving: nothing that was not written is acknowledged."""


class StartError(Exception):
    """A start that cannot go on. The message is one sentence for the operator, with the remedy."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
