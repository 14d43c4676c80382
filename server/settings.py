"""What `banditd serve` was told: one frozen object, made from flags and environment, checked as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bandit.limits import JOURNAL_SEGMENT_BYTES, LEDGER_BYTES_MAX
from server import limits
from server.addresses import Address
from server.exit_codes import ExitCode, StartError
from server.tls import TlsFiles

Transport = Literal["ngh2", "grpcio"]
"""The engines of gRPC: ours, and the reference."""

Fsync = Literal["always", "interval", "never"]
"""What a power cut may lose: nothing acknowledged; the last second; what the system has not written yet."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a start depends on. `config` None: the embedded example."""

    config: Path | None
    data_dir: Path
    listen: tuple[Address, ...]
    operator_listen: Address
    http: Address
    tls: TlsFiles | None = None
    key_file: Path | None = None
    allow_insecure: bool = False
    drain_timeout_s: float = 10.0
    transport: Transport = "ngh2"
    message_bytes_max: int = limits.MESSAGE_BYTES_MAX
    streams_max: int = limits.STREAMS_MAX
    calls_max: int = limits.CALLS_MAX
    connections_max: int = limits.CONNECTIONS_MAX
    ledger_bytes_max: int = LEDGER_BYTES_MAX
    fsync: Fsync = "interval"
    snapshot_interval_s: float = 60.0
    journal_keep_s: float = 0.0
    journal_max_bytes: int = 0
    journal_segment_bytes: int = JOURNAL_SEGMENT_BYTES
    accept_clock: bool = False

    def check(self) -> None:
        """Refuse what would be served to others in the open. Raises `StartError`."""
        if self.allow_insecure:
            return
        if self.tls is None:
            for address in self.listen:
                _must_be_local(address, "give --tls-cert and --tls-key")
        if self.tls is None or self.tls.client_ca is None:
            _must_be_local(
                self.operator_listen,
                "give --tls-cert, --tls-key and --tls-client-ca, so that not everyone may",
            )
        _must_be_local(self.http, "metrics are served without TLS")


def _must_be_local(address: Address, remedy: str) -> None:
    if not address.is_local:
        raise StartError(
            ExitCode.USAGE,
            f"{address} can be reached from other machines: {remedy}; listen on a loopback address, or say "
            "--allow-insecure if the network around it is trusted",
        )
