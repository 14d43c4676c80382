"""Does a server that is killed at random times lose or double anything it acknowledged?

    python -m loadtest.crash --kills 200

`banditd serve` runs on one data directory, again and again, each time with two clients that choose, confirm,
reward, repeat themselves and contradict; its configuration is changed under them. It is killed with SIGKILL
while it starts and recovers, under load, while it writes a snapshot, and while it stops. After each kill:

* every decision and event that was acknowledged is in the journal once, as its client knows it, and nothing
  else is there twice; the records are numbered without a gap;
* what a start recovers, from the newest snapshot and the journal behind it, equals bit for bit what a replay
  of the whole journal from its first record gives: tallies, strata, ledger, counters;
* the next server answers DUPLICATE to acknowledged events.

Exits with 1, and keeps the directory, if any of it does not hold.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bandit.journal_reader import segments
from bandit.limits import LEDGER_BYTES_MAX
from loadtest.crash_audit import Audit
from loadtest.crash_clients import Book, Customer, document, tell_again
from loadtest.hostile_server import PATIENT, program
from server.store import Store
from tests.core.world import snapshot

ROOT = Path(__file__).parents[1]

KINDS = {"under load": 9, "in a snapshot": 5, "starting": 5, "stopping": 2, "stopped": 1}
"""When lives of the server end, by weight; the last kind by a SIGTERM, the one before by both signals."""

WAIT_S = 60.0
"""Seconds after which a server that does not get ready, or does not end, is given up."""

DECISIONS_MIN = 30
"""Decisions that are acknowledged before a server ends, unless it ends while it starts."""

AGAIN = 400
"""How many of the events that were acknowledged are sent again to each new server; the last one gets all."""


class Server:
    """A process of `banditd serve` on `folder`'s data directory."""

    def __init__(self, folder: Path, options: list[str]) -> None:
        self._log = folder / "server.log"
        command = [sys.executable, "-m", *program(PATIENT), "serve", "--config", "config.json", *options]
        command += [
            "--listen",
            f"unix:{folder}/data.sock",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=log
            )

    def said(self, event: str) -> dict[str, Any] | None:
        """What it has logged about `event`, if it has."""
        whole = self._log.read_text().rpartition("\n")[0]
        lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
        return next((line for line in lines if line["event"] == event), None)

    def wait_ready(self) -> list[str]:
        """Its addresses, once it serves."""
        end_s = time.monotonic() + WAIT_S
        while self.said("ready") is None:
            assert self.process.poll() is None, f"it ended by itself:\n{self._log.read_text()}"
            assert time.monotonic() < end_s, f"it does not get ready:\n{self._log.read_text()}"
            time.sleep(0.005)
        listening = self.said("listening")
        assert listening is not None
        addresses: list[str] = listening["listen"]
        return addresses

    def end(self, number: signal.Signals) -> int:
        """End it with a signal; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)


class Run:
    """One data directory's fate. `figures` counts what happened."""

    def __init__(self, folder: Path, options: list[str], seed: int) -> None:
        self.folder = folder
        self.figures: Counter[str] = Counter()
        self.book = Book()
        self._data = folder / "data"
        self._options = options
        self._rng = random.Random(seed)
        self._audit = Audit(self._data)
        self._variant = 0
        self._start_s = 1.0
        self._configure()

    def live(self, kind: str) -> None:
        """Start the server, let it be used, end it, and look at what it leaves."""
        over = threading.Event()
        customers: list[Customer] = []
        began_s = time.monotonic()
        server = Server(self.folder, self._options)
        try:
            if kind == "starting":
                # half of them within the first moments
                time.sleep(self._rng.choice([0.05, 1.2 * self._start_s]) * self._rng.random())
            else:
                addresses = server.wait_ready()
                self._start_s = time.monotonic() - began_s
                told = self.book.acknowledged()
                tell_again(self.book, addresses[1], self._rng.sample(told, min(AGAIN, len(told))))
                decisions = len(self.book.decisions)
                customers = self._customers(addresses, over)
                self._until_used(customers, decisions + DECISIONS_MIN)
                self._wait(kind, server)
        finally:
            over.set()
            if kind == "stopping":
                server.process.terminate()
                time.sleep(self._rng.uniform(0, 0.2))
            code = server.end(signal.SIGTERM if kind == "stopped" else signal.SIGKILL)
        if kind == "stopping" and code == 0:
            kind = "stopped"
        for customer in customers:
            customer.join(WAIT_S)
            assert customer.failed is None, f"{customer.name}: {customer.failed}"
            if kind == "stopped":
                assert customer.refused == "UNAVAILABLE", f"{customer.name}: {customer.refused}"
        assert code == (0 if kind == "stopped" else -signal.SIGKILL), f"exit code {code}"
        self.figures[kind] += 1
        self.check()

    def last(self) -> None:
        """A last server is told everything again; the journal it leaves is read by one who saw none of it."""
        server = Server(self.folder, self._options)
        try:
            tell_again(self.book, server.wait_ready()[1], self.book.acknowledged())
        finally:
            code = server.end(signal.SIGTERM)
        assert code == 0, f"exit code {code}"
        self._audit = Audit(self._data)
        self.check()
        with recovered(self._data) as store:
            assert store.recovered.records == 0, "after a stop there is nothing to replay"

    def check(self) -> None:
        """The journal against what clients know, and what a start recovers against the journal."""
        if not (self._data / "journal").exists():  # killed before it was made
            return
        self._audit.read_on()
        self._audit.check(self.book)
        with recovered(self._data) as store:
            assert store.sequence == self._audit.through, f"{store.sequence} records of {self._audit.through}"
            assert snapshot(store.state) == snapshot(self._audit.state), "recovered otherwise than replayed"
            self.figures["torn"] += len(store.recovered.aside)
            self.figures["from a snapshot"] += store.recovered.base is not None

    @property
    def kills(self) -> int:
        """How often the server was killed."""
        return sum(self.figures[kind] for kind in KINDS if kind != "stopped")

    def summary(self) -> str:
        """What was done, in a line."""
        figures = self.figures
        kinds = ", ".join(f"{figures[kind]} {kind}" for kind in KINDS if kind != "stopped")
        return (
            f"{self.kills} kills ({kinds}), {figures['stopped']} stops, {figures['reloads']} "
            f"reloads: {len(self.book.decisions)} decisions and {len(self.book.acknowledged())} events "
            f"acknowledged, {self._audit.through} records, {figures['torn']} torn tails, "
            f"{figures['from a snapshot']} recoveries from a snapshot"
        )

    def _customers(self, addresses: list[str], over: threading.Event) -> list[Customer]:
        """Two clients that have begun to call."""
        customers = [Customer(self.book, address, f"{self._rng.random()}", over) for address in addresses]
        for customer in customers:
            customer.start()
        return customers

    def _wait(self, kind: str, server: Server) -> None:
        """Return when the server is to end."""
        if self._rng.random() < 0.2:
            self._variant = 1 - self._variant
            self._configure()
            server.process.send_signal(signal.SIGHUP)
            self.figures["reloads"] += 1
        if kind == "in a snapshot":
            end_s = time.monotonic() + 2.0
            while not list((self._data / "snapshots").glob("*.tmp")) and time.monotonic() < end_s:
                time.sleep(0.0005)
            time.sleep(self._rng.uniform(0, 0.005))
        else:
            time.sleep(self._rng.uniform(0.02, 1.5))

    def _until_used(self, customers: list[Customer], decisions: int) -> None:
        """Return when there are so many decisions, or a customer has failed."""
        end_s = time.monotonic() + WAIT_S
        while len(self.book.decisions) < decisions and not any(customer.failed for customer in customers):
            assert time.monotonic() < end_s
            time.sleep(0.005)

    def _configure(self) -> None:
        fresh = self.folder / "config.json.tmp"
        fresh.write_text(json.dumps(document(self._variant)))  # JSON is YAML
        fresh.rename(self.folder / "config.json")


