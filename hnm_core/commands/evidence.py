"""Evidence on label errors that the flags of ``hnm mine`` ask for: the crops, the model asked again, a second model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..io.model_names import read_model_names
from ..io.progress import Progress
from ..io.truth_files import TruthFiles
from ..result import MiningResult

__all__ = ["with_evidence_of"]


def with_evidence_of(
    args: argparse.Namespace, files: TruthFiles, result: MiningResult, progress: Progress
) -> tuple[MiningResult, dict[str, str], list[str]]:
    """Return the result with the evidence that the flags ask for.

    Returns:
        The result, further text files for its folder by name, and sentences on what was done.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if it is none, or not that of the predictions.
        ImportError: if a library is missing, naming it.
    """
    found: dict[str, Any] = {}
    pages: dict[str, str] = {}
    notes: list[str] = []
    twins = None
    if args.appearance:
        from ..evidence.appearance import appearance_evidence, describe_crops  # only who asks waits for Pillow
        from ..evidence.near_crops import twins_of

        crops = describe_crops(result, files.locate(), sizes=files.sizes)
        found["appearance"], twins = appearance_evidence(result, crops=crops), twins_of(result, crops)[0]
    if args.views:
        from ..evidence.label_suspects import suspects_csv, with_suspects
        from ..evidence.views import views_evidence
        from ..training.asking import ask_again
        from ..training.detecting import load_detector  # only who asks waits for torch

        weights = Path(args.views)
        if not weights.is_file():
            raise FileNotFoundError(f"--views {weights}: there is no such file; name the model of the predictions")
        names = read_model_names(args.prediction_names) if args.prediction_names else None
        asked = ask_again(
            load_detector(weights),
            weights,
            result,
            files.locate(),
            names=names,
            class_map=args.class_map,
            sizes=files.sizes,
            progress=progress,
        )
        told = views_evidence(result, dict(zip(asked.names, asked.tables, strict=True)))
        found |= told.kinds
        pages["label_suspects.csv"] = suspects_csv(result.truth, told.suspects)
        notes += [asked.cost, *told.notes]
        result = with_suspects(result, told.suspects)
    if result.second_predictions is not None:
        from ..evidence.second_model import agreement_evidence

        found["agreement"] = agreement_evidence(result, result.second_predictions)
    return result.with_evidence(found, twins), pages, notes
