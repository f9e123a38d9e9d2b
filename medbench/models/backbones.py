"""Backbones that are not BiT: Flax modules of other packages, by entry point (group `medbench.backbones`).

What they compute is theirs; that it fits is checked here. Planning asks for their packages, so jax waits.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medbench.errors import MedbenchError, NotHereError, nearest, printable

if TYPE_CHECKING:
    import flax.linen as nn

GROUP = "medbench.backbones"

_DTYPES = ("float16", "bfloat16", "float32", "float64")

StageOf = Callable[[Sequence[str]], str]
"""The stage that a parameter belongs to, by the names that lead to it in the tree."""


class Backbone(Protocol):
    """What an entry point names: an object, such as a module of Python or an instance, with these functions.

    It may have another, `stage_of(path) -> str`: see `stage_of` below.
    """

    def module(self, classes: int) -> "nn.Module":
        """A network whose `apply({"params": params}, images)` gives logits and features by stage.

        Images are (n, h, w, 3) float32 in [-1, 1]; logits are (n, classes) and the features of every stage
        (n, c), both float32. Equal `classes` give equal networks. There is no other state than `params`, and
        training and scoring are the same function.
        """

    def load(self, path: Path, classes: int) -> Mapping[str, Any]:
        """The parameters in a weight file, as fine-tuning starts: under a new head, best of zeros."""


def distribution(name: str) -> str:
    """Name and version of the package that an entry point is of, such as `my-vit 1.2`; it is not imported.

    Raises:
      NotHereError: no installed package has it.
      MedbenchError: two have it.
    """
    dist = _entry(name).dist
    return f"{dist.name} {dist.version}" if dist is not None else ""


@functools.cache
def backbone(name: str) -> Backbone:
    """What the entry point names, imported.

    Raises:
      MedbenchError: no installed package has it, two have it, it cannot be imported, or it is no backbone.
    """
    entry = _entry(name)
    with _theirs(f"backbone module `{name}` ({entry.value}) cannot be loaded"):
        found: Backbone = entry.load()
    for function in ("module", "load"):
        if not callable(getattr(found, function, None)):
            raise MedbenchError(
                f"backbone module `{name}` ({entry.value}) has no function `{function}`: expected "
                "`module(classes)` and `load(path, classes)`"
            )
    return found


def require(name: str, planned: str) -> None:
    """The installed package is the one that a run was planned with.

    Args:
      name: of the entry point.
      planned: its `distribution` then.

    Raises:
      MedbenchError: it is another one, as it may be on another machine.
    """
    if (found := distribution(name)) != planned:
        raise MedbenchError(
            f"backbone module `{name}` is of {found} here, and of {planned} in the plan. Install the same."
        )


def stage_of(name: str) -> StageOf:
    """Which stage a parameter belongs to: as the module says, else by the first name that leads to it."""
    said: StageOf | None = getattr(backbone(name), "stage_of", None)
    return said or (lambda path: path[0])


def init_params(name: str, *, classes: int, size: int, seed: int) -> dict[str, Any]:
    """Random parameters, as the module's own `init` draws them.

    Args:
      name: of the entry point.
      classes: columns of the logits.
      size: of the images that it is for, in pixels.
      seed: of the key, 32 bits.

    Returns:
      The parameter tree with numpy float32 arrays.

    Raises:
      MedbenchError: what the module gives is not what is expected of a backbone.
    """
    import jax  # noqa: PLC0415

    _shapes(name, classes, size)
    key, image = jax.random.key(seed, impl="threefry2x32"), _image(size)
    drawn = jax.jit(backbone(name).module(classes).init)(key, jax.numpy.zeros(image.shape, image.dtype))
    return _plain(jax.device_get(drawn["params"]))


def load_params(name: str, path: Path, *, classes: int, size: int) -> dict[str, Any]:
    """The parameters in a file, as the module loads them, held against what its own `init` has.

    Args:
      name: of the entry point.
      path: its weight file.
      classes: columns of the logits.
      size: of the images that it is for, in pixels.

    Returns:
      The parameter tree with numpy float32 arrays.

    Raises:
      MedbenchError: the file cannot be loaded, or an array is missing, surplus, misshapen, or not of finite
        numbers; or what the module gives is not what is expected of a backbone.
    """
    import numpy as np  # noqa: PLC0415
    from flax import traverse_util  # noqa: PLC0415

    from medbench.models import arrays  # noqa: PLC0415

    shapes = {"/".join(names): shape for names, shape in _shapes(name, classes, size).items()}
    with _theirs(f"{path}: backbone module `{name}` cannot load it"):
        tree = backbone(name).load(path, classes)
    found = {
        "/".join(names): np.asarray(leaf) for names, leaf in traverse_util.flatten_dict(_plain(tree)).items()
    }
    arrays.check_names(path, set(found), set(shapes))
    for key, array in found.items():
        header = arrays.Header(array.shape, str(array.dtype))
        arrays.check_header(path, key, header, shape=shapes[key], dtypes=_DTYPES)
    single = {tuple(key.split("/")): arrays.as_float32(path, key, array) for key, array in found.items()}
    return traverse_util.unflatten_dict(single)


def _shapes(name: str, classes: int, size: int) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The shape of every parameter, of a module that was seen to be a backbone; nothing is computed."""
    import jax  # noqa: PLC0415
    from flax import traverse_util  # noqa: PLC0415

    image = _image(size)
    unfit = f"backbone module `{name}` cannot be applied to images of {size} pixels"
    with _theirs(unfit):
        net = backbone(name).module(classes)
        variables = jax.eval_shape(net.init, jax.random.key(0), image)
    if more := sorted(set(variables) - {"params"}):
        raise MedbenchError(
            f"backbone module `{name}` has state beside its parameters ({', '.join(more)}), which is not "
            "kept in fine-tuning. Group or layer normalisation needs none."
        )
    with _theirs(unfit):
        output = jax.eval_shape(net.apply, {"params": variables["params"]}, image)
    _check_output(name, output, classes)
    return {
        path: leaf.shape for path, leaf in traverse_util.flatten_dict(_plain(variables["params"])).items()
    }


