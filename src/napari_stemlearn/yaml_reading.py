"""YAML as people write it: names that stand twice are refused, and a fault is told with its line."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that has a name twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Plain values of a YAML text.

    Raises
    ------
    yaml.YAMLError
        If it is none, or a mapping has a name twice; see `yaml_fault`.
    """
    # a safe loader: it makes plain values only
    return yaml.load(text, Loader=_Loader)


def yaml_fault(error: yaml.YAMLError, text: str) -> str:
    """Where a YAML text is wrong, and what is wrong there, in a few words."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem is None:
        return str(error).splitlines()[0].rstrip(".")
    if error.problem_mark is None:
        return error.problem
    number, lines = error.problem_mark.line, text.splitlines()
    line = lines[number] if number < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in error.problem:
        return f"line {number + 1} has a tab, where YAML takes blanks"
    return f"line {number + 1}: {error.problem}"
