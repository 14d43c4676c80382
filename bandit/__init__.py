"""banditd's core: a contextual bandit as a pure function of what happened. No clock, no sockets, no files.

Why it is shaped so: **a placement is a sum.** All that is learned is an additive sufficient statistic, a
`Tally`. So state is small and holds aggregates only, replay is bit-equal, and what several processes learned
merges by adding. Models are derived from tallies and never stored.

Where to begin:

* `engine` — Choose and Reward as pipelines, in order;
* `policies` — where each policy's pmf comes from;
* `kernels.decide`, `kernels.linear` — the arithmetic under it, with the equations' sources;
* `records`, `apply` — every change of state as a value, and the one place where it takes effect;
* `decision`, `token` — why a reward needs no table of pending decisions.
"""
