"""The mining runs of a dataset: what the record of each holds, how it is found again, renamed and undone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import fiftyone.core.runs as fr

import hnm_core

from . import writeback
from .settings import RunSettings, check_key
from .writeback import Tagged

METHOD = "hard_negative_mining"
"""What the runs of this plugin are called in ``dataset.list_runs(method=...)``."""


class MiningRunConfig(fr.RunConfig):
    """What a run was asked, and the fields that it owns.

    Attributes:
        pred_field: field of the predictions.
        gt_field: field of the ground truth.
        mine_split: the split that was mined.
        slices: names of the group slices that were mined; none where the dataset has no groups.
        settings: every setting, as JSON text: class names may hold dots, which MongoDB's keys may not.
        engine_version: version of the engine.
        rates: false-alarm rate, false positives per image and so on, for trends over runs.
        overview: all that the panel shows of the run, as JSON text; kept here since results are large and load whole.
        fields: every field that the run wrote, and those that it was given since (:func:`claim`).
        comparison: what it was last compared with and how, as JSON text; None if it never was.
        finished: False while it is being written, and for ever if the writer was killed.
        weighed: when reviews were last applied to its weights, ISO 8601 in UTC; "" if never since it was mined.
    """

    def __init__(self, **kwargs: Any) -> None:
        absent = {"slices": [], "finished": False, "rates": {}, "overview": "", "comparison": None, "weighed": ""}
        super().__init__(**{"method": METHOD, **absent, **kwargs})

    @classmethod
    def of(cls, settings: RunSettings) -> MiningRunConfig:
        """The config of a run that is about to be written."""
        return cls(
            pred_field=settings.pred_field,
            gt_field=settings.gt_field,
            mine_split=settings.mine_split,
            settings=json.dumps(settings.as_dict()),
            engine_version=hnm_core.__version__,
            fields=list(writeback.fields_of(settings.run_key, settings)),
        )


class MiningRun(fr.Run):
    """Knows which fields and tags a run has put into the dataset, and takes them away again."""

    def get_fields(self, samples: Any, key: str) -> list[str]:
        """The fields that were read and written."""
        return [self.config.pred_field, self.config.gt_field, *self.config.fields]

    def rename(self, samples: Any, key: str, new_key: str) -> None:
        """Rename every field of the run with it; once only, since FiftyOne calls it again after :func:`rename`."""
        dataset = samples._root_dataset
        settings = settings_of(dataset, key)
        if settings.run_key == new_key:
            return
        renamed = {**settings.as_dict(), "run_key": check_key(new_key)}
        mapping = {path: _renamed(path, key, new_key) for path in self.config.fields if dataset.get_field(path)}
        dataset.rename_sample_fields(mapping)
        self.config.fields = list(mapping.values())
        self.config.settings = json.dumps(renamed)
        self.update_run_config(dataset, key, self.config)

    def cleanup(self, samples: Any, key: str) -> None:
        """Remove the fields that the run wrote, and its tags where no other run holds them."""
        dataset = samples._root_dataset
        writeback.erase(dataset, self.config.fields)
        mine, theirs = tagged_by(dataset, [key]), tagged_by(dataset, [k for k in keys(dataset) if k != key])
        writeback.untag(dataset, mine.without(theirs))


class MiningRunResults(fr.RunResults):
    """What a run found.

    Attributes:
        report: the report's ``as_dict()``.
        summary: the report as text.
        weight_notes: those of the report's notes that are about the weights.
        warnings: what the user should know about the data that was read, in sentences.
        objects: parallel lists over the confident predictions and the missed truths: ``label_id, sample_id, side,
            error, type, confidence, iou, difficulty, label, hard``; ``type`` is empty for what was not mined. Evidence
            that was asked for is a column more, see :mod:`fiftyone_plugin.evidence`.
        images: parallel lists over the mined samples: ``sample_id, repeats, hard, background``.
        classes: names of the classes, as the tables numbered them.
        tagged_samples: ids of the samples that this run tagged.
        tagged_labels: field and id of each label that this run tagged; older runs have ids alone.
    """

    COLUMNS = ("objects", "images", "classes", "tagged_samples", "tagged_labels")
    """Kept as JSON text, since FiftyOne's own encoder walks every single value in Python."""

    def serialize(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What is stored."""
        values = {name: getattr(self, name) for name in self.attributes()}
        return values | {name: json.dumps(values[name]) for name in self.COLUMNS}

    @classmethod
    def _from_dict(cls, d: dict[str, Any], samples: Any, config: Any, key: str) -> MiningRunResults:
        return cls(samples, config, key, **d | {name: json.loads(d.get(name, "[]")) for name in cls.COLUMNS})


def check_new(dataset: Any, settings: RunSettings, *, overwrite: bool = False, name: str = "run_key") -> None:
    """Refuse a key whose run or fields exist; ``name`` is what the user calls it, who can replace a ``run_key`` alone.

    Raises:
        ValueError: saying what stands in the way.
    """
    key = settings.run_key
    another = f"choose another {name}, such as {free_key(dataset)!r}"
    own: Iterable[str] = ()
    if key in dataset.list_runs():
        if key not in keys(dataset):
            raise ValueError(f"run {key!r} exists and was not made by this plugin: {another}")
        if not overwrite:
            replace_it = ", or set overwrite to replace it" if name == "run_key" else ""
            raise ValueError(f"run {key!r} exists: {another}{replace_it}")
        own = dataset.get_run_info(key).config.fields
    for path in writeback.fields_of(key, settings):
        if path not in own and dataset.get_field(path) is not None:
            raise ValueError(f"field {path!r} exists and belongs to no mining run: {another}")


def keys(dataset: Any) -> list[str]:
    """The keys of this plugin's runs."""
    return list(dataset.list_runs(method=METHOD))


def by_time(dataset: Any) -> list[str]:
    """The keys of this plugin's runs, the oldest first."""
    return sorted(keys(dataset), key=lambda key: dataset.get_run_info(key).timestamp)


def newest(dataset: Any) -> str | None:
    """The key of the last run, or None."""
    return max(keys(dataset), key=lambda key: dataset.get_run_info(key).timestamp, default=None)


def free_key(dataset: Any, stem: str = "hard_negatives") -> str:
    """The first key of the stem, then with a number, that no run has."""
    return free_name(stem, set(dataset.list_runs()))


def free_name(stem: str, taken: Collection[str]) -> str:
    """The stem, then the stem with a number, as soon as it is not taken."""
    names = (stem if n == 1 else f"{stem}_{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def check_key_exists(dataset: Any, key: str | None) -> str:
    """The key itself, if a run of this plugin has it.

    Raises:
        ValueError: naming the runs that exist.
    """
    existing = keys(dataset)
    if key in existing:
        return str(key)
    names = ", ".join(map(repr, existing))
    cure = f"runs are {names}" if names else "there is none yet, so mine first (mine_hard_negatives)"
    raise ValueError(f"dataset {dataset.name!r} has no mining run {key!r}: {cure}")


def settings_of(dataset: Any, key: str | None) -> RunSettings:
    """The settings of a finished or unfinished run."""
    stored = json.loads(dataset.get_run_info(check_key_exists(dataset, key)).config.settings)
    if stored.get("choose_thresholds"):  # older runs do not say which were chosen: all count as chosen
        stored.setdefault("chosen_confidence", stored["class_confidence"])
    return RunSettings.from_params(stored)


def both(dataset: Any, run_key: str | None, other_run_key: str | None) -> tuple[RunSettings, RunSettings]:
    """The settings of two runs."""
    return settings_of(dataset, run_key), settings_of(dataset, other_run_key)


def load(dataset: Any, key: str | None) -> tuple[RunSettings, MiningRunResults]:
    """Settings and results of a finished run.

    Raises:
        ValueError: if there is no such run, or its writer was killed midway.
    """
    settings = settings_of(dataset, key)
    check_finished(dataset.get_run_info(key).config, key)
    return settings, dataset.load_run_results(key, cache=False, load_view=False)


def check_finished(config: MiningRunConfig, key: str | None) -> None:
    """Refuse a run that is not there as a whole.

    Raises:
        ValueError: if its writer is at work, or was killed midway.
    """
    if not config.finished:
        raise ValueError(f"run {key!r} was interrupted while it was written: delete it, then mine again")


def revision(dataset: Any, key: str) -> tuple[str, ...]:
    """What changes whenever the results of a run are written."""
    info = dataset.get_run_info(key)
    return str(info.timestamp), info.config.weighed, str(info.config.finished)


def delete(dataset: Any, key: str) -> list[str]:
    """Undo a run: its fields, its tags where no other run holds them, its record. Returns the fields removed.

    FiftyOne's own ``delete_run`` forgets the record even if the cleanup fails; here the record outlives a failure, so
    that it can be tried again.
    """
    config = dataset.get_run_info(check_key_exists(dataset, key)).config
    MiningRun(config).cleanup(dataset, key)
    MiningRun.delete_run(dataset, key, cleanup=False)
    return list(config.fields)


def rename(dataset: Any, key: str, new_key: str) -> dict[str, str]:
    """Rename a run and its fields. Returns the fields, old name to new.

    FiftyOne's own ``rename_run`` gives the record its new name even if the fields kept their old; here nothing is
    renamed if anything can't be.

    Raises:
        ValueError: if there is no such run, or the new key is taken.
    """
    settings = settings_of(dataset, key)
    check_new(dataset, replace(settings, run_key=check_key(new_key)), name="new_run_key")
    info = dataset.get_run_info(key)
    before = list(info.config.fields)
    taken = [path for path in (_renamed(path, key, new_key) for path in before) if dataset.get_field(path) is not None]
    if taken:
        raise ValueError(f"field {taken[0]!r} exists and belongs to no mining run: choose another new_run_key")
    MiningRun(info.config).rename(dataset, key, new_key)
    dataset.rename_run(key, new_key)
    for other in keys(dataset):
        config = dataset.get_run_info(other).config
        compared = json.loads(config.comparison) if getattr(config, "comparison", None) else {}
        if compared.get("other_run_key") == key:
            config.comparison = json.dumps({**compared, "other_run_key": new_key})
            MiningRun.update_run_config(dataset, other, config)
    return {path: _renamed(path, key, new_key) for path in before}


def claim(dataset: Any, key: str, leaf: str, paths: Sequence[str]) -> None:
    """Make these fields a run's own, so that they are renamed and deleted with it; what it had of this kind is erased.

    Args:
        dataset: the dataset of the run.
        key: of the run.
        leaf: what the fields are called after the key, such as ``change``.
        paths: the fields, not yet declared.

    Raises:
        ValueError: if one exists and is not the run's.
    """
    config = dataset.get_run_info(key).config
    old = [path for path in config.fields if path.rpartition(".")[2] == f"{key}_{leaf}"]
    strange = [path for path in paths if path not in old and dataset.get_field(path) is not None]
    if strange:
        raise ValueError(f"field {strange[0]!r} exists and belongs to no mining run: rename or delete it first")
    writeback.erase(dataset, old)
    config.fields = [path for path in config.fields if path not in old] + list(paths)
    MiningRun.update_run_config(dataset, key, config)


def tagged_by(dataset: Any, run_keys: Iterable[str]) -> Tagged:
    """What these runs say they tagged; a run without results has tagged nothing yet."""
    tagged = Tagged([], [])
    for key in run_keys:
        results = dataset.load_run_results(key, cache=False, load_view=False)
        if results is not None:
            of_run = tagged_of(results)
            tagged.samples.extend(of_run.samples)
            tagged.labels.extend(of_run.labels)
    return tagged


def tagged_of(results: MiningRunResults) -> Tagged:
    """What a run tagged, by its results; an id alone may be in either of its fields."""
    fields = (results.config.pred_field, results.config.gt_field)
    labels: list[tuple[str, str]] = []
    for label in results.tagged_labels:
        labels += [(field, label) for field in fields] if isinstance(label, str) else [tuple(label)]
    return Tagged(list(results.tagged_samples), labels)


def _renamed(path: str, key: str, new_key: str) -> str:
    head, dot, leaf = path.rpartition(".")
    return f"{head}{dot}{new_key}{leaf[len(key) :]}"
