"""What msgspec decodes of the rows of COCO JSON: keys that are not named here are skipped."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import UNSET, DecodeError, Raw, UnsetType, ValidationError, defstruct
from msgspec.json import Decoder

from .flags import FLAGS
from .json_columns import INNER
from .lvis import NEGATIVE, NOT_EXHAUSTIVE

__all__ = ["STRUCTS", "DecodeError", "Structs", "ValidationError"]

Id = int | str | float | None
Box = tuple[float, float, float, float]
OF_ROW: list[tuple[str, Any, Any]] = [
    *(("image_id", Id, None), ("category_id", Id, None), ("segmentation", Raw, None)),
    *((INNER, Any, None), ("rotation", Any, None)),
]
OF_RESULT: list[tuple[str, Any, Any]] = [("file_name", Any, None), ("category_name", Any, None)]
OF_ANNOTATION: list[tuple[str, Any, Any]] = [("id", Any, None), *((name, Any, None) for name in FLAGS)]
OF_IMAGE = ("id", "file_name", "coco_url", "width", "height", NEGATIVE, NOT_EXHAUSTIVE)


class Structs(NamedTuple):
    """Decoders of lists of rows, and the names of what they decode besides ``bbox`` and ``score``."""

    results: Any
    result_names: tuple[str, ...]
    annotations: Any
    annotation_names: tuple[str, ...]
    images: Any
    others: Any
    errors: tuple[type[Exception], ...] = (DecodeError, ValueError, RecursionError, OverflowError)

    def as_dict(self, image: Any) -> dict[str, Any]:
        """Return what an image has of what is wanted."""
        return {name: value for name in OF_IMAGE if (value := getattr(image, name)) is not UNSET}


def _rows(name: str, fields: list[Any]) -> Any:
    return Decoder(list[defstruct(name, fields)])  # type: ignore[misc]


STRUCTS = Structs(
    _rows("Result", [("bbox", Box), ("score", float), *OF_ROW, *OF_RESULT]),
    tuple(name for name, *_ in (*OF_ROW, *OF_RESULT)),
    _rows("Annotation", [("bbox", Box), ("image_id", Id), ("category_id", Id), *OF_ROW[2:], *OF_ANNOTATION]),
    tuple(name for name, *_ in (*OF_ROW, *OF_ANNOTATION)),
    _rows("Image", [("id", Any), *((name, Any | UnsetType, UNSET) for name in OF_IMAGE[1:])]),
    _rows("Other", []),
)
