"""The class names of a model: a list, the ``names:`` of a ``data.yaml``, or those stored in a ``.pt`` checkpoint.

A checkpoint is a pickle, which can run code when it is loaded. Here every class and function in it is replaced by an
empty stand-in, so that nothing of it runs.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .data_yaml import class_names, read_data_yaml

__all__ = ["read_model_names"]

FILES = {".yaml", ".yml", ".pt"}


def read_model_names(given: str | Path | Sequence[str]) -> tuple[str, ...]:
    """Return the names by class number.

    Args:
        given: names in the order of the model's class numbers, or one ``data.yaml`` or ``.pt`` file to take them from.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it holds no names, or a name stands twice.

    Example:
        >>> read_model_names(["cat", "dog"])
        ('cat', 'dog')
    """
    values = [str(given)] if isinstance(given, (str, Path)) else list(map(str, given))
    if len(values) != 1 or Path(values[0]).suffix.lower() not in FILES:
        names = tuple(values)
    else:
        path = Path(values[0])
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path} to take the model's class names from")
        names = _names_in_checkpoint(path) if path.suffix.lower() == ".pt" else class_names(path, read_data_yaml(path))
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"the model's class names hold {twice!r} twice; each class needs a name of its own")
    if not names:
        raise ValueError("the model's class names are an empty list")
    return names


class _StandIn:
    """Takes the place of every class and function of a pickle: keeps the state it is given, and does nothing."""

    items: dict[Any, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> _StandIn:
        made = super().__new__(cls)
        made.items = {}
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> _StandIn:
        return _StandIn()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            state = {**(state[0] or {}), **state[1]}
        self.items |= state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Take an entry of a list."""

    def extend(self, values: Any) -> None:
        """Take entries of a list."""

    def add(self, value: Any) -> None:
        """Take an entry of a set."""

    def __hash__(self) -> int:
        return id(self)


class _Harmless(pickle._Unpickler):
    """Reads the structure of a pickle without running anything of it.

    Python's own unpickler: the one in C takes memory for what a few damaged bytes announce.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for every class and function."""
        return _StandIn

    def persistent_load(self, pid: Any) -> Any:
        """Return nothing for the stored numbers of a tensor."""
        return None


def _names_in_checkpoint(path: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            with archive.open(inside) as file:
                names = _find_names(_load(file))
    except (zipfile.BadZipFile, StopIteration, OSError):
        names = None
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(f"{path} can't be read as a checkpoint: {type(error).__name__}: {error}") from None
    if names is None:
        raise ValueError(f"{path} holds no class names as an Ultralytics checkpoint does; give the names themselves")
    return names


def _load(file: Any) -> Any:
    source: BinaryIO = file
    return _Harmless(source).load()


def _find_names(content: Any) -> tuple[str, ...] | None:
    """Return the names of the averaged model, else of the model."""
    for key in ("ema", "model", ""):
        part = (content.get(key) if key else content) if isinstance(content, dict) else None
        state = part.items if isinstance(part, _StandIn) else part if isinstance(part, dict) else {}
        names = state.get("names")
        if isinstance(names, Mapping) and sorted(names) == list(range(len(names))):
            names = [names[i] for i in range(len(names))]
        if isinstance(names, list) and names and all(isinstance(name, (str, int, float)) for name in names):
            return tuple(map(str, names))
    return None
