"""How this process keeps memory between training steps."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# names and numbers of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEPT = 512 << 20  # bytes at the end of the heap that are kept for the next step
_PAD = 64 << 20  # bytes the heap grows by at a time
_DEFAULTS = {_M_MMAP_MAX: 65_536, _M_TRIM_THRESHOLD: 128 << 10, _M_TOP_PAD: 128 << 10}


@contextmanager
def keeping_freed_memory() -> Iterator[bool]:
    """Tell glibc not to hand a step's tensors back to the system after every step; give whether it was told.

    Each step of training asks for the same tensors again, and getting them from the system means page faults:
    without this a step takes up to half as long again. At the end what is free goes back to the system, so that a
    process which trains now and then does not grow. Elsewhere than on glibc (macOS, musl) nothing is done.
    """
    libc = _glibc()
    if libc is None:
        yield False
        return
    kept = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _KEPT, _M_TOP_PAD: _PAD}
    try:
        yield sum(libc.mallopt(option, value) for option, value in kept.items()) == len(kept)
    finally:
        for option, value in _DEFAULTS.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        libc = ctypes.CDLL(None)
        return libc if libc.mallopt and libc.malloc_trim else None
    except (OSError, AttributeError):
        return None
