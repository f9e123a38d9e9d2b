"""Mammograms cut down to the breast and turned to one side: no pixel is spent on film around it.

Works on shown pixels (8 bits, tissue bright on black); files, tags and tables are not known here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

WORKING_SIZE = 512
"""Pixels of the longer side at which the breast is looked for; the cut is as exact as one of these."""

THINNEST = 1 / 32
"""What is thinner than this share of the shorter side is no breast: frames of films, letters, lines."""

MARGIN = 0.01
"""Left around the breast, as a share of the image's longer side."""

SMALLEST = 0.02
"""Share of the image that a breast covers at least."""


def crop_to_breast(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a mammogram to its breast, the chest wall at the left.

    The breast is the largest connected piece that is brighter than Otsu's threshold and thicker than
    `THINNEST`; markers and the scanner's frame are other or thinner pieces. Otsu's threshold (IEEE
    Trans. SMC 9, 1979) is taken of the square roots of grey values, since three classes (background,
    fat, gland) would else be divided between fat and gland. Where no such piece is found, nothing is cut
    off; nor is it from a film that was not inverted, whose largest piece is the background.

    Args:
      image: (h, w, 1) grey, after windowing.

    Returns:
      (h', w', 1): a part of the image, perhaps mirrored; never empty. An image and its mirror image give the
      same.
    """
    image = _heavier_to_left(image)
    breast = _find(image[..., 0])
    if breast is None:
        return image
    cut = image[breast.top : breast.bottom, breast.left : breast.right]
    return cut if breast.wall_is_left else cut[:, ::-1]


@dataclass(frozen=True)
class _Breast:
    """The breast's bounding box with margin, in pixels, and whether it is wider at the left."""

    top: int
    bottom: int
    left: int
    right: int
    wall_is_left: bool


def _heavier_to_left(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image or its mirror image, the same for both: all that follows then cannot tell them apart."""
    columns = image.sum(axis=(0, 2), dtype=np.int64)
    moment = int((columns * (2 * np.arange(len(columns)) - len(columns) + 1)).sum())
    mirrored = image[:, ::-1]
    if moment > 0 or (moment == 0 and mirrored.tobytes() < image.tobytes()):
        return mirrored
    return image


def _find(grey: NDArray[np.uint8]) -> _Breast | None:
    factor = max(1, -(-max(grey.shape) // WORKING_SIZE))
    small = np.asarray(Image.fromarray(np.ascontiguousarray(grey)).reduce(factor))
    breast = _largest_piece(_without_thin(small > _threshold(small)))
    if breast.mean() < SMALLEST:
        return None
    rows, columns = (np.flatnonzero(breast.any(axis=axis)) for axis in (1, 0))
    margin = round(MARGIN * max(grey.shape))
    middle = (columns[0] + columns[-1] + 1) / 2
    at_left = np.arange(breast.shape[1]) + 0.5 < middle
    per_column = breast.sum(axis=0)
    return _Breast(
        top=max(0, int(rows[0]) * factor - margin),
        bottom=min(grey.shape[0], int(rows[-1] + 1) * factor + margin),
        left=max(0, int(columns[0]) * factor - margin),
        right=min(grey.shape[1], int(columns[-1] + 1) * factor + margin),
        wall_is_left=bool(per_column[at_left].sum() >= per_column[~at_left].sum()),
    )


def _threshold(grey: NDArray[np.uint8]) -> int:
    """The grey value up to which all is background; 255 where there is but one value."""
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    roots = np.sqrt(np.arange(256.0))
    below, above = counts.cumsum(), counts.sum() - counts.cumsum()
    split = (below > 0) & (above > 0)
    if not split.any():
        return 255
    sums = (counts * roots).cumsum()
    apart = np.zeros(256)
    apart[split] = (
        below[split]
        * above[split]
        * (sums[split] / below[split] - (sums[-1] - sums[split]) / above[split]) ** 2
    )
    best = np.flatnonzero(apart == apart.max())  # a run of values between two classes is equally good
    return int(best[len(best) // 2])


def _without_thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask opened by a square; beyond the image's edge is background, so that frames are thin."""
    side = max(1, round(min(mask.shape) * THINNEST)) | 1
    eroded = ndimage.minimum_filter(mask, side, mode="constant", cval=False)
    opened: NDArray[np.bool_] = ndimage.maximum_filter(eroded, side, mode="constant", cval=False)
    return opened


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece, of several the first; all False where the mask is."""
    labels, n = ndimage.label(mask)
    if not n:
        return mask
    sizes = np.bincount(labels.ravel())
    piece: NDArray[np.bool_] = labels == 1 + sizes[1:].argmax()
    return piece
