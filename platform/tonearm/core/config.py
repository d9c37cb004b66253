"""Configurations: frozen dataclasses whose base class enforces the style, checks every value and hashes the whole.

A config is data: it can be written as JSON and read back, its fields can be replaced by dotted path (what sweeps
do), and its signature, a hash of *all* resolved values, is the identity of whatever was made from it.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self, dataclass_transform

from tonearm.core.errors import ConfigError, TonearmError
from tonearm.core.registry import Registry
from tonearm.core.seeding import digest

RUN_ONLY = {"run_only": True}
"""Field metadata: the field cannot change a result (a number of threads, say) and stays out of the signature."""
OMIT_DEFAULT = {"omit_default": True}
"""Field metadata: a field that came later. At its default it stays out of JSON and of the signature, so that what was
made before it existed keeps its identity; any other value is part of both."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Config:
    """Base of all configs. Subclasses become frozen, keyword-only dataclasses whose values are type-checked.

    A family of interchangeable configs (all models, all representations) has a base class that sets ``registry``;
    its members are declared with a ``kind``, which registers them and names them in JSON::

        class ModelConfig(Config):
            registry = Registry("model")

        class TimeConfig(ModelConfig, kind="time"):
            dropout: float = 0.0

    Subclasses override :meth:`problems` for conditions between fields.
    """

    registry: ClassVar[Registry[type[Any]] | None] = None
    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        if kind:
            if cls.registry is None:
                raise ConfigError(f"{cls.__name__} has a kind but no base class with a registry")
            cls.kind = kind
            cls.registry.add(kind, cls)

    def __post_init__(self) -> None:
        found = []
        for name, expected in _types(type(self)).items():
            problem = _type_problem(getattr(self, name), expected)
            if problem:
                found.append(f"{type(self).__name__}.{name}: {problem}")
            else:
                object.__setattr__(self, name, _float_where_expected(getattr(self, name), expected))
        found = found or self.problems()
        if found:
            raise ConfigError(found)

    def problems(self) -> list[str]:
        """Sentences on what cannot work in this combination of values: what, why, the fix. Empty if all is well."""
        return []

    def own_code(self) -> tuple[Any, ...]:
        """The classes and functions that must be registered before this config (not its parts) can be read."""
        return (type(self),) if self.kind else ()

    def to_dict(self, *, run_only: bool = True) -> dict[str, Any]:
        """The values as JSON types, nested configs as dicts, with ``kind`` where there is one."""
        return self._to_dict(run_only, complete=False)

    def _to_dict(self, run_only: bool, complete: bool) -> dict[str, Any]:
        """``complete``: with the fields that are left out at their default."""
        out: dict[str, Any] = {"kind": self.kind} if self.kind else {}
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            at_default = f.metadata.get("omit_default") and value == f.default
            if (run_only or not f.metadata.get("run_only")) and (complete or not at_default):
                out[f.name] = _to_plain(value, run_only, complete)
        return out

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Unknown keys are errors, all of them listed.

        Raises
        ------
        ConfigError
            On unknown keys, missing keys, values of a wrong type or combinations that cannot work.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{cls.__name__}: expected a mapping of fields, got {values!r}")
        rest = dict(values)
        target: type[Any] = cls
        kind = rest.pop("kind", None)
        if kind is not None:
            if cls.registry is None:
                raise ConfigError(f"{cls.__name__} takes no kind, got {kind!r}")
            target = cls.registry[kind]
            if not issubclass(target, cls):
                raise ConfigError(f"{kind!r} is a {target.__name__}, here a {cls.__name__} is needed")
        expected = _types(target)
        found = [_unknown_field(target, key) for key in rest if key not in expected]
        built: dict[str, Any] = {}
        for key, value in rest.items():
            if key in expected:
                try:
                    built[key] = _from_plain(value, expected[key])
                except ConfigError as error:
                    found += [f"{key}: {p}" for p in error.problems]
        if found:
            raise ConfigError(found)
        lacking = [f.name for f in dataclasses.fields(target) if f.name not in built and _is_required(f)]
        if lacking:
            raise ConfigError(f"{target.__name__} needs {', '.join(lacking)}: give it a value")
        return typing.cast(Self, target(**built))

    def flatten(self, prefix: str = "") -> dict[str, Any]:
        """All values by dotted path, e.g. ``{"optim.lr": 0.001}``; what MLflow shows as parameters."""
        out: dict[str, Any] = {}
        _flatten_into(out, prefix, self._to_dict(run_only=True, complete=True))
        return out

    def brief(self) -> str:
        """For people: the kind, and the fields that are not at their defaults, e.g. ``time(divisors=2-48)``.

        Without a kind the fields alone, ``(time_masks=2)``, or ``default``: it stands behind the name of its field.
        """
        changed = [
            f"{f.name}={_to_plain(getattr(self, f.name), True)}"
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if f.default is dataclasses.MISSING or getattr(self, f.name) != f.default
        ]
        return f"{self.kind}({', '.join(changed)})" if changed else self.kind or "default"

    def at(self, path: str) -> Any:
        """The value of a field by dotted path."""
        value: Any = self
        for name in path.split("."):
            if not isinstance(value, Config) or name not in _types(type(value)):
                raise ConfigError(_unknown_field(type(value), name))
            value = getattr(value, name)
        return value

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with fields replaced by dotted path, e.g. ``{"optim.lr": 1e-3, "feature.n_fft": 4096}``.

        ``"model.kind"`` puts another config of the same family there, with the fields that are replaced with it and
        its defaults for the others (the kind that is there already stays as it is). A whole number for a field that
        holds a text is its text: ``{"model.hidden": 10}`` is the list "10".

        Raises
        ------
        ConfigError
            If a path leads nowhere (with the close names), or a value does not fit.
        """
        own: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {}
        for path, value in changes.items():
            head, _, rest = path.partition(".")
            if head not in _types(type(self)):
                raise ConfigError(_unknown_field(type(self), head))
            if rest:
                nested.setdefault(head, {})[rest] = value
            else:
                own[head] = _as_text(value, _types(type(self))[head])
        for head, deeper in nested.items():
            child = own.get(head, getattr(self, head))
            if not isinstance(child, Config):
                raise ConfigError(f"{type(self).__name__}.{head} has no fields of its own, got {sorted(deeper)}")
            kind = deeper.pop("kind", child.kind)
            own[head] = child.replace(deeper) if kind == child.kind else child._replaced_by_kind(kind, deeper)
        return dataclasses.replace(self, **own)  # type: ignore[type-var]

    def _replaced_by_kind(self, kind: Any, changes: Mapping[str, Any]) -> Config:
        """Another config of this one's family, its fields given by dotted path; the others are at its defaults."""
        if self.registry is None:
            raise ConfigError(f"{type(self).__name__} takes no kind, got {kind!r}")
        target = self.registry[kind]
        own = {k: _as_text(v, _types(target).get(k)) for k, v in changes.items() if "." not in k}
        made: Config = target.from_dict(own)
        return made.replace({k: v for k, v in changes.items() if "." in k})

    def signature(self) -> str:
        """16 hexadecimal characters that identify every resolved value but the run-only ones."""
        return digest(type(self).__name__, self.to_dict(run_only=False))


