"""Every key of the contract, in one table: what is not here is refused, with its path."""

KEYS = {
    "document": ("version", "owner", "placements"),
    "placement": ("arms", "features", "reward", "exposure", "half_life", "policies", "ramp"),
    "arm": ("weight", "payload", "when", "state"),
    "reward": ("window", "values", "max", "repeatable", "delayed"),
    "ramp": ("policies", "start", "over", "from", "to", "only_when", "gate"),
    "gate": ("min_exposures", "max_loss", "confidence"),
}
"""The keys of every mapping whose keys do not depend on a `kind`."""

FEATURE_KEYS = {
    "category": ("kind", "values"),
    "hashed": ("kind", "buckets"),
    "number": ("kind", "min", "max", "scale"),
    "boolean": ("kind",),
}
"""The keys of a feature, by its kind."""

POLICY_KEYS = {
    "uniform": ("kind",),
    "thompson": ("kind", "explore"),
    "linear_thompson": ("kind", "explore", "prior_precision"),
    "linucb": ("kind", "explore", "prior_precision", "alpha"),
}
"""The keys of a policy, by its kind. `static` is missing on purpose: it always exists."""
