"""More like this: from a run's hard negatives to the images of an unlabelled pool that resemble them.

Embeddings are given, by a similarity index of FiftyOne Brain or by a field; nothing is embedded here. An image is as
near as its nearest hard negative: the mean of many different mistakes resembles none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min

from . import runs, views, writeback
from .settings import RunSettings

FIELD = "distance"
"""``KEY_distance`` of a sample: cosine distance to the nearest hard negative, only of those that were found."""

MOST = 100


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of images, or of the objects of a field.

    Attributes:
        vectors: ``(n, d)`` float.
        sample_ids: ``(n,)`` ids of the samples.
        label_ids: ``(n,)`` ids of the objects, or None for whole images.
        field: field of the objects, or None.
    """

    vectors: NDArray[np.float64]
    sample_ids: NDArray[Any]
    label_ids: NDArray[Any] | None = None
    field: str | None = None


def find_similar(
    dataset: Any,
    run_key: str | None,
    *,
    brain_key: str | None = None,
    embeddings_field: str | None = None,
    pool_tag: str | None = None,
    k: int = MOST,
    tag: str | None = None,
    progress: Callable[[float, str], None] = lambda share, label: None,
) -> dict[str, Any]:
    """Find the images of a pool that are most like the hard negatives of a run, and write how near they are.

    The hard negatives that a person confirmed, or all mined ones where nobody has looked. Held-out samples are never
    in the pool.

    Args:
        dataset: the dataset of the run and of the pool.
        run_key: whose hard negatives.
        brain_key: a similarity index of images, or of the objects of the run's fields (``patches_field``).
        embeddings_field: a field of vectors, where there is no index.
        pool_tag: the samples with this tag are the pool; None for those without ground truth.
        k: at most so many images.
        tag: a tag for the images found; None for none.
        progress: told the share done, and what is being done.

    Returns:
        ``run_key``, numbers of ``queries, pool`` and ``found``, and ``warnings``; JSON-clean.

    Raises:
        ValueError: in one sentence, if there is nothing to compare.
    """
    settings, _ = runs.load(dataset, run_key)
    if k < 1:
        raise ValueError(f"k must be 1 or more images, got {k}")
    progress(0.0, "Reading embeddings")
    embedded = read_embeddings(dataset, brain_key, embeddings_field)
    mined, objects, confirmed = _hard(dataset, settings, embedded.field)
    pool = _pool(dataset, settings, pool_tag, mined)
    whole = embedded.label_ids is None
    asked = np.isin(embedded.sample_ids, mined) if whole else np.isin(np.asarray(embedded.label_ids), objects)
    offered = np.isin(embedded.sample_ids, pool)
    if not asked.any() or not offered.any():
        what = f"{len(objects or mined)} hard negatives" if not asked.any() else f"{len(pool)} images of the pool"
        raise ValueError(f"none of the {what} has an embedding: embed them, or choose other embeddings")
    progress(0.3, "Comparing")
    _, near = pairwise_distances_argmin_min(embedded.vectors[offered], embedded.vectors[asked], metric="cosine")
    ids, best = _per_sample(embedded.sample_ids[offered], near)
    order = np.argsort(best, kind="stable")[:k]
    progress(0.9, "Writing distances")
    _write(dataset, settings.run_key, dict(zip(ids[order].tolist(), best[order].tolist(), strict=True)))
    if tag:
        similar(dataset, settings.run_key).tag_samples(tag)
    progress(1.0, "Done")
    without = len(pool) - len(ids)
    source = "confirmed by a person" if confirmed else "as they were mined: nobody has confirmed any yet"
    return {
        "run_key": settings.run_key,
        "queries": int(asked.sum()),
        "pool": len(pool),
        "found": len(order),
        "warnings": [
            f"compared with {int(asked.sum())} hard negatives, {source}",
            *([f"{without} of {len(pool)} images of the pool have no embedding and were left out"] if without else []),
        ],
    }


def similar(samples: Any, run_key: str) -> Any:
    """The images that were found, nearest first."""
    return views.images_of(samples).exists(f"{run_key}_{FIELD}").sort_by(f"{run_key}_{FIELD}")


def indexes(dataset: Any) -> list[str]:
    """The dataset's similarity indexes."""
    return list(dataset.list_brain_runs(type="similarity"))


