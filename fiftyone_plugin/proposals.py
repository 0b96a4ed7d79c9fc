"""Confirmed missing labels → truth, in a copy of the truth field, and from there to an annotation tool.

The truth itself is never touched: whoever trains on the copy can always go back.
"""

from __future__ import annotations

from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F

from . import checks, runs, views, writeback
from .settings import RunSettings
from .writeback import Tagged

SOURCE = "proposed_from"
"""Attribute of an accepted label: the id of the prediction that it was."""

ROUND = "proposed_in"
"""Attribute of an accepted label: the field of that prediction and the run in which it was confirmed."""

DECLARED = (SOURCE, ROUND)


def accept(dataset: Any, run_key: str | None, output_field: str | None = None) -> dict[str, Any]:
    """Copy the truth field of a run, and add to it every prediction that a person called a missing label.

    Args:
        dataset: the dataset.
        run_key: the run whose ``KEY_state`` says what was confirmed.
        output_field: name of the copy; None for the truth field's with ``_accepted`` behind it, counted on.

    Returns:
        ``output_field``, ``accepted`` (how many), ``samples`` that hold them, and ``wrong_labels``: every object whose
        label was called wrong, for somebody to mend, ``sample_id, filepath, field, label_id, label, error, near_id``.

    Raises:
        ValueError: if there is no such run, the field exists, or no missing label was confirmed.
    """
    settings = runs.settings_of(dataset, run_key)
    name = check_output(dataset, settings, output_field)
    view = check_confirmed(dataset, settings)
    found = view.values(["id", f"{settings.pred_field}.detections"])
    dataset.clone_sample_field(settings.gt_field, name)
    writeback.erase(dataset, _attributes(dataset, name))
    tagged = runs.tagged_by(dataset, runs.keys(dataset)).labels
    writeback.untag(dataset, Tagged([], [(name, label_id) for field, label_id in tagged if field == settings.gt_field]))
    for attribute in DECLARED:
        dataset.add_sample_field(f"{name}.detections.{attribute}", fo.StringField)
    proposals = {i: [_label(box, settings) for box in boxes] for i, boxes in zip(*found, strict=True)}
    for sample in views.images_of(dataset).select(list(proposals)).select_fields(name).iter_samples(autosave=True):
        labels = sample[name] or fo.Detections()
        labels.detections.extend(proposals[sample.id])
        sample[name] = labels
    return {
        "output_field": name,
        "accepted": sum(map(len, proposals.values())),
        "samples": len(proposals),
        "wrong_labels": wrong_labels(dataset, settings),
    }


def check_output(dataset: Any, settings: RunSettings, output_field: str | None = None) -> str:
    """The name of the copy.

    Raises:
        ValueError: if the dataset has such a field.
    """
    name = output_field or free_field(dataset, settings)
    if dataset.get_field(name) is not None:
        raise ValueError(f"field {name!r} exists: choose another output_field, or delete it first")
    checks.check_fields(views.images_of(dataset), settings.pred_field, settings.gt_field)
    return name


def free_field(dataset: Any, settings: RunSettings) -> str:
    """A name for the copy that no field has yet: ``ground_truth_accepted``, then ``ground_truth_accepted_2``."""
    return runs.free_name(f"{settings.gt_field}_accepted", dataset.get_field_schema())


def check_confirmed(dataset: Any, settings: RunSettings) -> Any:
    """The predictions that a person called missing labels, and their samples, as a view.

    Raises:
        ValueError: if there is none.
    """
    confirmed = F(f"{settings.run_key}_state") == "missing_label"
    found = views.images_of(dataset).filter_labels(settings.pred_field, confirmed)
    if not found.limit(1).count():
        raise ValueError(
            f"no prediction of run {settings.run_key!r} is reviewed as missing_label yet: review some first "
            f"(triage_hard_negatives, or Review in the panel)"
        )
    return found


def wrong_labels(dataset: Any, settings: RunSettings) -> list[dict[str, Any]]:
    """Every object of a run whose label a person called wrong."""
    key, found = settings.run_key, []
    for field in (settings.pred_field, settings.gt_field):
        view = views.images_of(dataset).filter_labels(field, F(f"{key}_state") == "wrong_label")
        names = {"label_id": "id", "label": "label", "error": f"{key}_error", "near_id": f"{key}_near_id"}
        columns = view.values(["id", "filepath", *(f"{field}.detections.{path}" for path in names.values())])
        for sample_id, filepath, *lists in zip(*columns, strict=True):
            place = {"sample_id": sample_id, "filepath": filepath, "field": field}
            found += [place | dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
    return found


def to_annotate(dataset: Any, run_key: str | None, output_field: str) -> Any:
    """The samples with accepted or wrong labels: what an annotator should see.

    Raises:
        ValueError: if there is no such run or field.
    """
    settings, samples = runs.settings_of(dataset, run_key), views.images_of(dataset)
    checks.check_fields(samples, output_field)
    state = f"{settings.run_key}_state"
    doubted = [
        F(f"{field}.detections").filter(F(state).is_in(["missing_label", "wrong_label"])).length() > 0
        for field in (settings.pred_field, settings.gt_field)
    ]
    return samples.match(doubted[0] | doubted[1])


def annotate(
    dataset: Any, run_key: str | None, output_field: str, anno_key: str, *, backend: str | None = None, **options: Any
) -> Any:
    """Send the samples with accepted or wrong labels to an annotation tool, with the accepted labels as proposals.

    FiftyOne's own ``annotate`` does it: ``backend`` is ``cvat``, ``labelstudio`` or whatever its configuration names,
    ``options`` are the backend's (``url``, ``username``, ``launch_editor``, ...), and
    ``dataset.load_annotations(anno_key)`` brings the answers back into ``output_field``.

    Args:
        dataset: the dataset.
        run_key: the run that was reviewed.
        output_field: the copy that :func:`accept` made.
        anno_key: what FiftyOne is to call the annotation run.
        backend: the tool; None for FiftyOne's default.
        options: what FiftyOne hands to the tool.

    Returns:
        FiftyOne's annotation results.
    """
    view = to_annotate(dataset, run_key, output_field)
    return view.annotate(anno_key, label_field=output_field, backend=backend, **options)


def _label(box: Any, settings: RunSettings) -> fo.Detection:
    """A prediction as truth: its box and class, and where it came from."""
    return fo.Detection(
        label=settings.class_map.get(box.label, box.label),
        bounding_box=list(box.bounding_box),
        **{SOURCE: box.id, ROUND: f"{settings.pred_field} {settings.run_key}"},
    )


def _attributes(dataset: Any, field: str) -> list[str]:
    """Paths of what runs wrote on the objects of a field that was copied."""
    written = [path for key in runs.keys(dataset) for path in dataset.get_run_info(key).config.fields]
    leaves = {path.rpartition(".")[2] for path in written if "." in path}
    return [f"{field}.detections.{leaf}" for leaf in sorted(leaves)]
