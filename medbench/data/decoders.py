"""The libraries that turn image files into pixels; their versions are part of what decoded pixels are called.

Nothing is decoded here, and none of them is imported.
"""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = ("imagecodecs", "pillow", "pydicom", "pyjpegls", "pylibjpeg-openjpeg")


def versions() -> tuple[str, ...]:
    """`name version` of each that is installed, in the order of their names."""
    found = []
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return tuple(found)
