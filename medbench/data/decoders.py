"""The libraries that turn files of images into pixels, by name and version.

Only what is installed is asked; nothing is imported, and no image is read here.
"""

from importlib.metadata import PackageNotFoundError, version

_NAMES = ("imagecodecs", "pillow", "pydicom", "pyjpegls", "pylibjpeg-openjpeg")


def versions() -> tuple[str, ...]:
    """`name version` of each that is installed, in alphabetical order."""
    return tuple(f"{name} {found}" for name in _NAMES if (found := _version(name)))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
