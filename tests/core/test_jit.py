"""How kernels are made ready: counted, told, and even without a place for the cache."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from bandit.kernels import jit


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of this test's own."""
    monkeypatch.setattr(jit, "_registry", {})
    monkeypatch.setattr(jit, "_uncached", [])


@pytest.mark.usefixtures("registry")
def test_compile_all_says_what_it_does() -> None:
    """Progress before each kernel and at the end; then one specialisation each, and nothing left to do."""

    @jit.kernel(lambda: (np.ones(2), 3.0))
    def second(a: Any, factor: float) -> float:
        return helper(a[0]) * factor

    @jit.kernel(lambda: (np.ones(2),))
    def first(a: Any) -> float:
        return a.sum()  # type: ignore[no-any-return]

    told: list[tuple[int, int, str]] = []
    jit.compile_all(lambda *progress: told.append(progress))
    assert told == [(0, 2, "test_jit.first"), (1, 2, "test_jit.second"), (2, 2, "")]
    assert jit.specialisations() == {"test_jit.first": 1, "test_jit.second": 1}
    assert jit.compile_all() == 0
    assert second(np.array([2.0]), 10.0) == 30.0
    second(np.array([2.0]), 1)
    assert jit.specialisations()["test_jit.second"] == 2


@pytest.mark.usefixtures("registry")
def test_a_kernel_is_bound_to_arrays_of_its_types_alone() -> None:
    """It changes those arrays, whatever the rest; others, which machine code would misread, are refused."""

    @jit.kernel(lambda: (np.ones((2, 2)), 0, 1.0))
    def add(a: Any, row: int, more: float) -> float:
        a[row] += more
        return a.sum()  # type: ignore[no-any-return]

    held = np.zeros((3, 2))
    bound = jit.bind(add, held)
    assert (bound(1, 2), bound(0, 0.5)) == (4.0, 5.0)
    assert held.tolist() == [[0.5, 0.5], [2.0, 2.0], [0.0, 0.0]]
    assert jit.specialisations()["test_jit.add"] == 1
    frozen = np.zeros((2, 2))
    frozen.flags.writeable = False
    for other in (held.T, held[:, :1], held.astype(np.float32), held[0], frozen):
        with pytest.raises(TypeError, match=r"add was bound to .* expected"):
            jit.bind(add, other)


@jit.kernel()
def helper(x: float) -> float:
    """What only other kernels call is compiled into them."""
    return x + 1.0


@pytest.mark.usefixtures("registry")
def test_without_a_cache_kernels_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere to write: compiled in memory at every start, and `uncached` names them for a warning."""
    real: Callable[..., Any] = numba.jit

    def nowhere(*, cache: bool = False, **flags: object) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**flags)

    monkeypatch.setattr(numba, "jit", nowhere)

    @jit.kernel(lambda: (2.0,))
    def double(x: float) -> float:
        return 2.0 * x

    assert jit.compile_all() == 1
    assert double(4.0) == 8.0
    assert jit.uncached() == ("test_jit.double",)


@pytest.mark.usefixtures("registry")
def test_division_by_zero_and_nan_are_numpys() -> None:
    """1 / 0 is inf and isnan(nan) holds: a kernel neither raises half-way nor loses sight of a fault."""

    @jit.kernel(lambda: (1.0, 1.0))
    def divide(a: float, b: float) -> float:
        return a / b

    @jit.kernel(lambda: (1.0,))
    def is_nan(a: float) -> bool:
        return np.isnan(a)  # type: ignore[no-any-return]

    assert divide(1.0, 0.0) == float("inf")
    assert is_nan(divide(0.0, 0.0))
