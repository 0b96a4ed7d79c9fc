"""Fit verifier: learn from a run and its reviews which detections are errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress, silent

from ..actions import export, verifier
from ..app.icons import icons
from ..forms import parts, results
from ..runs import records
from ..store import access
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class FitVerifier(LongOperator):
    """Write a verifier, which ranks detections where there is no ground truth."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="fit_verifier",
            label="Fit verifier",
            description="Learn from a run and its reviews which detections are errors, to rank unlabelled ones",
            **icons("similar"),
            risk_level="high",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(
        self, samples: SampleCollection, run_key: str, output_file: str, *, overwrite: bool = False
    ) -> dict[str, Any]:
        """Fit from Python, and return the file and how well the verifier tells errors.

        Args:
            samples: the dataset that was mined.
            run_key: the run whose right and wrong detections it learns from, as reviewed until now.
            output_file: file for the verifier, such as ``verifier.npz``.
            overwrite: replace a file of this name.
        """
        return _fit(access.root(samples), run_key, output_file, overwrite=overwrite)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            key = ctx.params.get("run_key") or records.newest(ctx.dataset)
            what = "File on the machine that runs FiftyOne; mine_without_truth and hnm watch take it as verifier"
            inputs.str("output_file", label="File", default=_free(ctx, key), required=False, description=what)
            file = Path(ctx.params.get("output_file") or _free(ctx, key)).expanduser()
            if file.exists():
                inputs.bool("overwrite", label="Replace the file of this name", default=False)
                if not ctx.params.get("overwrite"):
                    parts.refuse(inputs, _taken(file))
        return types.Property(inputs, view=types.View(label="Fit verifier"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Fit."""
        key = parts.needed(ctx, "run_key")
        file = ctx.params.get("output_file") or _free(ctx, key)
        return _fit(ctx.dataset, key, file, overwrite=ctx.params.get("overwrite") is True, progress=progress)

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return the quality."""
        return results.finished(ctx, "Verifier fitted", _show)


def _fit(
    dataset: Any, run_key: str, output_file: str, *, overwrite: bool, progress: Progress = silent
) -> dict[str, Any]:
    file = Path(output_file).expanduser()
    if file.exists() and not overwrite:
        raise FileExistsError(_taken(file))
    fitted = verifier.fit_verifier(dataset, run_key, file, progress)
    return {"run_key": run_key, "file": str(file), "quality": fitted.quality.as_dict(), "summary": str(fitted)}


def _taken(file: Path) -> str:
    return f"{file} exists: choose another output_file, or set overwrite to replace it"


def _free(ctx: ExecutionContext, key: str | None) -> str:
    folder = Path(export.free_dir(ctx.dataset, f"{key}_verifier"))
    return str(folder.with_name(f"{folder.name}.npz"))


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    outputs.md(f"`{outcome['file']}`\n\n```text\n{outcome['summary']}\n```", name="shown")
