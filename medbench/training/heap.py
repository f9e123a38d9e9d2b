"""Memory of a process that trains on a CPU: kept between steps, and in large pages.

XLA asks for hundreds of megabytes at every step and gives them back after it. As glibc is set up, the
system takes them away each time, and hands out small pages anew, cleared one by one.
"""

import ctypes
import functools
import mmap
import os

_ARENA_MAX, _MMAP_MAX, _TOP_PAD, _TRIM_THRESHOLD = -8, -4, -2, -1
_SETTINGS = {
    _ARENA_MAX: 1,  # one heap for all threads: others hold 64 MB at most
    _MMAP_MAX: 0,  # nothing is mapped apart, which would be unmapped when it is given back
    _TRIM_THRESHOLD: -1,  # what is given back stays with the process
    _TOP_PAD: 2**28,
}
"""Parameters of `mallopt` by glibc's numbers (malloc.h; man 3 mallopt)."""
_LARGE_PAGE = 2**21
_SHARE = 0.5
"""Of the machine's memory: how far the heap may grow in large pages. What is not touched costs nothing."""


@functools.cache
def keep() -> None:
    """Set up the heap of this process, for good; to be called before jax starts its threads.

    Numbers do not depend on it. Where the C library is not glibc, or the system has no large pages, nothing
    happens.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    for parameter, value in _SETTINGS.items():
        libc.mallopt(parameter, value)
    size = int(_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    libc.malloc.restype = ctypes.c_void_p
    if (begin := libc.malloc(ctypes.c_size_t(size))) is None:
        return
    first = -(-begin // _LARGE_PAGE) * _LARGE_PAGE
    within = (begin + size - first) // _LARGE_PAGE * _LARGE_PAGE
    libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(within), mmap.MADV_HUGEPAGE)
    libc.free(ctypes.c_void_p(begin))