def vector_fields(dataset: Any) -> list[str]:
    """The dataset's fields of vectors."""
    return [*dataset.get_field_schema(ftype=fo.VectorField), *dataset.get_field_schema(ftype=fo.ArrayField)]


def check_source(dataset: Any, brain_key: str | None, embeddings_field: str | None) -> None:
    """Refuse sources of embeddings that are none.

    Raises:
        ValueError: naming those there are.
    """
    known, vectors = indexes(dataset), vector_fields(dataset)
    here = f"indexes here: {', '.join(known) or 'none'}; fields of vectors: {', '.join(vectors) or 'none'}"
    if not brain_key and not embeddings_field:
        cure = "make one with fiftyone.brain.compute_similarity(dataset, brain_key=...)"
        raise ValueError(f"name a brain_key, a similarity index, or an embeddings_field ({here}); {cure}")
    if brain_key and brain_key not in known:
        raise ValueError(f"dataset {dataset.name!r} has no similarity index {brain_key!r} ({here})")
    if not brain_key and embeddings_field not in vectors:
        raise ValueError(f"{embeddings_field!r} is no field of vectors ({here})")


def read_embeddings(dataset: Any, brain_key: str | None, embeddings_field: str | None) -> Embedded:
    """The embeddings of a similarity index, or else of a field.

    Raises:
        ValueError: if there are none.
    """
    check_source(dataset, brain_key, embeddings_field)
    if brain_key:
        index = dataset.load_brain_results(brain_key)
        vectors, sample_ids, label_ids = index.get_embeddings()
        return Embedded(_table(vectors), np.asarray(sample_ids), label_ids, index.config.patches_field)
    ids, vectors = views.images_of(dataset).exists(embeddings_field).values(["id", embeddings_field])
    return Embedded(_table(vectors), np.array(ids, dtype="U24"))


def _table(vectors: Any) -> NDArray[np.float64]:
    if not len(vectors):
        raise ValueError("no image has an embedding there: embed the images, or choose other embeddings")
    table = np.asarray(vectors, dtype=np.float64)
    return table.reshape(len(table), -1)


def _hard(dataset: Any, settings: RunSettings, field: str | None) -> tuple[list[str], list[str], bool]:
    """Ids of the samples and objects that are looked for, and whether a person confirmed them."""
    images, state = views.images_of(dataset), f"{settings.run_key}_state"
    fields = [settings.pred_field, settings.gt_field]
    if field is not None and field not in fields:
        raise ValueError(f"the index is of objects of {field!r}; run {settings.run_key!r} mined {' and '.join(fields)}")
    for confirmed, wanted in ((True, F(state) == "hard_negative"), (False, F(state).is_in(["unreviewed"]))):
        samples, objects = set(), []
        for name in fields if field is None else [field]:
            ids, labels = images.filter_labels(name, wanted).values(["id", f"{name}.detections.id"])
            samples.update(ids)
            objects += [label for some in labels for label in some or ()]
        if samples:
            return sorted(samples), objects, confirmed
    raise ValueError(f"run {settings.run_key!r} has no hard negative to look for")


def _pool(dataset: Any, settings: RunSettings, pool_tag: str | None, mined: Sequence[str]) -> list[str]:
    samples = views.of_split(views.images_of(dataset), "train", settings.split_field)
    samples = samples.match_tags(pool_tag) if pool_tag else samples.exists(settings.gt_field, False)
    known = set(mined)
    pool = [sample_id for sample_id in samples.values("id") if sample_id not in known]
    if not pool:
        what = f"with tag {pool_tag!r}" if pool_tag else f"without {settings.gt_field!r}"
        raise ValueError(
            f"there is no pool: no sample {what} that is not held out; add unlabelled images, or name a pool_tag"
        )
    return pool


def _per_sample(sample_ids: NDArray[Any], near: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Each sample once, as near as its nearest object."""
    ids, row = np.unique(sample_ids, return_inverse=True)
    best = np.full(len(ids), np.inf)
    np.minimum.at(best, row, near)
    return ids, best


def _write(dataset: Any, key: str, distances: dict[str, float]) -> None:
    name = f"{key}_{FIELD}"
    runs.claim(dataset, key, FIELD, [name])
    text = "Cosine distance of the embeddings to the nearest hard negative of the run"
    writeback.declare(dataset, {name: (fo.FloatField, text)})
    views.images_of(dataset).set_values(name, distances, key_field="id")
