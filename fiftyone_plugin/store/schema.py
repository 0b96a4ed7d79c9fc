"""The schema of a dataset as the database holds it: fields are declared and removed by one atomic update each.

FiftyOne's own way saves parts of the dataset document as it has read them, so that fields of a run that another process
deleted meanwhile would come back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import fiftyone as fo
from fiftyone.core.odm.dataset import SampleFieldDocument

from . import access
from .access import Fence

ATTEMPTS = 5
"""How often a schema that others change at the same time is read again."""

CORRECTED = "hnm_corrected"
"""Key in the ``info`` of a corrected copy of a truth field, see :mod:`fiftyone_plugin.runs.corrections`."""

Kinds = Mapping[str, tuple[type, str]]
"""Path of a field → its type and description."""


def stored(dataset: fo.Dataset) -> dict[str, dict[str, Any]]:
    """Return every declared field by its path, as the database holds it now."""
    document = access.datasets().find_one({"_id": access.dataset_id(dataset)}, {"sample_fields": 1})
    return declared((document or {}).get("sample_fields") or ())


def declared(fields: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every field by its path, of the ``sample_fields`` of a dataset's document."""
    return dict(_walk(fields, ""))


def declare(fence: Fence, dataset: fo.Dataset, fields: Kinds) -> None:
    """Declare fields, since undeclared ones break the loading of samples. Those that are declared stay as they are."""
    made = {path: _made(path, kind, text) for path, (kind, text) in fields.items()}
    _push(fence, dataset, made)


def declare_copy(
    fence: Fence, dataset: fo.Dataset, field: str, new: str, without: Collection[str], more: Kinds
) -> None:
    """Declare a field like another one, which may be protected: the new one is not.

    Args:
        fence: the right to write.
        dataset: the dataset.
        field: the field of Detections to copy.
        new: name of the copy, a field of the samples.
        without: attributes that the copy does not get.
        more: attributes that it gets beside, by name.
    """
    copy = _editable(stored(dataset)[field])
    copy |= {"name": new, "db_field": new, "created_at": datetime.now(timezone.utc)}
    boxes = next(each for each in copy["fields"] if each["name"] == "detections")
    boxes["fields"] = [each for each in boxes["fields"] or () if each["name"] not in {*without, *more}]
    boxes["fields"] += [_made(name, kind, text) for name, (kind, text) in more.items()]
    _push(fence, dataset, {new: copy})


def declare_like(fence: Fence, dataset: fo.Dataset, mapping: Mapping[str, str]) -> None:
    """Declare fields like others, path of a field → path of the new one; those that are not declared are left out."""
    known = stored(dataset)
    names = {path: new.rpartition(".")[2] for path, new in mapping.items() if path in known}
    own = {path: _without(known[path], path, names) for path in names}  # what is in a field is declared by itself
    _push(fence, dataset, {mapping[path]: {**own[path], "name": n, "db_field": n} for path, n in names.items()})


def undeclare(fence: Fence, dataset: fo.Dataset, paths: Iterable[str]) -> None:
    """Remove fields from the schema, with the indexes on them or on what is in them."""
    paths = list(dict.fromkeys(paths))
    leaves: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        head, _, leaf = path.rpartition(".")
        leaves[head].append(leaf)
    for parent, names in leaves.items():
        fence.check()
        place, filters = _place(parent)
        change = {"$pull": {place: {"name": {"$in": names}}}, "$currentDate": {"last_modified_at": True}}
        _update(dataset, {}, change, filters)
    gone = dict.fromkeys(paths, "")
    for index, facts in access.collection(dataset).index_information().items():
        if any(_moved(path, gone) != path for path, _ in facts["key"]):
            fence.check()
            access.collection(dataset).drop_index(index)


