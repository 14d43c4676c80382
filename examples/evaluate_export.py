"""What each policy would earn on all of a placement's traffic, from a file of `banditd export`."""

import sys

import numpy as np
import pyarrow.parquet as pq

file, placement = sys.argv[1:]
table = pq.read_table(file, filters=[("placement", "=", placement), ("exposed", "=", True)])
rows = table.to_pylist(maps_as_pydicts="strict")

arms = sorted({arm for row in rows for arm in row["eligible"] or [row["arm"]]})
columns = sorted({column for row in rows for column in row["context"]})
feedback = {  # as obp wants it
    "n_rounds": len(rows),
    "n_actions": len(arms),
    "context": np.array([[row["context"].get(column, 0.0) for column in columns] for row in rows]),
    "action": np.array([arms.index(row["arm"]) for row in rows]),
    "action_context": np.eye(len(arms)),
    "position": np.zeros(len(rows), int),
    "pscore": np.array([row["propensity"] for row in rows]),
    "reward": np.array([row["reward"] for row in rows]),
}

bucket = np.array([row["bucket"] for row in rows])
for policy in rows[0]["probabilities"]:
    weight = np.array([row["probabilities"][policy] for row in rows]) / feedback["pscore"]
    earned = weight * feedback["reward"]
    between = np.bincount(bucket, earned - earned.mean())  # visitors return, so rows are not independent
    error = np.sqrt((between**2).sum()) / len(rows)
    print(f"{policy} {earned.mean():.4f} ± {1.96 * error:.4f}, mean weight {weight.mean():.3f}")

# ruff: noqa: INP001, T201 - a script, and it prints
