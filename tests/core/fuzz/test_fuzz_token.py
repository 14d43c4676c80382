"""Whatever text comes as a decision_id: TOKEN_INVALID and nothing changed, or a token that was minted."""

import random
import string
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator

from bandit.errors import BanditError, Reason
from tests.core.world import World, hero, snapshot

BOX_SECONDS = 5.0
ALPHABET = string.ascii_letters + string.digits + "-_"


def mutations(tokens: list[str], rng: random.Random) -> Iterator[str]:
    """Yield texts for ever: noise, and tokens cut, spliced, flipped, swapped, padded, re-encoded."""
    while True:
        token, other = rng.choice(tokens), rng.choice(tokens)
        at, to = sorted((rng.randrange(len(token)), rng.randrange(len(token))))
        data = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        yield urlsafe_b64encode(data).rstrip(b"=").decode()
        yield token[:at] + rng.choice(ALPHABET) + token[at + 1 :]
        yield token[:at] + other[at:]
        yield token[:at] + token[to:]
        yield token[:at] + chr(rng.randrange(0x110000)) + token[at:]
        yield token + other[:to]
        yield "".join(rng.choices(ALPHABET, k=rng.randrange(5_000)))
        yield urlsafe_b64encode(data[:26] + rng.randbytes(rng.randrange(80))).rstrip(b"=").decode()
        yield "".join(map(chr, (rng.randrange(0x110000) for _ in range(rng.randrange(40)))))


def test_only_minted_tokens_open() -> None:
    """For five seconds: a text that is not one of the tokens is TOKEN_INVALID; the state is bit-unchanged."""
    world = World(p=hero())
    choices = [world.choose("p", f"u{i}", {"platform": "web"}) for i in range(50)]
    tokens = [choice.decision_id for choice in choices]
    before, minted = snapshot(world.engine.state), set(tokens)
    end = time.monotonic() + BOX_SECONDS
    tried = 0
    for text in mutations(tokens, random.Random(7)):
        if text in minted:
            continue
        try:
            world.engine.reward(text, "visit", 1.0, "", world.now)
        except BanditError as error:
            assert error.reason is Reason.TOKEN_INVALID  # noqa: PT017
        else:
            raise AssertionError(text)
        tried += 1
        if time.monotonic() > end:
            break
    assert tried > 1_000
    assert world.engine.tokens_invalid == tried
    assert snapshot(world.engine.state) == before
    assert len(world.engine._sealer._subkeys) == 1
