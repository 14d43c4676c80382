"""How every kernel is compiled: one decorator, the reason for each numba flag, and a registry.

A kernel is compiled lazily, so that importing the core costs no compilation. `compile_all` then calls each
registered kernel once on tiny example arguments, which compiles it or loads it from numba's disk cache. The
shell does that before it reports ready; after that no request waits for a compiler.

A kernel is compiled per argument type, so an example must have exactly the types (shape order, dtype,
contiguity, int or float) of the calls in production. `specialisations` lets a test hold that.

Who calls a kernel for every decision binds it to its arrays: see `bind`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Arguments = tuple[Any, ...]
Progress = Callable[[int, int, str], None]
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

FLAGS: dict[str, Any] = {
    # no silent fall-back to interpreted code: a kernel compiles to machine code or it is an error
    "nopython": True,
    # division by zero gives inf or nan, as in NumPy: a kernel must not raise half-way through an update,
    # and without the checks LLVM can vectorise; callers test the result for being finite
    "error_model": "numpy",
    # replay must be bit-equal to live, and isnan(nan) must stay true: no re-association, no "no NaNs"
    "fastmath": False,
    # one thread owns the state and a kernel takes microseconds: releasing the lock would cost more than it
    # gives and would let another thread see a half-written update
    "nogil": False,
    # the same reason: a pool of threads costs more than the work, and sums would depend on their number
    "parallel": False,
}

INNER_FLAGS = FLAGS | {
    # handing arrays to a function counts references, atomically: in place, `decide` takes a tenth less
    "inline": "always",
}
"""For functions that only kernels call."""


class Dispatcher(Hashable, Protocol):
    """What we use of numba's compiled functions."""

    @property
    def signatures(self) -> list[Any]:
        """One per combination of argument types that is ready."""

    @property
    def overloads(self) -> dict[Arguments, Any]:
        """What was compiled, by argument types."""

    @property
    def stats(self) -> Any:  # noqa: ANN401 - numba is untyped
        """How often the disk cache was hit and missed, per signature."""

    def __call__(self, *arguments: object) -> object:
        """Run, after compiling for these argument types if need be."""


class Kernel(NamedTuple):
    """A compiled function and how to call it once."""

    name: str
    """module.function, without the package: `gaussian.best_probability`"""
    dispatcher: Dispatcher
    """numba's dispatcher, which is what the decorated name refers to"""
    example: Callable[[], Arguments]
    """makes fresh, tiny arguments of the production types; they may be overwritten"""


_registry: dict[str, Kernel] = {}
_uncached: list[str] = []


def kernel(example: Callable[[], Arguments] | None = None) -> Callable[[F], F]:
    """Compile the decorated function on first use, with our flags, keeping the machine code on disk.

    `example` makes arguments for `compile_all`. Leave it out for a function that only other kernels of the
    same file call: it is compiled into them.
    """

    def decorate(function: F) -> F:
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        dispatcher = _compiled_lazily(function, name, FLAGS if example else INNER_FLAGS)
        if example is not None:
            _registry[name] = Kernel(name, dispatcher, example)
        return cast("F", dispatcher)

    return decorate


def bind(kernel: Callable[..., R], *arrays: NDArray[Any]) -> Callable[..., R]:
    """Return a kernel whose first arguments are these arrays, to be called with the rest of them.

    numba's dispatcher looks at the type of every argument at every call, for as long as handing them over
    takes. Here types are compared with the example's once, and calls go straight to the machine code. So
    arrays among the rest have to be of the example's types, which nobody looks at; numbers are converted.
    Raises TypeError for arrays that are not of the example's types, writable and in C order.
    """
    entry_point, forms = _entry(cast("Dispatcher", kernel))
    found = [_form(array) for array in arrays]
    if found != forms[: len(found)]:
        message = f"{kernel.__name__} was bound to {found}: expected {forms[: len(found)]}"
        raise TypeError(message)
    return partial(entry_point, *arrays)


def _form(argument: object) -> tuple[object, ...]:
    """Return what an array's type is: of what, of how many dimensions, whether writable and in C order."""
    if not isinstance(argument, np.ndarray):
        return ()
    return argument.dtype, argument.ndim, argument.flags.carray


@cache
def _entry(dispatcher: Dispatcher) -> tuple[Callable[..., Any], list[tuple[object, ...]]]:
    """Return a kernel's machine code for the types of its example, and the forms of that."""
    arguments = next(entry.example for entry in _registry.values() if entry.dispatcher is dispatcher)()
    types, forms = tuple(map(numba.typeof, arguments)), list(map(_form, arguments))
    if types not in dispatcher.overloads:
        dispatcher(*arguments)
    return dispatcher.overloads[types].entry_point, forms


def compile_all(progress: Progress | None = None) -> int:
    """Make every registered kernel ready; return how many had to be compiled (0: all came from the disk).

    `progress(done, total, name)` is called before each kernel with the number that are ready and the name of
    the one that comes next, and at the end with `(total, total, "")`. Kernels of modules that are not
    imported are not known here.
    """
    kernels = sorted(_registry.values())
    before = _compilations(kernels)
    for done, entry in enumerate(kernels):
        if progress is not None:
            progress(done, len(kernels), entry.name)
        entry.dispatcher(*entry.example())
    if progress is not None:
        progress(len(kernels), len(kernels), "")
    return _compilations(kernels) - before


def specialisations() -> dict[str, int]:
    """For how many combinations of argument types each registered kernel has been made ready.

    More than one means that some caller passes types that the example does not have.
    """
    return {name: len(entry.dispatcher.signatures) for name, entry in _registry.items()}


def uncached() -> tuple[str, ...]:
    """Names of kernels that no directory could be found for, so every start compiles them anew.

    Set NUMBA_CACHE_DIR to a directory that the service's user owns (the cache is pickle: never a shared one).
    """
    return tuple(_uncached)


def _compiled_lazily(function: Callable[..., Any], name: str, flags: dict[str, Any]) -> Dispatcher:
    try:
        return cast("Dispatcher", numba.jit(cache=True, **flags)(function))
    except RuntimeError:  # "no locator available": nowhere to write; slower starts are better than none
        _uncached.append(name)
        return cast("Dispatcher", numba.jit(**flags)(function))


def _compilations(kernels: list[Kernel]) -> int:
    return sum(sum(entry.dispatcher.stats.cache_misses.values()) for entry in kernels)