def index_like(fence: Fence, dataset: fo.Dataset, mapping: Mapping[str, str]) -> None:
    """Index renamed fields as they were indexed, old path → new path; the old indexes stay until :func:`undeclare`.

    An index keeps its options, but not a name of its own: two of the same name cannot be.
    """
    for facts in access.collection(dataset).index_information().values():
        keys = [(_moved(path, mapping), order) for path, order in facts["key"]]
        if keys == facts["key"]:
            continue
        options = {name: value for name, value in facts.items() if name not in ("key", "v", "ns")}
        if some := options.get("partialFilterExpression"):
            options["partialFilterExpression"] = {_moved(path, mapping): asked for path, asked in some.items()}
        fence.check()
        access.collection(dataset).create_index(keys, **options)


def check_name(name: Any, parameter: str) -> str:
    """Return the name of a new field of the samples, if it can be one.

    FiftyOne cannot load a dataset again that has a field with a dot in its name.

    Raises:
        ValueError: naming the parameter and the value.
    """
    if isinstance(name, str) and name.isidentifier() and not name.startswith("_") and name != "frames":
        return name
    what = "is the field of a video's frames" if name == "frames" else "is no valid field name"
    raise ValueError(f"{parameter} {name!r} {what}: use letters, digits and underscores, a letter first")


def beside(field: str, ending: str) -> str:
    """Return the name of a copy of a field; that of a field in an embedded document is a field of the samples, too."""
    return f"{field.replace('.', '_')}_{ending}"


def check_writable(dataset: fo.Dataset, paths: Iterable[str]) -> None:
    """Refuse to write, remove or rename fields that somebody has protected, or that are in such a field.

    Raises:
        ValueError: naming the first.
    """
    protected = [path for path, field in stored(dataset).items() if field.get("read_only")]
    for path in paths:
        for place in protected:
            if path == place or path.startswith(f"{place}."):
                raise ValueError(
                    f"field {place!r} is read-only, and {path!r} would be written: set its read_only to False first "
                    f"(field = dataset.get_field({place!r}); field.read_only = False; field.save())"
                )


def set_info(fence: Fence, dataset: fo.Dataset, field: str, name: str, value: Any) -> None:
    """Set one value in the ``info`` of a field of the samples, and leave the others."""
    info = {**((stored(dataset).get(field) or {}).get("info") or {}), name: value}
    fence.check()
    _update(dataset, {}, {"$set": {"sample_fields.$[p0].info": info}}, [{"p0.name": field}])


