"""`medbench pretrain`: the command line of pre-training; jax is imported only when it runs."""

import argparse
from pathlib import Path

from medbench.environment import CPU, device_class
from medbench.training.cifar10 import read_cifar10
from medbench.training.upstream import ARCHITECTURES, STEPS, Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `medbench pretrain`."""
    parser.description = (
        "Pre-train a small BiT on CIFAR-10 at 32 pixels, as an upstream of the embedded tier. Writes "
        "the weights and a card beside them. Takes a quarter to three quarters of an hour on two cores, "
        "by architecture; interrupt it at any time, the same command goes on from its last "
        "checkpoint."
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10's official "
        "binary version), or with cifar10_jpeg.npz",
    )
    parser.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        default="r14x0.5",
        help="layers and width (default: r14x0.5)",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=50_000,
        metavar="N",
        help="training images, equally many of each class (default: all 50,000); the number of steps stays",
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, metavar="N", help=f"default: {STEPS:,}, of 128 images"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="weight file to write (default: bit-cifar50k-r14x0.5.npz here, by --images and --architecture)",
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="folder for checkpoints (default: beside the weights)",
    )


def run(args: argparse.Namespace) -> int:
    """Pre-train, write weights and card, and return the exit status.

    Raises:
      MedbenchError: as `pretrain` and `read_cifar10` do.
    """
    from medbench.training import heap  # noqa: PLC0415

    if device_class() == CPU:
        heap.keep()
    from medbench.training.pretrain import pretrain  # noqa: PLC0415

    blocks, width = ARCHITECTURES[args.architecture]
    out = args.out or Path(f"bit-cifar{_thousands(args.images)}-{args.architecture}.npz")
    pretrain(
        read_cifar10(args.data),
        Settings(images=args.images, steps=args.steps, seed=args.seed, blocks=blocks, width=width),
        out=out,
        checkpoints=args.checkpoints or out.parent,
        report=lambda line: print(line, flush=True),
    )
    return 0


def _thousands(images: int) -> str:
    """50000 as `50k`, 500 as `500`."""
    return f"{images // 1000}k" if images % 1000 == 0 else str(images)
