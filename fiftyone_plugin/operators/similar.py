"""Find similar images: more like a run's hard negatives, from an unlabelled pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import checks, forms, similar
from ..icons import icons
from .long import LongOperator, Say

OPTIONS = ("brain_key", "embeddings_field", "pool_tag", "k", "tag")

FIRST = 1000
"""Samples whose tags the form offers."""


class FindSimilarImages(LongOperator):
    """Show the images of a pool that resemble a run's hard negatives most: what to label next."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="find_similar_images",
            label="Find similar images",
            description="Find unlabelled images that resemble a run's hard negatives, to label them next",
            **icons("similar"),
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, **options: Any) -> dict[str, Any]:
        """Find from Python; ``brain_key`` or ``embeddings_field``, and ``pool_tag, k, tag`` may be named."""
        return similar.find_similar(samples._root_dataset, run_key, **options)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Find similar images"))

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Find."""
        given = {name: ctx.params[name] for name in OPTIONS if ctx.params.get(name) not in (None, "")}
        return similar.find_similar(ctx.dataset, ctx.params.get("run_key"), **given, progress=progress)

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """What was found, nearest first."""
        yield ctx.ops.reload_dataset()
        yield ctx.ops.set_view(view=similar.similar(ctx.dataset, ctx.params.get("run_key")))

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """How many were found."""
        return forms.finished(ctx, "Similar images found", _show)


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    forms.notes(outputs, outcome["warnings"])
    found, pool = outcome["found"], outcome["pool"]
    outputs.md(f"The grid shows the nearest {found:,} of {pool:,} images, nearest first.", name="shown")


def _ask(ctx: Any, inputs: types.Object) -> None:
    known, vectors = similar.indexes(ctx.dataset), similar.vector_fields(ctx.dataset)
    first, field = next(iter(known), None), next(iter(vectors), None)
    if known:
        what = "FiftyOne Brain's index of the images, or of the objects of a field"
        forms.choose(inputs, "brain_key", known, first, "Similarity index", what)
    elif vectors:
        forms.choose(inputs, "embeddings_field", vectors, field, "Embeddings", "Field of vectors, one an image")
    tags = types.AutocompleteView(allow_user_input=True)
    for tag in checks.first_values(ctx.dataset, "tags", FIRST):
        tags.add_choice(tag, label=tag)
    what = "The samples to search: those with this tag, or empty for those without ground truth; never val or test"
    inputs.str("pool_tag", label="Pool", required=False, description=what, view=tags)
    what = "Images to find"
    inputs.int("k", label="How many", default=similar.MOST, min=1, max=100_000, required=False, description=what)
    what = "A tag for the images found, such as to_label; stays when the run is deleted"
    inputs.str("tag", label="Tag", required=False, description=what)
    try:
        similar.check_source(ctx.dataset, ctx.params.get("brain_key", first), ctx.params.get("embeddings_field", field))
    except ValueError as error:
        forms.refuse(inputs, str(error))