def corrected_copies(fields: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the attributes of boxes in truth fields that a corrected copy has, too: path → path in the copy.

    Args:
        fields: ``sample_fields`` of a dataset's document.
    """
    made = {field["name"]: (field.get("info") or {}).get(CORRECTED) for field in fields}
    pairs = [(f"{known['from']}.detections.", f"{name}.detections.") for name, known in made.items() if known]
    if not pairs:
        return {}
    known = declared(fields)
    found = {path: new + path[len(old) :] for old, new in pairs for path in known if path.startswith(old)}
    return {path: copy for path, copy in found.items() if copy in known}


def in_the_way(dataset: fo.Dataset, paths: Iterable[str], own: Collection[str]) -> str | None:
    """Return a sentence on the first field, declared or only stored, that is none of our own; None if there is none.

    This scans the samples if nothing is declared: not for forms.
    """
    wanted, known = [path for path in paths if path not in own], stored(dataset)
    for path in wanted:
        if path in known:
            return f"field {path!r} exists and belongs to no mining run"
    outer = [path for path in wanted if not any(path.startswith(f"{other}.") for other in wanted)]
    if not access.may_hold(dataset, outer):
        return None
    found = access.collection(dataset).find_one({"$or": [{path: {"$exists": True}} for path in wanted]})
    if found is None:
        return None
    path = next((path for path in wanted if _holds(found, path.split("."))), wanted[0])
    return f"{path!r} is stored in sample {found['_id']}, is not declared in the schema, and belongs to no mining run"


def _moved(path: str, mapping: Mapping[str, str]) -> str:
    """Return the new path of a field, or of what is in it."""
    old = max((old for old in mapping if path == old or path.startswith(f"{old}.")), key=len, default="")
    return f"{mapping[old]}{path[len(old) :]}" if old else path


def _walk(fields: Iterable[Mapping[str, Any]], head: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in fields:
        yield f"{head}{each['name']}", dict(each)
        yield from _walk(each.get("fields") or (), f"{head}{each['name']}.")


def _made(path: str, kind: type, text: str) -> dict[str, Any]:
    if kind is fo.Detections:
        field = fo.EmbeddedDocumentField(fo.Detections, description=text or None)
    else:
        field = kind(description=text)
    field.name = path.rpartition(".")[2]
    made = SampleFieldDocument.from_field(field).to_dict()
    return {**made, "db_field": field.name, "created_at": datetime.now(timezone.utc)}


def _without(document: dict[str, Any], path: str, gone: Collection[str]) -> dict[str, Any]:
    """Return the document of a field without those in it that are among these paths."""
    inner = [each for each in document.get("fields") or () if f"{path}.{each['name']}" not in gone]
    return {**document, "fields": [_without(each, f"{path}.{each['name']}", gone) for each in inner]}


def _editable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a field, and of what is in it, without the protection that somebody gave it."""
    return {**document, "read_only": False, "fields": [_editable(each) for each in document.get("fields") or ()]}


def _push(fence: Fence, dataset: fo.Dataset, documents: Mapping[str, Mapping[str, Any]]) -> None:
    for _ in range(ATTEMPTS):
        known = stored(dataset)
        missing: dict[str, list[str]] = defaultdict(list)
        for path in documents:
            if path not in known:
                missing[path.rpartition(".")[0]].append(path)
        if not missing:
            return
        for parent, paths in missing.items():
            fence.check()
            place, filters = _place(parent)
            names = [documents[path]["name"] for path in paths]
            query: dict[str, Any] = {}
            if filters:  # pushed only if none of them was pushed meanwhile
                filters[-1][f"p{len(filters) - 1}.fields.name"] = {"$nin": names}
            else:
                query["sample_fields.name"] = {"$nin": names}
            pushed = {"$each": [dict(documents[path]) for path in paths]}
            change = {"$push": {place: pushed}, "$currentDate": {"last_modified_at": True}}
            _update(dataset, query, change, filters)
    raise RuntimeError(
        f"fields of dataset {dataset.name!r} can't be declared, because others keep changing its schema: try again"
    )


def _place(parent: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the path of the list of fields below a parent, and the filters that lead to it."""
    names = parent.split(".") if parent else []
    place = "sample_fields" + "".join(f".$[p{n}].fields" for n in range(len(names)))
    return place, [{f"p{n}.name": name} for n, name in enumerate(names)]


def _update(dataset: fo.Dataset, query: Mapping[str, Any], change: Any, filters: list[dict[str, Any]]) -> None:
    access.datasets().update_one({"_id": access.dataset_id(dataset), **query}, change, array_filters=filters or None)


def _holds(value: Any, path: list[str]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return any(_holds(each, path) for each in value)
    return isinstance(value, Mapping) and path[0] in value and _holds(value[path[0]], path[1:])


def forget(dataset: fo.Dataset, paths: Iterable[str]) -> None:
    """Remove fields from what the App is configured to show, after they were undeclared."""
    config = dataset.app_config
    before = config.to_dict()
    config._delete_paths(list(paths))
    if config.to_dict() != before:
        dataset.save()


def make_editable(dataset: fo.Dataset, field: str) -> bool:
    """Let FiftyOne's Annotate mode edit a field, with the classes that it has; return whether it could not before."""
    access.reload(dataset)
    known = field in dataset.label_schemas
    if known and field in dataset.active_label_schemas:
        return False
    if not known:
        dataset.update_label_schema(field, dataset.generate_label_schemas(field))
    dataset.activate_label_schemas(field, prepend=True)
    return True
