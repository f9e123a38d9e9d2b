"""Images of a public cohort as they are kept: decoded once, no larger than any recipe asks for.

Many processes at a time; an image is staged whole or not at all. No cohort, no label and no jax in here.
"""

import errno
import hashlib
import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from medbench.data.digests import Report
from medbench.data.images import decode, read_file
from medbench.data.public.prepared import SCHEME
from medbench.errors import MedbenchError

SHORTER_SIDE = 512
"""Pixels; larger images are shrunk to it. No recipe of BiT's asks for more: it resizes to 512 at most."""

Reading = Literal["plain", "mammogram"]
"""`mammogram`: cropped to the breast, and the chest wall always to the left."""

_PNG, _BIT_DEPTH = b"\x89PNG\r\n\x1a\n", 24
"""First bytes of a PNG, and where it says how many bits a sample has (PNG specification, IHDR)."""
_AT_A_TIME = 8
"""Images that a worker takes at once: few, since a mammogram takes a second."""


class Staged(msgspec.Struct, frozen=True):
    """What is known of a staged image."""

    sha256: str
    """Hex, of the bytes of the file it came from."""
    width: int
    height: int
    """Pixels, of the image as it came, upright."""
    channels: int
    """1 or 3, as it is kept."""
    length: int
    """Bytes, as it is kept: PNG or JPEG."""


class Task(NamedTuple):
    """An image to be staged: its file, and where it is kept."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Staging:
    """A folder of staged images, each a line that says what is known of it and then its bytes.

    A file is called after the image, the file it came from (size and time of change), the way of reading and
    the libraries that decode, so that what changed is staged anew and what did not is not, wherever the
    cohort's folder was moved to.

    Attributes:
      folder: where they are.
      reading: see `Reading`.
      decoders: names and versions, as `medbench.data.decoders.versions` gives them.
    """

    folder: Path
    reading: Reading
    decoders: tuple[str, ...]

    def task(self, image: str, source: Path) -> Task:
        """Where an image is staged, whether it is there or not.

        Raises:
          OSError: there is no such file.
        """
        status = source.stat()
        known = [SCHEME, self.decoders, self.reading, image, status.st_size, status.st_mtime_ns]
        key = hashlib.sha256(msgspec.json.encode(known)).hexdigest()[:32]
        return Task(source, self.folder / key[:2] / key[2:])


def find_staged(tasks: Sequence[Task]) -> list[Staged | None]:
    """For each image what is known of it; None where it is still to be staged."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_find, [task.target for task in tasks]))


def unwritable(place: Path, error: OSError) -> MedbenchError:
    """The complaint, for the caller to raise, about a place that the system does not let us write to."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return MedbenchError(
        f"{error.filename or place}: cannot be written ({error.strerror or error}). "
        f"{'Free some space' if full else 'Make it a folder that you may write to'}, or name another folder "
        "by `--into`. What is staged is kept, and the same command goes on from there."
    )


def staged_bytes(path: Path) -> bytes:
    """The image itself, PNG or JPEG."""
    return path.read_bytes().partition(b"\n")[2]


class Workers:
    """Processes that stage images; made by `workers`."""

    def __init__(self, pool: ProcessPoolExecutor, reading: Reading) -> None:
        self._pool = pool
        self._reading = reading

    def stage(self, tasks: Sequence[Task], report: Report) -> list[Staged | MedbenchError]:
        """Stage images; for each what is known of it, or why there is none.

        Args:
          tasks: the images.
          report: told how many are done, and how many there are.

        Raises:
          MedbenchError: the disk is full or cannot be written, or a worker died.
        """
        results: list[Staged | MedbenchError] = []
        try:
            readings = [self._reading] * len(tasks)
            for result in self._pool.map(_stage, tasks, readings, chunksize=_AT_A_TIME):
                results.append(result)
                report(len(results), len(tasks))
        except OSError as error:
            raise unwritable(tasks[0].target, error) from error
        except BrokenProcessPool as error:
            raise MedbenchError(
                "A worker was killed, as the system does when memory runs out. What is staged is kept: "
                "give the same command again, with `--workers 1` if that was it."
            ) from error
        return results


@contextmanager
def workers(number: int, reading: Reading) -> Iterator[Workers]:
    """Processes for the time of the block; they end with it, and with this process however it ends."""
    # A forked process would inherit locks of this one's threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=_begin_work)
    try:
        yield Workers(pool, reading)
    finally:
        pool.shutdown(cancel_futures=True)


def encode(data: bytes, path: Path, reading: Reading) -> tuple[Staged, bytes]:
    """What is known of an image file, and the image as it is kept.

    Shrunk until its shorter side has `SHORTER_SIDE` pixels, aspect kept, never enlarged; as 8-bit PNG. A
    file that needs nothing keeps its bytes. A colour file whose three channels are equal becomes grey.

    Args:
      data: the file's bytes.
      path: for messages.
      reading: see `Reading`.

    Raises:
      MedbenchError: not an image, or damaged.
    """
    came = decode(data, path)
    pixels = came[..., :1] if (came == came[..., :1]).all() else came
    if reading == "mammogram":
        from medbench.data.breast import crop_to_breast  # noqa: PLC0415

        pixels = crop_to_breast(pixels)
    small = _shrink(pixels)
    keeps = small.shape == came.shape and reading == "plain" and _needs_nothing(data)
    kept = data if keeps else _png(small)
    staged = Staged(
        sha256=hashlib.sha256(data).hexdigest(),
        width=came.shape[1],
        height=came.shape[0],
        channels=pixels.shape[2],
        length=len(kept),
    )
    return staged, kept


def _stage(task: Task, reading: Reading) -> Staged | MedbenchError:
    """Runs in a worker: stages one image."""
    try:
        data = read_file(task.source)
        staged, kept = encode(data, task.source, reading)
    except MedbenchError as error:
        return error
    task.target.parent.mkdir(parents=True, exist_ok=True)
    partial = task.target.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(msgspec.json.encode(staged) + b"\n" + kept)
        partial.replace(task.target)
    finally:
        partial.unlink(missing_ok=True)  # a full disk needs the room
    return staged


def _find(path: Path) -> Staged | None:
    """A file that a power cut left without its end counts as absent."""
    try:
        with path.open("rb") as file:
            line = file.readline()
            staged = msgspec.json.decode(line, type=Staged)
            return staged if file.seek(0, os.SEEK_END) == len(line) + staged.length else None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, channels = pixels.shape
    if min(height, width) <= SHORTER_SIDE:
        return pixels
    scale = SHORTER_SIDE / min(height, width)
    size = (round(width * scale), round(height * scale))
    small = np.asarray(_picture(pixels).resize(size, Image.Resampling.BILINEAR))  # as `images.resize`
    return small.reshape(size[1], size[0], channels)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    _picture(pixels).save(file, "PNG")
    return file.getvalue()


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _needs_nothing(data: bytes) -> bool:
    """Whether every reader shows the file as `decode` does: 8 bits, grey or RGB, upright, opaque."""
    if data.startswith(_PNG) and data[_BIT_DEPTH] != 8:
        return False
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            return image.mode in {"L", "RGB"} and upright and not image.has_transparency_data
    except Image.UnidentifiedImageError:
        return False


def _begin_work() -> None:
    """Ctrl-C is the parent's to answer, and a worker whose parent was killed must not wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
