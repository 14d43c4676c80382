"""Hashes: the same on every machine and in every release, uniform, and independent of each other."""

import numpy as np
from scipy import stats

from bandit.hashing import BUCKETS, HASH_SPACE, PlacementHash, feature_bucket, uniform
from tests.core.world import KEYS, START
from tests.goldens import check_golden

ALPHA = 1e-4
UNITS = [f"visitor-{i}" for i in range(50_000)]
WORDS = ["", "a", "visitor-17", "žluťoučký kůň", "\ud800", "x" * 200]


def routing(units: list[str], placement: str = "home-hero") -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return the routing hashes of units."""
    salted = PlacementHash(KEYS.routing_salt)
    return np.array([salted[placement](b"u" + unit.encode()) for unit in units], np.uint64)


def test_golden_vectors() -> None:
    """Routing, bucket and draw hashes and hashed features are what they were when the files were written."""
    hashes = {
        "routing": PlacementHash(KEYS.routing_salt),
        "bucket": PlacementHash(KEYS.bucket_salt),
        "draw": PlacementHash(KEYS.draw_salt, START),
    }
    check_golden(
        "hashing.txt",
        [
            *(
                f"{name} {placement} {word!a} {salted[placement](word.encode('utf-8', 'surrogatepass')):016x}"
                for name, salted in hashes.items()
                for placement in ("home-hero", "footer")
                for word in WORDS
            ),
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
    """χ² over 256 cells of the upper bits, and over the buckets, at α = 1e-4."""
    hashes = routing(UNITS)
    for cells in (hashes >> np.uint64(56), hashes % np.uint64(BUCKETS)):
        counts = np.bincount(cells.astype(np.int64), minlength=256)
        assert stats.chisquare(counts).pvalue > ALPHA


def test_features_fill_their_buckets_evenly() -> None:
    """χ² of 50,000 values over 16 buckets, at α = 1e-4."""
    counts = np.bincount([feature_bucket("country", unit, 16) for unit in UNITS], minlength=16)
    assert stats.chisquare(counts).pvalue > ALPHA


def test_routing_says_nothing_about_bucket_draw_or_other_placements() -> None:
    """16 x 16 contingency tables of routing against each other hash show no dependence, at α = 1e-4."""
    first = (routing(UNITS) >> np.uint64(60)).astype(np.int64)
    bucket, draw = PlacementHash(KEYS.bucket_salt), PlacementHash(KEYS.draw_salt, START)
    others = {
        "bucket": [bucket["home-hero"](b"u" + unit.encode()) % 16 for unit in UNITS],
        "draw": [int(uniform(draw["home-hero"](b"u" + unit.encode())) * 16) for unit in UNITS],
        "placement": (routing(UNITS, "footer") >> np.uint64(60)).astype(np.int64),
    }
    for name, other in others.items():
        table = np.zeros((16, 16))
        np.add.at(table, (first, np.asarray(other)), 1)
        assert stats.chi2_contingency(table).pvalue > ALPHA, name


def test_names_and_data_do_not_run_together() -> None:
    """Placement "a" with unit "bc" and placement "ab" with unit "c" are hashed apart; so are features."""
    salted = PlacementHash(KEYS.routing_salt)
    assert salted["a"](b"bc") != salted["ab"](b"c")
    assert feature_bucket("a", "bc", 1 << 62) != feature_bucket("ab", "c", 1 << 62)
