"""Metrics of what lies on the disk, made at scrape."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from server.durability import Durability
from server.metrics import by_result, gauge


class DurabilityCollector(Collector):
    """The journal, its syncs, snapshots and what the start recovered."""

    def __init__(self, durability: Durability) -> None:
        self._durability = durability

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are not checked against a first collection."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        durability, store = self._durability, self._durability.store
        yield gauge("banditd_journal_record", "number of the last record of the journal", store.sequence)
        yield gauge(
            "banditd_journal_record_synced",
            "number of the last record that is known to be on the disk",
            store.synced,
        )
        yield gauge("banditd_journal_bytes", "bytes of the journal's files", store.journal_bytes())
        yield gauge(
            "banditd_journal_full", "1 while there is no space for the journal's next segment", store.full
        )
        yield by_result("banditd_snapshots", "attempts to take a snapshot", durability.snapshots)
        yield gauge(
            "banditd_snapshot_timestamp_seconds",
            "when the last snapshot of this process was taken; 0: none yet",
            durability.snapshot_at_s,
        )
        yield gauge(
            "banditd_snapshot_seconds", "how long the last snapshot took, beside calls", durability.snapshot_s
        )
        recovered = store.recovered
        yield gauge(
            "banditd_recovered_records", "records of the journal that the start replayed", recovered.records
        )
        yield gauge(
            "banditd_recovered_problems",
            "files that the start found torn or damaged, and went on without",
            len(recovered.problems),
        )
