"""Tokens: sealed decisions that come back exactly, or not at all."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.config import Config
from bandit.counters import Outcome
from bandit.decision import Decision, unpack
from bandit.engine import Engine
from bandit.errors import BanditError, Reason
from bandit.limits import FEATURES_MAX, POLICIES_MAX, TOKEN_CHARS_MAX
from bandit.strata import OVERFLOW
from bandit.token import Keys, Sealer
from tests.core.world import KEYS, NOW, START, World, decision, hero, simple, snapshot
from tests.goldens import check_golden

OTHER = Keys.derive(bytes(32))
HEAD_BYTES = 26


def refused(sealer: Sealer, token: str) -> str:
    """Return the message with which a token is refused."""
    with pytest.raises(BanditError) as error:
        sealer.open(token)
    assert error.value.reason is Reason.TOKEN_INVALID
    return error.value.message


decisions = st.builds(
    decision,
    origin=st.text(max_size=60),
    start=st.binary(min_size=16, max_size=16),
    counter=st.integers(1, 2**64 - 1),
    schema_id=st.binary(min_size=8, max_size=8),
    time_us=st.integers(-(2**63), 2**63 - 1),
    arm=st.integers(0, 255),
    policy=st.integers(0, POLICIES_MAX - 1),
    stratum=st.integers(0, OVERFLOW),
    bucket=st.integers(0, 255),
    propensity=st.floats(0.0, 1.0, exclude_min=True),
    share=st.floats(0.0, 1.0),
    probabilities=st.just((0.25, 1.0)),
    overlaps=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2).map(tuple) | st.just(()),
    x=st.integers(0, FEATURES_MAX + 1).flatmap(lambda m: st.binary(min_size=6 * m, max_size=6 * m)),
    deferred=st.booleans(),
    recorded=st.booleans(),
    in_scope=st.booleans(),
)


@given(decisions)
@settings(max_examples=300)
def test_round_trip(one: Decision) -> None:
    """What is sealed opens as the very same decision, also at another process with the same keys."""
    token = Sealer(KEYS).seal(one)
    assert Sealer(KEYS).open(token) == one
    assert token.isascii()
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_golden() -> None:
    """Packed bytes and token of a decision are what they were: tokens are in the wild for 90 days."""
    one = decision()
    check_golden("token.txt", [one.pack().hex(), Sealer(KEYS).seal(one)])


def test_packed_bytes_by_hand() -> None:
    """The layout: fixed little-endian part, probabilities, overlaps, origin, index, value."""
    packed = decision().pack()
    assert packed[:8] == b"schema-8"
    assert struct.unpack_from("<q", packed, 8) == (NOW,)
    assert struct.unpack_from("<HHBHBBBB", packed, 16) == (2, 3, 1, 3, 200, 15, 3, 6)
    assert struct.unpack_from("<8d", packed, 27) == (0.625, 0.5, 0.25, 0.75, 0.5, 1.0, 0.875, 0.5)
    assert packed[91:97] == b"host-1"
    assert struct.unpack_from("<3H3f", packed, 97) == (0, 5, 255, 1.0, 0.5, 1.0)
    assert len(packed) == 115
    assert len(decision(overlaps=()).pack()) == 115 - 24


def test_a_wrong_length_is_not_unpacked() -> None:
    """A byte more or less than the entries that are announced, whatever the seal said: ValueError."""
    packed = decision().pack()
    for wrong in (packed[:-1], packed + b"\0"):
        with pytest.raises(ValueError, match="expected 3 entries of 6"):
            unpack(START, 1, wrong)


def test_the_largest_decision_fits() -> None:
    """All policies, all features and a long origin stay below the characters that are looked at."""
    m = FEATURES_MAX + 1
    largest = decision(
        origin="x" * 255,
        probabilities=(0.125,) * POLICIES_MAX,
        overlaps=(0.5,) * POLICIES_MAX,
        x=bytes(6 * m),
    )
    token = Sealer(KEYS).seal(largest)
    assert len(token) < 1_400 < TOKEN_CHARS_MAX
    assert Sealer(KEYS).open(token) == largest


def test_every_flipped_bit_is_refused() -> None:
    """Each bit of the head, the sealed record and its tag: TOKEN_INVALID."""
    sealer = Sealer(KEYS)
    data = bytearray(urlsafe_b64decode(_padded(sealer.seal(decision()))))
    for position in range(8 * len(data)):
        data[position >> 3] ^= 1 << (position & 7)
        refused(sealer, urlsafe_b64encode(bytes(data)).rstrip(b"=").decode())
        data[position >> 3] ^= 1 << (position & 7)


def test_every_truncation_and_extension_is_refused() -> None:
    """Every proper prefix, and the token with anything appended: TOKEN_INVALID."""
    sealer = Sealer(KEYS)
    token = sealer.seal(decision())
    for size in range(len(token)):
        refused(sealer, token[:size])
    for tail in ("A", "AA", "AAAA", "=", "==", "\n", " ", "."):
        refused(sealer, token + tail)


def test_only_one_spelling_is_taken() -> None:
    """The standard alphabet, padding, white space, stray bits at the end, other scripts: TOKEN_INVALID."""
    sealer = Sealer(KEYS)
    token = next(t for n in range(1, 99) if {"-", "_"} <= set(t := sealer.seal(decision(counter=n))))
    spelled = {
        token.replace("-", "+").replace("_", "/"),
        _padded(token).decode() + "====",
        f" {token}",
        token[:40] + "\n" + token[40:],
        token[:40] + "!" + token[40:],
        token[:40] + "é" + token[40:],
        token[:40] + "\ud800" + token[40:],
        "\uff21" + token[1:],
        token + token,
    }
    if len(token) % 4:
        spelled.add(token[:-1] + chr(ord(token[-1]) + 1))
    for other in spelled:
        refused(sealer, other)
    refused(sealer, "A" * (TOKEN_CHARS_MAX + 1))


def test_the_refusal_says_why() -> None:
    """Version, key id, length and seal are told apart, and the remedy is named; the token is not quoted."""
    sealer = Sealer(KEYS)
    data = urlsafe_b64decode(_padded(sealer.seal(decision())))

    def changed(position: int, byte: int) -> str:
        return urlsafe_b64encode(data[:position] + bytes([byte]) + data[position + 1 :]).rstrip(b"=").decode()

    assert "version is 9" in refused(sealer, changed(0, 9))
    assert "key id 9" in refused(sealer, changed(1, 9))
    assert "seal does not hold" in refused(sealer, changed(30, 0x55 ^ data[30]))
    assert "too short" in refused(sealer, "")
    assert "exactly the decision_id that Choose returned" in refused(sealer, "abcd")


def test_other_keys_and_other_starts_do_not_open_it() -> None:
    """A token under another master, or moved to another start or counter, does not open."""
    token = Sealer(KEYS).seal(decision())
    refused(Sealer(OTHER), token)
    data = urlsafe_b64decode(_padded(token))
    for moved in (
        data[:2] + bytes(16) + data[18:],
        data[:18] + (8).to_bytes(8, "little") + data[HEAD_BYTES:],
    ):
        refused(Sealer(KEYS), urlsafe_b64encode(moved).rstrip(b"=").decode())


def test_keys_rotate() -> None:
    """Tokens of the old master open as long as it is kept; new ones are sealed under the current one."""
    old, new = KEYS.masters[1], OTHER.masters[1]
    rotating = replace(KEYS, current=2, masters={1: old, 2: new})
    only_new = replace(KEYS, current=2, masters={2: new})
    before, after = Sealer(KEYS).seal(decision()), Sealer(rotating).seal(decision())
    assert Sealer(rotating).open(before) == decision()
    assert Sealer(only_new).open(after) == decision()
    assert "key id 1" in refused(Sealer(only_new), before)
    assert "key id 2" in refused(Sealer(KEYS), after)


def test_keys_change_between_two_calls() -> None:
    """Earlier tokens open, the counter goes on, and no nonce repeats under a key that comes back."""
    rotating = replace(KEYS, current=2, masters={**KEYS.masters, 2: OTHER.masters[1]})
    world = World(p=simple())
    choices = [world.choose()]
    for keys in (rotating, KEYS, rotating):
        assert world.engine.rekey(keys)
        assert not world.engine.rekey(replace(keys))
        choices += [world.choose(), world.choose()]
    heads = [urlsafe_b64decode(_padded(choice.decision_id))[:HEAD_BYTES] for choice in choices]
    assert [head[1] for head in heads] == [1, 2, 2, 1, 1, 2, 2]
    assert [int.from_bytes(head[18:], "little") for head in heads] == list(range(1, 8))
    assert [world.reward(choice) for choice in choices] == [Outcome.APPLIED] * 7


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (OTHER, "its root is another one"),
        (replace(KEYS, draw_salt=bytes(16)), "its root is another one"),
        (replace(KEYS, current=2, masters={1: bytes(32), 2: bytes(32)}), "its key 1 is not the key 1"),
    ],
)
def test_keys_that_may_not_follow_change_nothing(keys: Keys, problem: str) -> None:
    """Other salts, another key under an id that is served: refused, and the old keys seal and open."""
    world = World(p=simple())
    before = world.choose()
    with pytest.raises(ValueError, match=problem):
        world.engine.rekey(keys)
    assert world.reward(before) is world.reward(world.choose()) is Outcome.APPLIED


def test_starts_seal_under_subkeys_of_their_own() -> None:
    """The same counter under another start gives another key: the sealed bytes share nothing."""
    one, other = (
        urlsafe_b64decode(_padded(Sealer(KEYS).seal(decision(start=start))))[HEAD_BYTES:]
        for start in (START, bytes(16))
    )
    assert len(one) == len(other)
    assert sum(a == b for a, b in zip(one, other, strict=True)) < len(one) // 4


def test_an_engine_never_repeats_a_nonce() -> None:
    """Every decision of a start has a counter of its own, and the counter is the nonce."""
    world = World(p=simple())
    heads = {urlsafe_b64decode(_padded(world.choose().decision_id))[:HEAD_BYTES] for _ in range(500)}
    assert len(heads) == 500
    assert {head[2:18] for head in heads} == {START}
    assert {int.from_bytes(head[18:], "little") for head in heads} == set(range(1, 501))


def test_keys_say_nothing_of_themselves() -> None:
    """Neither repr nor str shows a secret; two secrets derive nothing in common."""
    for text in (repr(KEYS), str(KEYS)):
        for secret in (*KEYS.masters.values(), KEYS.unit_salt, KEYS.draw_salt):
            assert secret.hex() not in text
            assert repr(secret) not in text
    derived = [KEYS.masters[1], KEYS.unit_salt, KEYS.draw_salt]
    assert len({*derived, OTHER.masters[1], OTHER.unit_salt, OTHER.draw_salt}) == 6
    with pytest.raises(ValueError, match="32 bytes"):
        Keys.derive(bytes(31))


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:50],
        lambda _: "",
        lambda _: Sealer(OTHER).seal(decision()),
        lambda _: Sealer(replace(KEYS, current=9, masters={9: bytes(32)})).seal(decision()),
    ],
)
def test_a_forged_token_changes_nothing_but_its_counter(forge: Callable[[str], str]) -> None:
    """TOKEN_INVALID, one more in `tokens_invalid`, the state bit-unchanged, the decision still to be had."""
    world = World(p=hero())
    choice = world.choose(categories={"platform": "web"})
    before, records = snapshot(world.engine.state), len(world.journal)
    with pytest.raises(BanditError) as error:
        world.reward(choice._replace(decision_id=forge(choice.decision_id)), "visit")
    assert error.value.reason is Reason.TOKEN_INVALID
    assert world.engine.tokens_invalid == 1
    assert snapshot(world.engine.state) == before
    assert len(world.journal) == records
    assert world.reward(choice, "visit") is Outcome.APPLIED


def test_a_decision_of_another_process_is_not_recorded_here() -> None:
    """Same keys, other start: the token opens, nothing is learned, the outcome is UNRECORDED."""
    world, other = World(p=simple()), World(start=bytes(16), p=simple())
    before = snapshot(world.engine.state)
    assert world.reward(other.choose()) is Outcome.UNRECORDED
    assert snapshot(world.engine.state) == before


def _padded(token: str) -> bytes:
    return token.encode() + b"=" * (-len(token) % 4)


@pytest.mark.parametrize(
    ("current", "masters"),
    [(2, {1: bytes(32)}), (256, {256: bytes(32)}), (1, {1: bytes(16)})],
    ids=["current is not a master", "id beyond a byte", "short master"],
)
def test_keys_that_cannot_seal_are_refused(current: int, masters: dict[int, bytes]) -> None:
    """Better at once than at the first Choose; the message holds no secret."""
    with pytest.raises(ValueError, match="key id"):
        Keys(current, masters, bytes(16), bytes(16))


@pytest.mark.parametrize(("origin", "start"), [("me", b"short"), ("o" * 256, bytes(16))])
def test_an_identity_that_no_token_carries_is_refused(origin: str, start: bytes) -> None:
    """A start of other than 16 bytes would be padded in silence, and every reward be UNRECORDED."""
    with pytest.raises(ValueError, match="expected 16 and at most 255"):
        Engine(Config({}), Keys.derive(bytes(32)), origin=origin, start_id=start, now_us=0)
