"""How much memory an object holds, with all that it leads to: does it stay the same under traffic?"""

import gc
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import numpy as np

SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""What belongs to the program and not to what it holds."""


def held_bytes(root: object) -> int:
    """Bytes of an object and of everything that it leads to, each counted once; not of code and modules."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, SHARED):
            continue
        seen[id(found)] = found
        waiting += gc.get_referents(found)
        if isinstance(found, np.ndarray):
            waiting.append(found.base)  # which the collector does not know of
    return sum(map(sys.getsizeof, seen.values()))
