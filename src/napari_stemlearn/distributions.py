"""Parameters that are a number or a distribution from which each image draws its own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_serializer

Kind = Literal["uniform", "normal", "log_uniform", "choice"]

_CALL = re.compile(r"^\s*(\w+)\s*\(([^()]*)\)\s*$")


class Distribution(BaseModel):
    """A random parameter: ``uniform(a, b)``, ``normal(mean, sd)``, ``log_uniform(a, b)`` or ``choice(a, b, …)``.

    Parameters
    ----------
    kind
        Which distribution.
    values
        Its parameters, in the unit of the setting.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    values: tuple[float, ...]

    def model_post_init(self, _context: Any) -> None:
        count = len(self.values)
        if self.kind == "choice":
            if count == 0:
                raise ValueError("choice(...) needs at least one value")
            return
        if count != 2:
            raise ValueError(f"{self.kind}(...) takes two numbers, not {count}")
        first, second = self.values
        if self.kind == "normal" and second < 0:
            raise ValueError("normal(mean, sd) needs sd >= 0")
        if self.kind in ("uniform", "log_uniform") and second < first:
            raise ValueError(f"{self.kind}(low, high) needs low <= high")
        if self.kind == "log_uniform" and first <= 0:
            raise ValueError("log_uniform(low, high) needs low > 0")

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(_shortest, self.values))})"

    @model_serializer
    def _as_text(self) -> str:
        return str(self)

    def extent(self) -> tuple[float, float]:
        """Lowest and highest value that can be drawn (four standard deviations for ``normal``)."""
        if self.kind == "normal":
            mean, sd = self.values
            return mean - 4 * sd, mean + 4 * sd
        return min(self.values), max(self.values)

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        if self.kind == "uniform":
            return float(rng.uniform(self.values[0], self.values[1]))
        if self.kind == "normal":
            return float(rng.normal(self.values[0], self.values[1]))
        if self.kind == "log_uniform":
            return float(np.exp(rng.uniform(*np.log(self.values))))
        return float(self.values[int(rng.integers(len(self.values)))])


def _shortest(value: float) -> str:
    """Fewest digits that are read as the same number again."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value)


def _reason(text: str, error: ValidationError) -> str:
    """Words for what is wrong with a distribution."""
    first = error.errors()[0]
    if first["type"] == "literal_error":
        return f"'{text}' is none of uniform(a, b), normal(mean, sd), log_uniform(a, b), choice(a, b, …)"
    return first["msg"].removeprefix("Value error, ")


def parse_distribution(value: Any) -> Any:
    """Turn ``"uniform(0, 1)"`` into a `Distribution` and ``"0.3"`` into a float; leave the rest to pydantic."""
    if isinstance(value, str):
        found = _CALL.match(value)
        if found:
            try:
                numbers = tuple(float(part) for part in found.group(2).split(",") if part.strip())
            except ValueError:
                raise ValueError(f"'{value}' holds something that is not a number") from None
            try:
                return Distribution(kind=found.group(1), values=numbers)  # type: ignore[arg-type]
            except ValidationError as error:
                # raised here, for the union with float would report the other branch
                raise ValueError(_reason(value, error)) from None
        try:
            return float(value)
        except ValueError:
            raise ValueError(
                f"'{value}' is neither a number nor uniform(a, b), normal(mean, sd), log_uniform(a, b), choice(a, b, …)"
            ) from None
    return value


Drawn = Annotated[float | Distribution, BeforeValidator(parse_distribution)]
"""Type of a setting that is a number or a distribution."""


def middle(value: float | Distribution) -> float:
    """A number itself, or the middle of what is drawn."""
    return float(np.mean(value.extent())) if isinstance(value, Distribution) else float(value)


def draw(
    value: float | Distribution,
    rng: np.random.Generator,
    minimum: float | None = None,
    maximum: float | None = None,
) -> float:
    """Draw a setting's value for one image.

    Parameters
    ----------
    value
        A number, returned as it is, or a distribution.
    rng
        Random numbers; not touched when `value` is a number.
    minimum, maximum
        A drawn value outside is put on the bound (a normal distribution has no ends of its own).
    """
    if not isinstance(value, Distribution):
        return float(value)
    drawn = value.draw(rng)
    if minimum is not None:
        drawn = max(drawn, minimum)
    if maximum is not None:
        drawn = min(drawn, maximum)
    return drawn
