"""The compilation cache on disk, which turns a second start's compiling into reading."""

from pathlib import Path

import jax


def enable(folder: Path) -> None:
    """Keep every compiled function below `folder` from now on; to be called before the first compilation.

    The folder is trusted: whoever can write there can run code here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # jax leaves out small and quick ones by default, which is most of what a small run compiles.
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
