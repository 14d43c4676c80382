"""The compiled arithmetic of the core: arrays and scalars in, results written to `out`.

`jit` owns how kernels are compiled; every other module is one family of kernels with its own oracle test.
Kernels that call each other live in one file: numba's disk cache does not see an edit in another file.
"""
