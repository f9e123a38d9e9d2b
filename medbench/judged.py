"""Judgements kept by the content of all that they follow from, so that a second session need not repeat them.

As with runs, identity serves reuse alone: what was accepted is compared anew in every session.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from medbench.identity import judging_fingerprint
from medbench.judge import evaluation_sets
from medbench.judgement import Judgement
from medbench.spec.records import Claim
from medbench.spec.runs import PlannedItem
from medbench.store import StoredRun
from medbench.writing import write_aside


class Judged:
    """A folder of judgements; what is damaged or of another version is as if it were not there.

    Args:
      folder: whose content can be made again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Judgement | None:
        """The judgement under a key."""
        try:
            kept = msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=_Kept)
            if hashlib.sha256(kept.judgement).hexdigest() != kept.sha256:
                return None
            return msgspec.json.decode(kept.judgement, type=Judgement)
        except (OSError, msgspec.MsgspecError):
            return None

    def put(self, key: str, judgement: Judgement) -> None:
        """Keep a judgement; a disk that is full or read-only keeps none, which loses nothing."""
        content = msgspec.json.encode(judgement)
        kept = _Kept(sha256=hashlib.sha256(content).hexdigest(), judgement=msgspec.Raw(content))
        try:
            write_aside(self._folder / f"{key}.json", msgspec.json.encode(kept))
        except OSError:
            return


class _Kept(msgspec.Struct, frozen=True):
    """A judgement with the digest of its bytes, so that no altered one is believed."""

    sha256: str
    judgement: msgspec.Raw


def key_of(
    planned: PlannedItem,
    claim: Claim,
    runs: Mapping[str, Mapping[int, StoredRun | None]],
    *,
    generated: bool,
    cluster: str,
) -> str:
    """What a judgement follows from, as 40 hex digits: claim, plan, bytes of the runs, and code.

    And whether runs were loaded; those that one session trained and the next one reuses are the same.

    Raises:
      MedbenchError: predictions that the judgement looks at are missing or altered.
    """
    looked_at = evaluation_sets(planned)
    made_of = {
        "code": judging_fingerprint(),
        "claim": claim,
        "planned": planned,
        "runs": [
            (arm, seed, run and (run.digest(looked_at), run.origin == "loaded"))
            for arm, by_seed in runs.items()
            for seed, run in by_seed.items()
        ],
        "cohort": (generated, cluster),
    }
    plain = msgspec.to_builtins(made_of, str_keys=True)
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()[:40]
