"""Hashes: the same on every machine and in every release, uniform, and independent of each other."""

import numpy as np
from scipy import stats

from bandit.hashing import BUCKETS, HASH_SPACE, Draws, UnitHashes, feature_bucket, uniform
from tests.core.world import KEYS, START
from tests.goldens import check_golden

ALPHA = 1e-4
UNITS = [f"visitor-{i}" for i in range(50_000)]
WORDS = ["", "a", "visitor-17", "žluťoučký kůň", "\ud800", "x" * 200]


def routing(units: list[str], placement: str = "home-hero") -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return the routing hashes of units."""
    hashed = UnitHashes(KEYS.unit_salt)[placement]
    return np.array([hashed(b"u" + unit.encode())[0] for unit in units], np.uint64)


def buckets(units: list[str]) -> list[int]:
    """Return the buckets of units."""
    hashed = UnitHashes(KEYS.unit_salt)["home-hero"]
    return [hashed(b"u" + unit.encode())[1] for unit in units]


def draws(units: list[str], cells: int) -> list[int]:
    """Return the cells of [0, 1) that the draws of so many decisions fall in."""
    draw = Draws(KEYS.draw_salt, START)
    return [int(draw(counter + 1) * cells) for counter in range(len(units))]


def test_golden_vectors() -> None:
    """Routing, buckets, draws and hashed features are what they were when the files were written."""
    units, draws = UnitHashes(KEYS.unit_salt), Draws(KEYS.draw_salt, START)
    hashed = {
        (placement, word): units[placement](word.encode("utf-8", "surrogatepass"))
        for placement in ("home-hero", "footer")
        for word in WORDS
    }
    check_golden(
        "hashing.txt",
        [
            *(
                f"unit {placement} {word!a} routing {routed:016x} bucket {bucket}"
                for (placement, word), (routed, bucket) in hashed.items()
            ),
            *(f"draw {counter} {draws(counter).hex()}" for counter in (1, 7, 8, 9, 1 << 40)),
            *(f"feature country {word!a} {feature_bucket('country', word, 1 << 32)}" for word in WORDS),
        ],
    )


def test_uniform_by_hand() -> None:
    """The upper 53 bits make the number: 0, the half, and the largest number below 1."""
    assert uniform(0) == 0.0
    assert uniform((1 << 11) - 1) == 0.0
    assert uniform(1 << 63) == 0.5
    assert uniform(HASH_SPACE - 1) == 1.0 - 2.0**-53


def test_hashes_are_uniform() -> None:
    """χ² over 256 cells of the upper bits, over the buckets, and of draws, at α = 1e-4."""
    assert BUCKETS == 256
    for cells in (routing(UNITS) >> np.uint64(56), buckets(UNITS), draws(UNITS, 256)):
        counts = np.bincount(np.asarray(cells).astype(np.int64), minlength=256)
        assert stats.chisquare(counts).pvalue > ALPHA


def test_features_fill_their_buckets_evenly() -> None:
    """χ² of 50,000 values over 16 buckets, at α = 1e-4."""
    counts = np.bincount([feature_bucket("country", unit, 16) for unit in UNITS], minlength=16)
    assert stats.chisquare(counts).pvalue > ALPHA


def test_routing_says_nothing_about_bucket_draw_or_other_placements() -> None:
    """16 x 16 contingency tables of routing against each other hash show no dependence, at α = 1e-4."""
    first = (routing(UNITS) >> np.uint64(60)).astype(np.int64)
    others = {
        "bucket": [bucket >> 4 for bucket in buckets(UNITS)],
        "bucket's lower bits": [bucket & 15 for bucket in buckets(UNITS)],
        "draw": draws(UNITS, 16),
        "placement": (routing(UNITS, "footer") >> np.uint64(60)).astype(np.int64),
    }
    for name, other in others.items():
        table = np.zeros((16, 16))
        np.add.at(table, (first, np.asarray(other)), 1)
        assert stats.chi2_contingency(table).pvalue > ALPHA, name


def test_a_draw_belongs_to_its_counter_and_start() -> None:
    """In whatever order it is asked for; draws that share a digest, and other starts and salts, differ."""
    draw = Draws(KEYS.draw_salt, START)
    forward = [draw(counter) for counter in range(1, 40)]
    assert [draw(counter) for counter in range(39, 0, -1)] == forward[::-1]
    assert len(set(forward)) == len(forward)
    assert forward[0] not in (Draws(KEYS.draw_salt, bytes(16))(1), Draws(KEYS.unit_salt, START)(1))


def test_neighbouring_draws_are_independent() -> None:
    """A 16 x 16 contingency table of each draw against the next shows no dependence, at α = 1e-4."""
    cells, table = np.array(draws(UNITS, 16)), np.zeros((16, 16))
    np.add.at(table, (cells[:-1], cells[1:]), 1)
    assert stats.chi2_contingency(table).pvalue > ALPHA


def test_names_and_data_do_not_run_together() -> None:
    """Placement "a" with unit "bc" and placement "ab" with unit "c" are hashed apart; so are features."""
    units = UnitHashes(KEYS.unit_salt)
    assert units["a"](b"bc") != units["ab"](b"c")
    assert feature_bucket("a", "bc", 1 << 62) != feature_bucket("ab", "c", 1 << 62)
