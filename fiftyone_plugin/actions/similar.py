"""Find the images of an unlabelled pool that are most similar to a run's hard negatives.

Embeddings come from a similarity index of FiftyOne Brain or from a field; none are computed here. The distance of an
image is that to its nearest hard negative: the mean of many different mistakes is similar to none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min

from hnm_core.io.progress import Progress, silent

from ..runs import claims, records
from ..settings import RunSettings
from ..store import blocks, schema, tags, views
from ..store.journal import RUN
from ..store.lock import Lease, lease

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

FIELD = "distance"
"""``KEY_distance`` of a sample that was found: cosine distance to the nearest hard negative."""

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
    dataset: fo.Dataset,
    run_key: str | None,
    *,
    brain_key: str | None = None,
    embeddings_field: str | None = None,
    pool_tag: str | None = None,
    k: int = MOST,
    tag: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Find the images of a pool that are most similar to the hard negatives of a run, and write their distances.

    The hard negatives are those that were reviewed as such, or all mined ones if there are none. Held-out samples are
    never in the pool.

    Args:
        dataset: the dataset of the run and of the pool.
        run_key: the run whose hard negatives to compare with.
        brain_key: a similarity index of images, or of the objects of the run's fields (``patches_field``).
        embeddings_field: a field of vectors, used if there is no index.
        pool_tag: tag of the samples in the pool; None for the samples without ground truth.
        k: how many images to find at most.
        tag: a tag for the images found; None for none.
        progress: called with the share done, in [0, 1], and a label.

    Returns:
        ``run_key``, numbers of ``queries, pool`` and ``found``, and ``warnings``; JSON-clean.

    Raises:
        ValueError: if there is nothing to compare.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more images, got {k}")
    with lease(dataset, f"{RUN}{run_key}", operator="find_similar_images") as held:
        settings, _ = records.load(dataset, run_key, besides=("searching",))
        progress(0.0, "Reading embeddings")
        embedded = read_embeddings(dataset, brain_key, embeddings_field)
        mined, objects, confirmed = _hard(dataset, settings, embedded.field)
        pool = _pool(dataset, settings, pool_tag, mined)
        whole = embedded.label_ids is None
        queries = np.isin(embedded.sample_ids, mined) if whole else np.isin(np.asarray(embedded.label_ids), objects)
        in_pool = np.isin(embedded.sample_ids, pool)
        if not queries.any() or not in_pool.any():
            what = f"{len(objects or mined)} hard negatives" if not queries.any() else f"{len(pool)} images of the pool"
            raise ValueError(f"none of the {what} has an embedding: compute embeddings, or choose others")
        progress(0.3, "Comparing")
        _, near = pairwise_distances_argmin_min(embedded.vectors[in_pool], embedded.vectors[queries], metric="cosine")
        ids, best = _per_sample(embedded.sample_ids[in_pool], near)
        order = np.argsort(best, kind="stable")[:k]
        progress(0.9, "Writing distances")
        _write(held, dataset, settings.run_key, dict(zip(ids[order].tolist(), best[order].tolist(), strict=True)), tag)
    progress(1.0, "Done")
    without = len(pool) - len(ids)
    source = "reviewed as such" if confirmed else "as mined: none is reviewed as hard_negative yet"
    return {
        "run_key": settings.run_key,
        "queries": int(queries.sum()),
        "pool": len(pool),
        "found": len(order),
        "warnings": [
            f"compared with {int(queries.sum())} hard negatives, {source}",
            *(
                [f"{without} of {len(pool)} images of the pool have no embedding and were not compared"]
                if without
                else []
            ),
        ],
    }


def similar(samples: SampleCollection, run_key: str) -> Any:
    """Return the images that were found, nearest first."""
    return views.images_of(samples).exists(f"{run_key}_{FIELD}").sort_by([(f"{run_key}_{FIELD}", 1), ("id", 1)])


def indexes(dataset: fo.Dataset) -> list[str]:
    """Return the keys of the dataset's similarity indexes."""
    return list(dataset.list_brain_runs(type="similarity"))


