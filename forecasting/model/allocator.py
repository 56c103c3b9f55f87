"""How this process keeps memory between training steps."""

import ctypes
import platform
from functools import cache

# names and numbers of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEPT = 512 << 20  # bytes at the end of the heap that are kept for the next step
_PAD = 64 << 20  # bytes the heap grows by at a time


@cache
def keep_freed_memory() -> bool:
    """Tell glibc not to hand a step's tensors back to the system after every step; return whether it was told.

    Each step of training asks for the same tensors again, and getting them from the system means page faults:
    without this a step takes up to half as long again. It holds for the process, and up to 512 MB stay with
    it once training is over. Elsewhere than on glibc (macOS, musl) nothing is done: the default is left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _KEPT, _M_TOP_PAD: _PAD}
    return all(mallopt(option, value) == 1 for option, value in settings.items())
