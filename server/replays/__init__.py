"""Logged decisions replayed through a running sidecar, by the replay method (Li et al. 2011).

    mapping (which column is what) → rows (the log, checked and shuffled) → drive (Choose; where the chosen
    arm is the logged one: exposure and events) → statistics → view

The method is unbiased where the log chose its arms uniformly at random; `rows.uniformity` looks whether
it did.
"""
