"""The policies: where each kind's pmf comes from. It stands in its row of the stratum's `pmfs`.

* static, uniform — made with the stratum (`strata`), they never change;
* thompson — by quadrature over the stratum's tally, when enough is new (`policies.thompson`);
* linear_thompson, linucb — by the kernel, for each context (`policies.linear`, `kernels.decide`).

A policy never samples: `kernels.decide.sample` does, from the row of the policy that serves.
"""
