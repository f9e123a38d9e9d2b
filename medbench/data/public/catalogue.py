"""The public cohorts that medbench knows, by name."""

from importlib import import_module

from medbench.data.public.source import Source
from medbench.errors import MedbenchError, nearest

MODULES = {
    "chexpert": "medbench.data.public.chexpert",
    "nih-cxr14": "medbench.data.public.nih_cxr14",
    "rsna-2022": "medbench.data.public.rsna_2022",
    "vindr-mammo": "medbench.data.public.vindr_mammo",
    "isic-2019": "medbench.data.public.isic_2019",
    "pad-ufes-20": "medbench.data.public.pad_ufes_20",
}
"""By name; imported by name, since what a source reads is pinned by the fingerprint of what was prepared."""


def source_named(name: str) -> Source:
    """The declared source.

    Raises:
      MedbenchError: there is none; the message names the nearest.
    """
    if name not in MODULES:
        raise MedbenchError(f"unknown public cohort `{name}`. {nearest(name, MODULES)}")
    source: Source = import_module(MODULES[name]).SOURCE
    return source
