"""Find similar images: search an unlabelled pool for images similar to a run's hard negatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress

from ..actions import similar
from ..app.icons import icons
from ..forms import parts, results
from ..store import access, checks
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext

OPTIONS = ("brain_key", "embeddings_field", "pool_tag", "k", "tag")

FIRST = 1000
"""Number of samples whose tags the form offers."""


class FindSimilarImages(LongOperator):
    """Show the images of a pool that are most similar to a run's hard negatives: candidates to label next."""

    takes = (similar.find_similar,)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="find_similar_images",
            label="Find similar images",
            description="Find unlabelled images that are similar to a run's hard negatives, to label them next",
            **icons("similar"),
            risk_level="medium",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str, **options: Any) -> dict[str, Any]:
        """Find from Python, and return how many images were found.

        Args:
            samples: the dataset that was mined.
            run_key: the run whose hard negatives are the examples.
            **options: ``brain_key`` or ``embeddings_field``, and which images are searched.
        """
        return similar.find_similar(access.root(samples), run_key, **options)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs, besides=("searching",)):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Find similar images"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Find."""
        given = {name: ctx.params[name] for name in OPTIONS if ctx.params.get(name) not in (None, "")}
        return similar.find_similar(ctx.dataset, ctx.params.get("run_key"), **given, progress=progress)

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the images that were found, nearest first."""
        yield ctx.ops.reload_dataset()
        yield ctx.ops.set_view(view=similar.similar(ctx.dataset, ctx.params.get("run_key")))

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return how many were found."""
        return results.finished(ctx, "Similar images found", _show)


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    results.notes(outputs, outcome["warnings"])
    found, pool = outcome["found"], outcome["pool"]
    outputs.md(f"The grid shows the nearest {found:,} of {pool:,} images, nearest first.", name="shown")


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    known, vectors = similar.indexes(ctx.dataset), similar.vector_fields(ctx.dataset)
    first, field = next(iter(known), None), next(iter(vectors), None)
    if known:
        what = "Index of FiftyOne Brain, of the images or of the objects of a field"
        parts.choose(inputs, "brain_key", known, first, "Similarity index", what)
    elif vectors:
        parts.choose(inputs, "embeddings_field", vectors, field, "Embeddings", "Field of vectors, one per image")
    tags = types.AutocompleteView(allow_user_input=True)
    for tag in checks.first_values(ctx.dataset, "tags", FIRST):
        tags.add_choice(tag, label=tag)
    what = "Search the samples with this tag; empty: those without ground truth. Never val or test"
    inputs.str("pool_tag", label="Pool", required=False, description=what, view=tags)
    what = "Number of images to find"
    inputs.int("k", label="How many", default=similar.MOST, min=1, max=100_000, required=False, description=what)
    what = "Tag for the images found, such as to_label; it stays when the run is deleted"
    inputs.str("tag", label="Tag", required=False, description=what)
    try:
        similar.check_source(ctx.dataset, ctx.params.get("brain_key", first), ctx.params.get("embeddings_field", field))
    except ValueError as error:
        parts.refuse(inputs, str(error))