def _check_output(name: str, output: Any, classes: int) -> None:
    expected = f"expected logits (1, {classes}) and a dict of features (1, c) by stage, all float32"
    if not (isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], Mapping) and output[1]):
        raise MedbenchError(
            f"backbone module `{name}` gives {type(output).__name__} for one image; {expected}"
        )
    logits, stages = output
    wrong = [] if logits.shape == (1, classes) else [f"logits {logits.shape}"]
    wrong += [
        f"`{stage}` {found.shape}" for stage, found in stages.items() if (found.ndim, len(found)) != (2, 1)
    ]
    wrong += [f"{found.dtype}" for found in (logits, *stages.values()) if str(found.dtype) != "float32"]
    if wrong:
        raise MedbenchError(f"backbone module `{name}` gives {', '.join(wrong)} for one image; {expected}")


def _image(size: int) -> Any:
    import jax  # noqa: PLC0415

    return jax.ShapeDtypeStruct((1, size, size, 3), jax.numpy.float32)


def _plain(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree as nested dicts, whichever mapping the module prefers."""
    return {name: _plain(value) if isinstance(value, Mapping) else value for name, value in tree.items()}


def _entry(name: str) -> metadata.EntryPoint:
    installed = metadata.entry_points(group=GROUP)
    found = installed.select(name=name)
    if not found:
        hint = nearest(name, installed.names) or f"No installed package has one in the group `{GROUP}`."
        raise NotHereError(
            f"backbone module `{name}` is not installed. {hint} Install the package that has it."
        )
    packages = sorted({str(entry.dist.name) for entry in found if entry.dist is not None})
    if len(packages) > 1:
        raise MedbenchError(
            f"backbone module `{name}` is an entry point of {' and of '.join(packages)}. Uninstall one."
        )
    return next(iter(found))


@contextmanager
def _theirs(problem: str) -> Iterator[None]:
    """One message for whatever another package's code raises: the problem, and the error's first line."""
    try:
        yield
    except MedbenchError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise MedbenchError(f"{problem}: {type(error).__name__}: {printable(first)}") from error
