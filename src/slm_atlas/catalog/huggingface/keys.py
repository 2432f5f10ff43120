"""The keys of a Hugging Face configuration, read with a complaint that names the key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from reprlib import Repr

from slm_atlas.catalog.architecture import PerLayer
from slm_atlas.errors import UserError

MOST = 2**40
"""No number in a configuration is larger, so that what is computed from them stays finite."""

_SHORT = Repr()
_SHORT.maxother = _SHORT.maxstring = 40


class Keys:
    """What a configuration says, else what its class in transformers would assume.

    Args:
        said: the keys of the configuration.
        assumed: the values of keys it lacks.
    """

    def __init__(self, said: Mapping[str, object], assumed: Mapping[str, object]) -> None:
        self._said = said
        self._assumed = assumed

    def has(self, *names: str) -> bool:
        """Whether one of these keys has a value that is not null."""
        return self._find(names)[1] is not None

    def is_null(self, name: str) -> bool:
        """Whether the configuration says null, whatever its class would assume."""
        return name in self._said and self._said[name] is None

    def whole(self, *names: str, default: int | None = None, least: int = 1, most: int = MOST) -> int:
        """A whole number.

        Raises:
            UserError: none of the keys is there, or the value is not such a number.
        """
        return _whole(*self._need(names, default), least, most)

    def number(self, *names: str, default: float | None = None, most: float = MOST) -> float:
        """A positive number.

        Raises:
            UserError: none of the keys is there, or the value is not such a number.
        """
        return _number(*self._need(names, default), most)

    def maybe_whole(self, name: str) -> int | None:
        """A whole number, or None where the configuration says null, or nobody says anything."""
        value = self._nullable(name)
        return None if value is None else _whole(name, value, 1, MOST)

    def maybe_number(self, name: str) -> float | None:
        """A positive number, or None where the configuration says null, or nobody says anything."""
        value = self._nullable(name)
        return None if value is None else _number(name, value, MOST)

    def flag(self, *names: str, default: bool = False) -> bool:
        """A yes or no.

        Raises:
            UserError: the value is something else.
        """
        name, value = self._find(names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise UserError(f"{name}: {_SHORT.repr(value)} is neither true nor false.")
        return value

    def text(self, *names: str, default: str | None = None) -> str:
        """A word.

        Raises:
            UserError: none of the keys is there, or the value is not a word.
        """
        name, value = self._need(names, default)
        if not isinstance(value, str):
            raise UserError(f"{name}: {_SHORT.repr(value)} is not a word.")
        return value

    def items(self, *names: str) -> tuple[object, ...]:
        """The values of a list; none, if it is not there.

        Raises:
            UserError: the value is not a list.
        """
        name, value = self._find(names)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise UserError(f"{name}: {_SHORT.repr(value)} is not a list.")
        return tuple(value)

    def wholes(self, *names: str, least: int = 0) -> tuple[int, ...]:
        """A list of whole numbers; empty, if it is not there.

        Raises:
            UserError: the value is not such a list.
        """
        return tuple(_whole(names[0], value, least, MOST) for value in self.items(*names))

    def numbers(self, *names: str) -> tuple[float, ...]:
        """A list of positive numbers; empty, if it is not there.

        Raises:
            UserError: the value is not such a list.
        """
        return tuple(_number(names[0], value, MOST) for value in self.items(*names))

    def per_layer(self, layers: int, *names: str, default: PerLayer | None = None) -> PerLayer:
        """A whole number, or a list of one for each layer.

        Raises:
            UserError: none of the keys is there, or the value is neither.
        """
        name, value = self._need(names, default)
        if not isinstance(value, list | tuple):
            return _whole(name, value, 1, MOST)
        if len(value) != layers:
            raise UserError(f"{name}: {len(value)} values for {layers} layers.")
        return tuple(_whole(name, one, 1, MOST) for one in value)

    def refuse(self, names: tuple[str, ...]) -> None:
        """Complain of a key whose effect on the architecture cannot be told.

        Raises:
            UserError: one of the keys has a value other than null, false, 0 or an empty list.
        """
        for name in names:
            if self._find((name,))[1]:
                raise UserError(f"{name}: models with it are not described here.", "slm models list")

    def _find(self, names: tuple[str, ...]) -> tuple[str, object]:
        for keys in (self._said, self._assumed):
            for name in names:
                if keys.get(name) is not None:
                    return name, keys[name]
        return names[0], None

    def _need(self, names: tuple[str, ...], default: object) -> tuple[str, object]:
        name, value = self._find(names)
        if value is None and default is None:
            others = f" (nor {', '.join(names[1:])})" if names[1:] else ""
            raise UserError(f"The configuration has no {names[0]}{others}.")
        return name, default if value is None else value

    def _nullable(self, name: str) -> object:
        return (self._said if name in self._said else self._assumed).get(name)


def _whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        bound = f"{least} to {most}" if most < MOST else f"{least} or more"
        raise UserError(f"{name}: {_SHORT.repr(value)} is not a whole number of {bound}.")
    return value


def _number(name: str, value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        bound = f" of at most {most:g}" if most < MOST else ""
        raise UserError(f"{name}: {_SHORT.repr(value)} is not a positive number{bound}.")
    return float(value) if math.isfinite(value) else most