def vector_fields(dataset: fo.Dataset) -> list[str]:
    """Return the names of the dataset's fields of vectors."""
    return [*dataset.get_field_schema(ftype=fo.VectorField), *dataset.get_field_schema(ftype=fo.ArrayField)]


def check_source(dataset: fo.Dataset, brain_key: str | None, embeddings_field: str | None) -> None:
    """Refuse a source of embeddings that does not exist.

    Raises:
        ValueError: naming those that exist.
    """
    known, vectors = indexes(dataset), vector_fields(dataset)
    here = f"indexes here: {', '.join(known) or 'none'}; fields of vectors: {', '.join(vectors) or 'none'}"
    if not brain_key and not embeddings_field:
        cure = "make one with fiftyone.brain.compute_similarity(dataset, brain_key=...)"
        raise ValueError(f"name a brain_key, a similarity index, or an embeddings_field ({here}); {cure}")
    if brain_key and brain_key not in known:
        raise ValueError(f"dataset {dataset.name!r} has no similarity index {brain_key!r} ({here})")
    if not brain_key and embeddings_field not in vectors:
        raise ValueError(f"{embeddings_field!r} is not a field of vectors ({here})")


def read_embeddings(dataset: fo.Dataset, brain_key: str | None, embeddings_field: str | None) -> Embedded:
    """Return the embeddings of a similarity index or of a field.

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
        raise ValueError("no image has an embedding there: compute embeddings, or choose others")
    table = np.asarray(vectors, dtype=np.float64)
    return table.reshape(len(table), -1)


def _hard(dataset: fo.Dataset, settings: RunSettings, field: str | None) -> tuple[list[str], list[str], bool]:
    """Return the ids of the samples and objects to compare with, and whether they were reviewed as hard negatives."""
    images, state = views.images_of(dataset), f"{settings.run_key}_state"
    fields = [settings.pred_field, settings.gt_field]
    if field is not None and field not in fields:
        raise ValueError(
            f"the index contains objects of {field!r}, but run {settings.run_key!r} mined {' and '.join(fields)}"
        )
    for confirmed, wanted in ((True, F(state) == "hard_negative"), (False, F(state).is_in(["unreviewed"]))):
        samples, objects = set(), []
        for name in fields if field is None else [field]:
            ids, labels = images.filter_labels(name, wanted).values(["id", f"{name}.detections.id"])
            samples.update(ids)
            objects += [label for some in labels for label in some or ()]
        if samples:
            return sorted(samples), objects, confirmed
    raise ValueError(f"run {settings.run_key!r} has no hard negative to compare with")


def _pool(dataset: fo.Dataset, settings: RunSettings, pool_tag: str | None, mined: Sequence[str]) -> list[str]:
    samples = views.of_split(views.images_of(dataset), "train", settings.split_field)
    samples = samples.match_tags(pool_tag) if pool_tag else samples.exists(settings.gt_field, False)
    known = set(mined)
    pool = [sample_id for sample_id in samples.values("id") if sample_id not in known]
    if not pool:
        what = f"with tag {pool_tag!r}" if pool_tag else f"without {settings.gt_field!r}"
        raise ValueError(
            f"the pool is empty: no sample {what} is outside val and test; add unlabelled images, or name "
            f"another pool_tag"
        )
    return pool


def _per_sample(sample_ids: NDArray[Any], near: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return every sample once, with the smallest distance of its objects."""
    ids, row = np.unique(sample_ids, return_inverse=True)
    best = np.full(len(ids), np.inf)
    np.minimum.at(best, row, near)
    return ids, best


def _write(held: Lease, dataset: fo.Dataset, key: str, distances: dict[str, float], tag: str | None) -> None:
    name, record = f"{key}_{FIELD}", records.find(dataset, key)
    claims.claim(held, dataset, record, "searching", FIELD, [name])
    text = "Cosine distance of the embedding to the nearest hard negative of the run"
    schema.declare(held, dataset, {name: (fo.FloatField, text)})
    blocks.set_column(held, dataset, name, distances)
    if tag:
        tags.tag_samples(held, dataset, list(distances), tag)
    claims.finish_claim(held, dataset, record, FIELD, [name])
