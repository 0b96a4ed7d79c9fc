"""Turn confirmed missing labels into truth, in a copy of the truth field, and send them to an annotation tool.

The truth field itself is never changed, so that a training can always go back to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F

from ..runs import records
from ..settings import RunSettings
from ..store import access, blocks, checks, journal, schema, tags, views
from ..store.access import ObjectId, UpdateOne
from ..store.journal import FIELD
from ..store.lock import Lease, LeaseLost, lease
from ..store.updates import now
from . import accepted_proposals

SOURCE = "proposed_from"
"""Attribute of an accepted label: the id of the prediction that it came from."""

ROUND = "proposed_in"
"""Attribute of an accepted label: the field of that prediction and the run in which it was confirmed."""

CORRECTED = "corrected_as"
"""Attribute of a label of which the class or the box was taken from a prediction: the kinds of error it had."""

WRONG = ("wrong_label", "wrong_box", "bogus_label")
"""Reviews of a label that is there."""

DECLARED = (SOURCE, ROUND, CORRECTED)


def accept(dataset: fo.Dataset, run_key: str | None, output_field: str | None = None) -> dict[str, Any]:
    """Copy the truth field of a run, and add to the copy every prediction that was reviewed as a missing label.

    Args:
        dataset: the dataset.
        run_key: the run whose ``KEY_state`` holds the reviews.
        output_field: name of the copy; None for ``GT_FIELD_accepted``, with a number if that is taken. A run without
            ground truth has none to copy: the samples in which all is reviewed get the confirmed objects, in
            ``reviewed_truth``.

    Returns:
        ``output_field``, number of ``accepted`` labels, number of ``samples`` with them, and ``wrong_labels``: every
        object reviewed as such, with ``sample_id, filepath, field, label_id, label, error, near_id``.

    Raises:
        ValueError: if there is no such run, the field exists, or nothing is reviewed as a missing label.
    """
    settings = records.settings_of(dataset, run_key)
    name = check_output(dataset, settings, output_field)
    held_name = f"{FIELD}{name}"
    with (
        lease(dataset, held_name, operator="accept_missing_labels") as held,
        records.reading(dataset, settings.run_key),
    ):
        check_output(dataset, settings, name, stored=True)
        found = _to_add(dataset, settings)
        held.begin(held_name, "copying", {"fields": [name]})
        try:
            if settings.without_truth:
                accepted_proposals.write(held, dataset, settings, name, found, (SOURCE, ROUND))
            else:
                copy_truth(held, dataset, settings.gt_field, name, found)
        except LeaseLost:
            raise
        except BaseException:
            blocks.erase(held, dataset, [name])
            access.refresh(dataset)
            held.finish(held_name, {}, keep=False)
            raise
        held.finish(held_name, {}, keep=False)
    access.refresh(dataset)
    return {
        "output_field": name,
        "accepted": sum(map(len, found.values())),
        "samples": len(found),
        "wrong_labels": wrong_labels(dataset, settings),
    }


def copy_truth(
    held: Lease,
    dataset: fo.Dataset,
    field: str,
    name: str,
    proposals: Mapping[str, list[fo.Detection]],
    *,
    keep: bool = False,
) -> None:
    """Write the copy: the truth, and the new boxes after those of each sample.

    What runs wrote on the truth is not copied; with ``keep`` it is, but for their tags, and the samples do not count as
    modified.
    """
    attributes = [] if keep else run_attributes(dataset)
    blocks.erase(held, dataset, [name])  # of an accepting that was interrupted
    schema.declare_copy(held, dataset, field, name, attributes, dict.fromkeys(DECLARED, (fo.StringField, "")))
    blocks.copy(held, dataset, field, name, attributes, stamp=not keep)
    tagged = {
        pair: was for record in records.listed(dataset) for pair, was in records.tagged_by(dataset, record).items()
    }
    gone = {(name, i): was for (of_field, i), was in tagged.items() if of_field == field}
    tags.untag(held, dataset, gone, stamp=not keep)
    absent = {"_cls": "Detections", "detections": []}
    ids = [ObjectId(i) for i in proposals]
    blocks.change_those(held, dataset, ids, {name: None}, {"$set": {name: absent}})
    blocks.change_those(held, dataset, ids, {f"{name}.detections": None}, {"$set": {f"{name}.detections": []}})
    pushed = {i: {f"{name}.detections": {"$each": [box.to_dict() for box in boxes]}} for i, boxes in proposals.items()}
    blocks.write(
        held,
        dataset,
        [UpdateOne({"_id": ObjectId(i)}, {"$push": change, "$set": now()}) for i, change in pushed.items()],
    )


def run_attributes(dataset: fo.Dataset) -> list[str]:
    """Return the attributes that runs wrote on boxes."""
    written = [path for record in records.listed(dataset) for path in record.fields]
    return sorted({path.rpartition(".")[2] for path in written if "." in path})


def check_output(
    dataset: fo.Dataset, settings: RunSettings, output_field: str | None = None, *, stored: bool = False
) -> str:
    """Return the name of the copy; that of a copy that was never finished may be given again.

    With ``stored``, values that are not declared count, too.

    Raises:
        ValueError: if the dataset has such a field, or the name cannot be one.
    """
    name = schema.check_name(output_field or free_field(dataset, settings), "output_field")
    begun = is_begun(dataset, name)
    if not begun and dataset.get_field(name) is not None:
        raise ValueError(f"field {name!r} exists: choose another output_field, or delete the field first")
    if stored and not begun and (problem := schema.in_the_way(dataset, [name], ())):
        raise ValueError(f"{problem}: choose another output_field")
    checks.check_fields(views.images_of(dataset), settings.pred_field, settings.gt_field)
    return name


def free_field(dataset: fo.Dataset, settings: RunSettings) -> str:
    """Return a name for the copy that no field has: ``ground_truth_accepted``, then ``ground_truth_accepted_2``."""
    stem = "reviewed_truth" if settings.without_truth else schema.beside(settings.gt_field, "accepted")
    return records.free_name(stem, dataset.get_field_schema())


def check_confirmed(dataset: fo.Dataset, settings: RunSettings) -> Any:
    """Return the predictions that were reviewed as missing labels, and their samples, as a view.

    Of a run without ground truth all that are reviewed: :func:`.accepted_proposals.labelled` looks further.

    Raises:
        ValueError: if there is none.
    """
    state, wanted = (
        F(f"{settings.run_key}_state"),
        "reviewed" if settings.without_truth else "reviewed as missing_label",
    )
    confirmed = state.exists() & (state != "unreviewed") if settings.without_truth else state == "missing_label"
    found = views.images_of(dataset).filter_labels(settings.pred_field, confirmed)
    if not found.limit(1).count():
        raise ValueError(
            f"no prediction of run {settings.run_key!r} is {wanted}: review some first "
            f"(triage_hard_negatives, or Review in the panel)"
        )
    return found


def _to_add(dataset: fo.Dataset, settings: RunSettings) -> dict[str, list[Any]]:
    """Return what becomes a label, by the ids of the samples."""
    confirmed = check_confirmed(dataset, settings)
    if settings.without_truth:
        return accepted_proposals.labelled(dataset, settings)
    columns = confirmed.values(["id", f"{settings.pred_field}.detections"])
    return {i: [label_of(box, settings) for box in boxes] for i, boxes in zip(*columns, strict=True)}


def wrong_labels(dataset: fo.Dataset, settings: RunSettings) -> list[dict[str, Any]]:
    """Return every object of a run whose label was reviewed as wrong, but is not missing."""
    key, found = settings.run_key, []
    for field in (settings.pred_field, settings.gt_field):
        view = views.images_of(dataset).filter_labels(field, F(f"{key}_state").is_in(WRONG))
        names = {"label_id": "id", "label": "label", "error": f"{key}_error", "near_id": f"{key}_near_id"}
        columns = view.values(["id", "filepath", *(f"{field}.detections.{path}" for path in names.values())])
        for sample_id, filepath, *lists in zip(*columns, strict=True):
            place = {"sample_id": sample_id, "filepath": filepath, "field": field}
            found += [place | dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
    return found


def to_annotate(dataset: fo.Dataset, run_key: str | None, output_field: str) -> Any:
    """Return the samples with missing or wrong labels, as a view for an annotator.

    Raises:
        ValueError: if there is no such run or field.
    """
    settings, samples = records.settings_of(dataset, run_key), views.images_of(dataset)
    checks.check_fields(samples, output_field)
    state = f"{settings.run_key}_state"
    with_errors = [
        F(f"{field}.detections").filter(F(state).is_in(["missing_label", *WRONG])).length() > 0
        for field in (settings.pred_field, settings.gt_field)
    ]
    return samples.match(with_errors[0] | with_errors[1])


def annotate(
    dataset: fo.Dataset,
    run_key: str | None,
    output_field: str,
    anno_key: str,
    *,
    backend: str | None = None,
    **options: Any,
) -> Any:
    """Send the samples with accepted or wrong labels to an annotation tool, with the accepted labels as proposals.

    FiftyOne's own ``annotate`` does it, and ``dataset.load_annotations(anno_key)`` reads the result back into
    ``output_field``.

    Args:
        dataset: the dataset.
        run_key: the run that was reviewed.
        output_field: the copy that :func:`accept` made.
        anno_key: name of FiftyOne's annotation run.
        backend: ``cvat``, ``labelstudio`` or another tool of FiftyOne's configuration; None for its default.
        options: options of the tool, such as ``url``, ``username``, ``launch_editor``.

    Returns:
        FiftyOne's annotation results.
    """
    view = to_annotate(dataset, run_key, output_field)
    return view.annotate(anno_key, label_field=output_field, backend=backend, **options)


def label_of(box: Any, settings: RunSettings) -> fo.Detection:
    """Return a prediction as a label: its box and class, and where it came from."""
    return fo.Detection(
        label=settings.class_map.get(box.label, box.label),
        bounding_box=list(box.bounding_box),
        **{SOURCE: box.id, ROUND: f"{settings.pred_field} {settings.run_key}"},
    )


def new_label(label: str, bounding_box: Sequence[float]) -> dict[str, Any]:
    """Return a label of this class and box as FiftyOne stores it, without an id."""
    made = fo.Detection(label=label, bounding_box=list(bounding_box)).to_dict()
    return {name: value for name, value in made.items() if name != "_id"}


def is_begun(dataset: fo.Dataset, name: str, state: str = "copying") -> bool:
    """Return whether a copy of this name was begun and never finished."""
    note = journal.read(dataset, f"{FIELD}{name}")
    return note is not None and note.state == state
