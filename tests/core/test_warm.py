"""After the kernels have been readied no request waits for a compiler."""

import subprocess
import sys

SCRIPT = """
import numpy as np

from bandit.head import pack_head, unpack_head
from bandit.kernels import jit
from bandit.kernels.table import find
from bandit.sections import pack_placement, unpack_placement
from tests.core.world import SECOND, World, hero

jit.compile_all()
entry = jit._entry

def seen(kernel):  # what is bound goes through the dispatcher too, which sees each argument
    called = (lambda keys, key: find(keys, np.uint64(key))) if kernel is find else kernel
    return called, entry(kernel)[1]

jit._entry = seen
reward = {"window": "24h", "values": {"visit": 1, "purchase": 1}, "repeatable": ["purchase"]}
gated = hero()["ramp"] | {"gate": {"min_exposures": 10}}
world = World(p=hero(half_life="1h", ramp=gated), q=hero(reward=reward))
web = {"platform": "web"}
old = [world.choose(p, "u", web, {"history": 7}, deferred=d) for p in "pq" for d in (True, False)]
platform = {"kind": "category", "values": ["web", "app", "tv"]}
world.reload(p=hero(half_life="2h", features={"platform": platform}, ramp=gated))
for choice in old:
    world.reward(choice, "exposure")
for i in range(600):
    world.now += SECOND
    choice = world.choose("p", f"u{i}", web, {"history": i}, ["none", "mens"], deferred=i % 2 == 0)
    world.reward(choice, "visit")
    world.reward(choice, "purchase", 2.0, "order")
for choice in old:
    world.reward(choice, "visit")
head = unpack_head(pack_head(world.engine.state, sequence=1, origin="test"))
for name in world.engine.state.placements:
    unpack_placement(pack_placement(world.state(name), 1), head)
print({name: count for name, count in jit.specialisations().items() if count != 1})
"""


def test_requests_use_what_compile_all_made_ready() -> None:
    """Choices, rewards, reloads, forgetting and snapshots give no kernel other types than its example has."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{}"
