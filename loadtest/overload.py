"""Five times more calls than can be served: what is answered, what is shed, and when it is over?

    python -m loadtest.overload

The server's one method takes 0.5 ms of processor time where nothing disturbs it, so its capacity is 2,000
calls/s less what the transport costs. It is measured before each round, with hardly more calls than it can
answer. Goodput is the part of the processor time it could have had that goes into the method, by what that
part is at its capacity: clients, and whatever else runs, take some of the time and make the rest slower.
Clients send on schedule (open model) from processes of their own: two make the load, one looks at health 50
times a second, one calls the method 50 times a second throughout, by which the recovery is seen. Best of
several rounds, since machines are shared; exits with 1 if no round meets every bar.
"""

import sys
import time
from dataclasses import dataclass

import click

from loadtest import overload_client, overload_server
from loadtest.overload_client import LATE, LOST, Plan, Record
from loadtest.overload_server import CAPACITY, PATH, Server, Worked

RESOURCE_EXHAUSTED = 8
HEALTH = "/grpc.health.v1.Health/Check"

LOAD_PROCESSES = 2
LOAD_CONNECTIONS = 8
DEADLINE_S = 1.0
WATCH_RATE = 50.0
"""Calls a second of those who look: to health, and to the method."""

GOODPUT_MIN = 0.8
"""Part of the capacity that must be answered OK in overload."""

HEALTH_P99_MS_MAX = 50.0
RECOVERY_S_MAX = 5.0

NEARLY = 1.1
"""Calls sent to measure the capacity, as a part of what the method alone would allow."""

CAPACITY_S = 1.5

WELL_S = 0.1
"""Seconds in which a call must be answered after the load for the server to count as recovered."""

LOOK_AFTER_S = 1.0
"""Seconds looked at after the load, beyond those that it took."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one overload of `seconds` did. `load` are the calls that were too many, all clients together.

    `worked` is what the server did meanwhile, `capacity` what it did shortly before, with hardly more calls
    than it could answer.
    """

    capacity: Worked
    worked: Worked
    seconds: float
    load: list[Record]
    health: Record
    recovery_s: float

    def count(self, code: int) -> int:
        """How many calls of the load ended so."""
        return sum(record.count(code) for record in self.load)

    @property
    def offered(self) -> float:
        """Calls a second that were sent."""
        return sum(len(record.code) for record in self.load) / self.seconds

    @property
    def goodput(self) -> float:
        """Calls a second that were answered OK."""
        return self.count(0) / self.seconds

    @property
    def part(self) -> float:
        """The goodput by the capacity, by the processor time that there was: idle, or too late, is lost."""
        in_time = self.count(0) / (self.count(0) + self.count(LATE))
        useful = self.worked.work_s / (self.worked.seconds - self.worked.waited_s)
        return in_time * useful / (self.capacity.work_s / self.capacity.ran_s)

    @property
    def hints(self) -> int:
        """Refusals that said when to try again."""
        return sum(int(record.hinted.sum()) for record in self.load)

    def missed(self) -> list[str]:
        """The bars that were missed."""
        bars = {
            f"goodput ≥ {GOODPUT_MIN:.0%}": self.part >= GOODPUT_MIN,
            "every refusal carries RetryInfo": 0 < self.hints == self.count(RESOURCE_EXHAUSTED),
            "no call lost": self.count(LOST) == 0,
            "health always answers": self.health.count(0) == len(self.health.code) > 0,
            f"health p99 ≤ {HEALTH_P99_MS_MAX:g} ms": self.health.quantile_ms(0.99) <= HEALTH_P99_MS_MAX,
            f"recovery < {RECOVERY_S_MAX:g} s": self.recovery_s < RECOVERY_S_MAX,
        }
        return [bar for bar, met in bars.items() if not met]


def capacity(server: Server) -> Worked:
    """What a server does with hardly more calls than it can answer."""
    rate = NEARLY * CAPACITY
    with overload_client.client(Plan(server.target, rate, PATH, b"load", LOAD_CONNECTIONS, DEADLINE_S)):
        time.sleep(CAPACITY_S / 2)
        return server.worked_over(CAPACITY_S)


def overload(server: Server, seconds: float, times: float = 5.0) -> Round:
    """Offer a server `times` its capacity for `seconds`."""
    possible, target = capacity(server), server.target
    watch = Plan(target, WATCH_RATE, HEALTH, connections=1, deadline_s=DEADLINE_S)
    probe = Plan(target, WATCH_RATE, PATH, b"probe", 1, DEADLINE_S)
    rate = times * possible.rate / LOAD_PROCESSES
    plan = Plan(target, rate, PATH, b"load", LOAD_CONNECTIONS, DEADLINE_S)
    with overload_client.client(watch) as health, overload_client.client(probe) as prober:
        began_s = time.monotonic()
        clients = [overload_client.Client(plan) for _ in range(LOAD_PROCESSES)]
        try:
            for client in clients:
                client.wait_ready()
            loaded_s = time.monotonic()
            worked = server.worked_over(seconds)
            load = [client.stop() for client in clients]
        finally:
            for client in clients:
                client.process.kill()
        ended_s = max(float(record.due_s.max()) for record in load)
        time.sleep(LOOK_AFTER_S)
        seen = prober.stop().between(ended_s, time.monotonic())
        unwell = seen.due_s[(seen.code != 0) | (seen.took_s > WELL_S)]
        recovery_s = float(unwell.max()) - ended_s if len(unwell) else 0.0
        spans = [record.between(loaded_s, ended_s) for record in load]
        watched = health.stop().between(began_s, ended_s)
    return Round(possible, worked, ended_s - loaded_s, spans, watched, recovery_s)


def row(found: Round) -> str:
    """A row of the table."""
    load = found.load[0]
    figures = [
        f"{found.offered:,.0f}",
        f"{found.capacity.rate:,.0f}",
        f"{found.goodput:,.0f}",
        f"{found.worked.ran_s / found.worked.seconds:.0%}",
        f"{found.worked.work_s / found.worked.calls * 1e3:.2f}",
        f"{found.part:.0%}",
        f"{found.count(RESOURCE_EXHAUSTED) / found.seconds:,.0f}",
        f"{found.count(LATE) / found.seconds:,.0f}",
        f"{load.quantile_ms(0.5):.0f}",
        f"{load.quantile_ms(0.99):.0f}",
        f"{found.health.quantile_ms(0.5):.1f}",
        f"{found.health.quantile_ms(0.99):.1f}",
        f"{found.recovery_s:.2f}",
    ]
    return "| " + " | ".join(figures) + " | " + ("; ".join(found.missed()) or "–") + " |"


@click.command(help=__doc__)
@click.option("--transport", default="ngh2", show_default=True, type=click.Choice(["ngh2", "grpcio"]))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
@click.option("--seconds", default=5.0, show_default=True, help="Length of the overload.")
@click.option("--times", default=5.0, show_default=True, help="Load as a multiple of the capacity.")
def main(*, transport: str, rounds: int, seconds: float, times: float) -> None:
    """Overload a server round after round, until one meets every bar."""
    print(f"{times:g} × the capacity for {seconds:g} s on the {transport} engine\n")
    print(
        "| offered/s | capacity/s | OK/s | processor | ms/call | goodput | shed/s | late/s "
        "| OK p50 ms | OK p99 ms | health p50 | health p99 | recovery s | missed |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for _ in range(rounds):
        with overload_server.running(transport) as server:
            found = overload(server, seconds, times)
        print(row(found), flush=True)
        if not found.missed():
            sys.exit(0)
    sys.exit(1)


if __name__ == "__main__":
    main()
