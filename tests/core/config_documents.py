"""Documents that the tests of the configuration start from."""

from typing import Any

Document = dict[str, Any]


def document(**placement: object) -> Document:
    """The least that is accepted, with some keys of its placement replaced."""
    least: Document = {"arms": {"a": {}, "b": {}}, "reward": {"values": {"click": 1}}}
    return {"version": 1, "placements": {"p": least | placement}}


def contract() -> Document:
    """The example of the contract, as a JSON reader would give it."""
    return {
        "version": 1,
        "owner": "onsite-crm",
        "placements": {
            "home-hero": {
                "arms": {
                    "womens": {"weight": 1, "payload": '{"banner": "w"}'},
                    "mens": {"weight": 1, "when": {"platform": ["web", "app"]}},
                    "none": {"weight": 1, "state": "draining"},
                },
                "features": {
                    "platform": {"kind": "category", "values": ["web", "app", "tv"]},
                    "country": {"kind": "hashed", "buckets": 4},
                    "history": {"kind": "number", "min": 0, "max": 3000, "scale": "log"},
                    "returning": {"kind": "boolean"},
                },
                "reward": {
                    "window": "24h",
                    "values": {"visit": 1.0, "purchase": 0.02},
                    "max": 5.0,
                    "repeatable": ["purchase"],
                },
                "exposure": "on_choose",
                "half_life": "30d",
                "policies": {
                    "best-arm": {"kind": "thompson"},
                    "personal": {"kind": "linear_thompson", "prior_precision": 1.0},
                    "explorer": {"kind": "linucb", "alpha": 1.0, "explore": 0.02},
                },
                "ramp": {
                    "policies": {"personal": 1.0},
                    "start": "2026-12-01T00:00:00Z",
                    "over": "60d",
                    "from": 0.05,
                    "to": 0.90,
                    "only_when": {"platform": ["web"]},
                    "gate": {"min_exposures": 2000, "max_loss": 0.05, "confidence": 0.95},
                },
            }
        },
    }