@contextmanager
def recovered(data: Path) -> Iterator[Store]:
    """What a start would find in a data directory; the directory itself stays as it is."""
    last = [segment.path for segment in segments(data / "journal")][-1:]

    def copied(source: str, target: str) -> None:
        if source.endswith((".journal", ".snapshot")) and Path(source) not in last:
            os.link(source, target)  # a start does not change these
        else:
            shutil.copy2(source, target)

    with tempfile.TemporaryDirectory(dir=data.parent) as temporary:
        copy = Path(temporary)
        for name in ("journal", "snapshots", "ledger"):
            if (data / name).exists():
                shutil.copytree(data / name, copy / name, copy_function=copied)
        store = Store(copy, ledger_bytes_max=LEDGER_BYTES_MAX, origin="", segment_bytes=2**20)
        try:
            yield store
        finally:
            store.close()


@click.command(help=__doc__)
@click.option("--kills", default=200, show_default=True, type=click.IntRange(1))
@click.option("--transport", default="ngh2", show_default=True, type=click.Choice(["ngh2", "grpcio"]))
@click.option(
    "--fsync", default="interval", show_default=True, type=click.Choice(["always", "interval", "never"])
)
@click.option("--seed", default=1, show_default=True)
def main(kills: int, transport: str, fsync: str, seed: int) -> None:
    """Run it."""
    began_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="banditd-crash-"))
    try:
        run = crash(folder, kills, ["--transport", transport, "--fsync", fsync], seed)
        shutil.rmtree(folder)
    finally:
        if folder.exists():
            print(f"FAILED; everything is kept in {folder}", file=sys.stderr)
    print(f"{run.summary()}, in {time.monotonic() - began_s:.0f} s: nothing lost, nothing twice")


def crash(folder: Path, kills: int, options: list[str], seed: int) -> Run:
    """Kill the server so many times in `folder`. Raises AssertionError, CallError, or what a Store raises."""
    options = [*options, "--data-dir", "data", "--snapshot-interval", "1s", "--journal-keep", "7d"]
    options += ["--journal-segment-bytes", f"{2**20}"]
    run = Run(folder, options, seed)
    rng = random.Random(seed)
    first = list(KINDS)  # each kind once; then by chance
    while run.kills < kills:
        run.live(first.pop(0) if first else rng.choices(list(KINDS), list(KINDS.values()))[0])
        if run.kills % 25 == 0:
            print(run.summary(), file=sys.stderr, flush=True)
    run.last()
    return run


if __name__ == "__main__":
    main()
