"""A piece of a configuration merged into the file of somebody else, with its comments and its order. Pure.

JSON, YAML, TOML and hosts files. A mapping is merged key by key, a list gets what it lacks, anything else is replaced.
"""

import io
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import ruamel.yaml
import tomlkit


class Malformed(ValueError):
    """A file that cannot be read; `line` is the first that is wrong, None where it is not known."""

    def __init__(self, line: int | None, what: str) -> None:
        self.line = line
        super().__init__(what)


def merged(path: str, before: str | None, piece: str | None, stale: Sequence[str] = ()) -> str | None:
    """The file with `piece` in it and without what of the `stale` ones is not in `piece`; None for none at all.

    `before`: what there is, None for no file. Gives it back as it was when nothing is to change. `path` tells the
    format. Raises Malformed, of `before`.
    """
    if path.rpartition("/")[2] == "hosts":
        return _hosts(before, piece, stale)
    parse, write = _format(path)
    held = parse(before) if before and before.strip() else {}
    if not isinstance(held, MutableMapping):
        raise Malformed(1, "not a mapping")
    wanted = parse(piece) if piece else {}
    plain, plainly_wanted = _plain(held), _plain(wanted)
    for unwanted in dict.fromkeys(stale):  # many modes and places have the same piece
        _subtract(held, _difference(_plain(parse(unwanted)), plainly_wanted))
    _merge(held, wanted)
    if _plain(held) == plain:
        return before
    return write(held).lstrip("\n") if held else None


def _merge(held: MutableMapping[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        there = held.get(key)
        if isinstance(there, MutableMapping) and isinstance(value, Mapping):
            _merge(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            there.extend(item for item in value if item not in there)
        elif there != value:
            held[key] = value


def _difference(stale: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of `stale` is not in `wanted`."""
    found: dict[str, Any] = {}
    for key, value in stale.items():
        other = wanted.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if inner := _difference(value, other):
                found[key] = inner
        elif isinstance(value, list) and isinstance(other, list):
            if items := [item for item in value if item not in other]:
                found[key] = items
        elif value != other:
            found[key] = value
    return found


def _subtract(held: MutableMapping[str, Any], stale: Mapping[str, Any]) -> None:
    """Takes `stale` out, and with it a mapping or list that has become empty by that."""
    for key, value in stale.items():
        there = held.get(key)
        if isinstance(there, MutableMapping) and isinstance(value, Mapping):
            _subtract(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            for item in value:
                while item in there:
                    there.remove(item)
        elif there is None or there != value:
            continue
        else:
            del held[key]
            continue
        if not there:
            del held[key]


def _hosts(before: str | None, piece: str | None, stale: Sequence[str]) -> str | None:
    """Lines of hosts(5). A line with the same name alone and another address is replaced."""

    def words(line: str) -> list[str]:
        return line.partition("#")[0].split()

    wanted = [words(line) for line in (piece or "").splitlines()]
    names = {name for line in [*wanted, *map(words, "\n".join(stale).splitlines())] for name in line[1:]}
    lines = (before or "").splitlines()
    kept = [line for line in lines if words(line) in wanted or len(words(line)) != 2 or words(line)[1] not in names]
    there = [words(line) for line in kept]
    kept += [" ".join(line) for line in wanted if line not in there]
    return before if kept == lines else "".join(f"{line}\n" for line in kept)


def _format(path: str) -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    suffix = path.rpartition(".")[2]
    formats = {"json": (_parse_json, _write_json), "toml": (_parse_toml, tomlkit.dumps)}
    yaml = (_parse_yaml, _write_yaml)
    return {**formats, "yaml": yaml, "yml": yaml}[suffix]


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Malformed(error.lineno, error.msg) from None


def _write_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _parse_toml(text: str) -> Any:
    try:
        return tomlkit.parse(text)
    except tomlkit.exceptions.ParseError as error:
        raise Malformed(error.line, str(error)) from None


def _yaml() -> ruamel.yaml.YAML:
    yaml = ruamel.yaml.YAML()  # keeps comments and order
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _parse_yaml(text: str) -> Any:
    try:
        found = _yaml().load(text)
    except ruamel.yaml.error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Malformed(mark.line + 1 if mark else None, error.problem or "not YAML") from None
    return {} if found is None else found


def _write_yaml(data: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(data, stream)
    return stream.getvalue()


def _plain(data: Any) -> Any:
    """Without the library's own types, as a copy."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return data.unwrap() if hasattr(data, "unwrap") else data