def _types(cls: Any) -> dict[str, Any]:
    return _resolved_types(cls)


@cache
def _resolved_types(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _as_text(value: Any, expected: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole and expected is str else value


def _unknown_field(cls: type[Any], key: str) -> str:
    close = difflib.get_close_matches(str(key), _types(cls), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{cls.__name__} has no field {key!r}.{hint} Fields: {', '.join(_types(cls))}"


def _type_problem(value: Any, expected: Any) -> str | None:
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if expected is Any:
        return None
    if origin in (typing.Union, types.UnionType):
        if any(_type_problem(value, a) is None for a in args):
            return None
    elif origin is typing.Literal:
        if any(value == a and type(value) is type(a) for a in args):  # True and 1.0 are equal to 1, but not it
            return None
        return f"{value!r} is none of {', '.join(map(repr, args))}"
    elif origin is tuple:
        if isinstance(value, tuple):
            kinds = args[:1] * len(value) if args[-1:] == (Ellipsis,) else args
            if len(kinds) == len(value) and not any(_type_problem(v, k) for v, k in zip(value, kinds, strict=True)):
                return None
    elif expected is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return None
    elif expected is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return None
    elif isinstance(expected, type) and isinstance(value, expected):
        return None
    return f"{value!r} is a {type(value).__name__}, expected {getattr(expected, '__name__', None) or expected}"


def _float_where_expected(value: Any, expected: Any) -> Any:
    """1 and 1.0 are one identity where a float is expected, also in ``float | None`` and in tuples."""
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if isinstance(value, int) and not isinstance(value, bool):
        union = origin in (typing.Union, types.UnionType)
        return float(value) if expected is float or (union and float in args and int not in args) else value
    if origin is tuple and isinstance(value, tuple):
        kinds = args[:1] * len(value) if args[-1:] == (Ellipsis,) else args
        return tuple(_float_where_expected(v, k) for v, k in zip(value, kinds, strict=True))
    return value


def _to_plain(value: Any, run_only: bool, complete: bool = False) -> Any:
    if isinstance(value, Config):
        return value._to_dict(run_only, complete)
    if isinstance(value, tuple):
        return [_to_plain(v, run_only, complete) for v in value]
    return value


def _from_plain(value: Any, expected: Any) -> Any:
    if isinstance(expected, type) and issubclass(expected, Config):
        return value if isinstance(value, Config) else expected.from_dict(value)
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if origin is tuple and isinstance(value, list):
        kinds = args[:1] * len(value) if args[-1:] == (Ellipsis,) else args
        if len(kinds) != len(value):
            return tuple(value)  # which the type check refuses, with the value
        return tuple(_from_plain(v, k) for v, k in zip(value, kinds, strict=True))
    if origin in (typing.Union, types.UnionType) and value is not None:
        for option in args:
            try:
                rebuilt = _from_plain(value, option)
            except TonearmError:
                continue
            if _type_problem(rebuilt, option) is None:
                return rebuilt
    return value


def _flatten_into(out: dict[str, Any], prefix: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten_into(out, f"{prefix}.{key}" if prefix else key, inner)
    else:
        out[prefix] = value
