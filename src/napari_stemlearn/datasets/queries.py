"""The query language of data sets: ``dose between 1e4 and 5e4 and class has vacancy1``.

    query      = both {"or" both}
    both       = one {"and" one}
    one        = "not" one | "(" query ")" | condition
    condition  = "class" "has" CLASS
               | "count" "(" CLASS ")" comparison | "n_CLASS" comparison
               | PARAMETER comparison
    comparison = ("=" | "!=" | "<" | "<=" | ">" | ">=") VALUE | "between" VALUE "and" VALUE

A parameter may be shortened to the last of its parts where that is unambiguous. An image that lacks a parameter fulfils
no comparison with it. What people type never becomes part of an SQL text: names are looked up, values are bound.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from napari_stemlearn.errors import QueryError

Kind = Literal["number", "text", "flag"]
"""What a parameter holds."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][\w.]*)"
    r"|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|(?P<sign>==|<=|>=|!=|<>|[=<>()]))"
)
_SIGNS = {"=": "=", "==": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_KEYWORDS = ("and", "or", "not", "between", "has", "class", "count")
_FLAGS = {"true": 1, "yes": 1, "false": 0, "no": 0}
_COUNT = "COALESCE((SELECT SUM(n) FROM counts WHERE counts.image = images.image AND counts.{} = ?), 0)"
_DEEPEST = 50
_MOST_NAMES = 12


@dataclass(frozen=True)
class Vocabulary:
    """What a query can name.

    Parameters
    ----------
    parameters
        Full names, with dots, and what they hold.
    classes
        Classes of sites.
    """

    parameters: Mapping[str, Kind]
    classes: Sequence[str]


class Condition(NamedTuple):
    """A condition for ``WHERE``, and the values bound to its question marks."""

    sql: str
    values: tuple[Any, ...]


class _Token(NamedTuple):
    kind: Literal["number", "word", "quoted", "sign", "end"]
    text: str

    @property
    def keyword(self) -> str:
        """The word in lower case where it has a meaning of its own."""
        return self.text.lower() if self.kind == "word" and self.text.lower() in _KEYWORDS else ""

    @property
    def shown(self) -> str:
        return f"'{self.text}'" if self.kind != "end" else "the end"


def compile_query(text: str, vocabulary: Vocabulary) -> Condition:
    """Turn a query into a condition on the tables of a data set.

    Parameters
    ----------
    text
        Empty for all images.
    vocabulary
        Names that exist.

    Raises
    ------
    QueryError
        Names the word that is wrong, and the names that come near.
    """
    if not text.strip():
        return Condition("1", ())
    parser = _Parser(_tokens(text), vocabulary)
    condition = parser.query()
    parser.expect_end()
    return condition


def quoted_name(name: str) -> str:
    """A column's name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def full_name(text: str, names: Sequence[str]) -> str:
    """The name that is meant by a name or the last of its parts.

    Raises
    ------
    QueryError
        If there is none, or several.
    """
    if text in names:
        return text
    lower = text.lower()
    for found in (
        [name for name in names if name.endswith(f".{text}")],
        [name for name in names if name.lower() == lower or name.lower().endswith(f".{lower}")],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise QueryError(f"'{text}' can be {' or '.join(sorted(found))}; write which.")
    raise QueryError(f"'{text}' is no parameter of this set; {_near(text, names)}.")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            rest = text[place:].lstrip()
            what = "has no closing quotation mark" if rest[0] in "'\"" else "cannot be understood"
            raise QueryError(f"In the query, {rest[:20]!r} {what}.")
        kind = str(found.lastgroup)
        name: Any = "quoted" if kind in ("single", "double") else kind
        tokens.append(_Token(name, found.group(kind)))
        place = found.end()
    return [*tokens, _Token("end", "")]


class _Parser:
    """Reads tokens from left to right; each method takes what its rule in the module's text says."""

    def __init__(self, tokens: list[_Token], vocabulary: Vocabulary) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self._vocabulary = vocabulary

    def query(self) -> Condition:
        parts = [self._both()]
        while self._next.keyword == "or":
            self._take()
            parts.append(self._both())
        return _joined(" OR ", parts)

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise QueryError(f"In the query, {self._next.shown} stands where 'and', 'or' or the end is expected.")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        self._place += token.kind != "end"
        return token

    def _expect(self, text: str, after: str) -> None:
        token = self._take()
        if token.kind == "quoted" or token.text.lower() != text:
            raise QueryError(f"In the query, '{text}' is expected after {after}, not {token.shown}.")

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._next.keyword == "and":
            self._take()
            parts.append(self._one())
        return _joined(" AND ", parts)

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise QueryError(f"The query has more than {_DEEPEST} brackets or 'not' inside each other.")
        token = self._take()
        if token.keyword == "not":
            inner = self._one()
            done = Condition(f"NOT {inner.sql}", inner.values)
        elif token.kind == "sign" and token.text == "(":
            done = self.query()
            closing = self._take()
            if closing.text != ")" or closing.kind != "sign":
                raise QueryError(f"In the query, ')' is expected, not {closing.shown}.")
        else:
            done = self._condition(token)
        self._depth -= 1
        return done

    def _condition(self, token: _Token) -> Condition:
        if token.keyword == "class":
            self._expect("has", "'class'")
            name = self._class_name("'has'")
            return Condition(
                "EXISTS (SELECT 1 FROM counts WHERE counts.image = images.image AND counts.class = ?)", (name,)
            )
        if token.keyword == "count":
            self._expect("(", "'count'")
            name = self._class_name("'count('")
            self._expect(")", f"'{name}'")
            return self._comparison(f"count({name})", _COUNT.format("class"), (name,), "number")
        if token.keyword or token.kind not in ("word", "quoted"):
            raise QueryError(
                f"In the query, {token.shown} stands where a parameter, 'class has' or 'count(...)' is expected."
            )
        name = token.text.removeprefix("n_")
        if token.text.startswith("n_") and (name in ("columns", "defects") or name in self._vocabulary.classes):
            # the names of the columns in which the answer tells the numbers
            by, what = ("kind", name[:-1]) if name in ("columns", "defects") else ("class", name)
            return self._comparison(token.text, _COUNT.format(by), (what,), "number")
        name = self._parameter(token.text)
        return self._comparison(name, f"images.{quoted_name(name)}", (), self._vocabulary.parameters[name])

    def _comparison(self, name: str, sql: str, bound: tuple[Any, ...], kind: Kind) -> Condition:
        sign = self._take()
        if sign.keyword == "between":
            if kind != "number":
                raise QueryError(f"In the query, {name} holds words, which are not 'between' others; use = or !=.")
            low = self._value(name, kind, "'between'")
            self._expect("and", f"'{name} between {low:g}'")
            high = self._value(name, kind, "'and'")
            return Condition(f"COALESCE({sql} BETWEEN ? AND ?, 0)", (*bound, low, high))
        if sign.kind != "sign" or sign.text not in _SIGNS:
            raise QueryError(
                f"In the query, after {name} one of =, !=, <, <=, >, >= or 'between' is expected, not {sign.shown}."
            )
        operator = _SIGNS[sign.text]
        if kind != "number" and operator not in ("=", "<>"):
            raise QueryError(f"In the query, {name} holds words, which '{sign.text}' cannot compare; use = or !=.")
        if kind == "text":
            return self._equality(name, sql, bound, sign.text)
        value = self._value(name, kind, f"'{sign.text}'")
        return Condition(f"COALESCE({sql} {operator} ?, 0)", (*bound, value))

    def _equality(self, name: str, sql: str, bound: tuple[Any, ...], sign: str) -> Condition:
        """Comparison of a parameter that holds words, and in some images perhaps numbers or truth values."""
        token = self._next
        word = self._value(name, "text", f"'{sign}'")
        operator = _SIGNS[sign]
        values: list[Any] = [word]
        if token.kind == "number":
            values.append(float(word))
        if token.kind == "word" and word.lower() in _FLAGS:
            values.append(_FLAGS[word.lower()])
        joint = " OR " if operator == "=" else " AND "
        condition = joint.join([f"{sql} {operator} ?"] * len(values))
        return Condition(f"COALESCE({condition}, 0)", tuple(entry for value in values for entry in (*bound, value)))

    def _value(self, name: str, kind: Kind, after: str) -> Any:
        token = self._take()
        if token.kind in ("end", "sign") or token.keyword:
            raise QueryError(f"In the query, a value is expected after {after}, not {token.shown}.")
        if kind == "number":
            if token.kind != "number":
                raise QueryError(f"In the query, {name} is a number, and {token.shown} is none.")
            return float(token.text)
        if kind == "flag":
            if token.text.lower() not in _FLAGS:
                raise QueryError(f"In the query, {name} is yes or no, and {token.shown} is neither.")
            return _FLAGS[token.text.lower()]
        return token.text

    def _class_name(self, after: str) -> str:
        token = self._take()
        if token.kind not in ("word", "quoted") or token.keyword:
            raise QueryError(f"In the query, a class is expected after {after}, not {token.shown}.")
        classes = self._vocabulary.classes
        if token.text in classes:
            return token.text
        alike = [name for name in classes if name.lower() == token.text.lower()]
        if len(alike) == 1:
            return alike[0]
        raise QueryError(f"In the query, '{token.text}' is no class of this set; {_near(token.text, classes)}.")

    def _parameter(self, text: str) -> str:
        try:
            return full_name(text, list(self._vocabulary.parameters))
        except QueryError as error:
            raise QueryError(f"In the query, {error}") from None


def _joined(operator: str, parts: list[Condition]) -> Condition:
    if len(parts) == 1:
        return parts[0]
    values = tuple(value for part in parts for value in part.values)
    return Condition(f"({operator.join(part.sql for part in parts)})", values)


def _near(text: str, names: Sequence[str]) -> str:
    """Words on the names that come nearest to one that does not exist."""
    if not names:
        return "it has none"
    if len(names) <= _MOST_NAMES:
        return f"it has {', '.join(names)}"
    lasts: dict[str, list[str]] = {}
    for name in names:
        for key in {name.lower(), name.lower().rpartition(".")[2]}:
            lasts.setdefault(key, []).append(name)
    near = difflib.get_close_matches(text.lower(), list(lasts), n=4, cutoff=0.55)
    near += [key for key in lasts if text.lower() in key and key not in near][:4]
    found = list(dict.fromkeys(name for key in near for name in lasts[key]))[:6]
    if found:
        return f"near it are {', '.join(found)}"
    return f"it has {', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"
