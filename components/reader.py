"""Reading inputs: one value at a time, every problem kept. Pure."""

import difflib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SETTING_COMMAND = "pulumi config set --path 'registry:{key}' {example}"

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, section 2.1
DOMAIN = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # a Kubernetes object's


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: which key, what was given (never a secret), what is allowed, a value that would do."""

    key: str
    given: str
    allowed: str
    repair: str

    def __str__(self) -> str:
        return f"registry:{self.key}: {self.given}; allowed: {self.allowed}\n    repair: {self.repair}"


class ConfigError(ValueError):
    """Every problem of the inputs, in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} in the registry's settings\n" + "\n".join(f"  {p}" for p in problems))


class Reader:
    """Each method gives None where nothing, or nothing usable, was given: one goes on and finds all problems."""

    def __init__(self, also: Sequence[str] = ()) -> None:
        """`also`: keys of the outermost mapping that somebody else reads."""
        self.problems: list[Problem] = []
        self.also = also

    def group(self, key: str, value: Any, shape: type, also: Sequence[str] = ()) -> Mapping[str, Any]:
        """The keys of a mapping, less those that its dataclass `shape` does not have."""
        if value is None:
            return {}
        allowed = [*(camel(name) for name in shape.__dataclass_fields__), *also]
        if not isinstance(value, Mapping):
            self.misshaped(key, value, f"a mapping with the keys {', '.join(allowed)}")
            return {}
        for name in value:
            if name not in allowed:
                path = f"{key}.{name}" if key else str(name)
                near = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.5)
                self.problem(
                    path,
                    "not a key" + (f"; did you mean {near[0]}?" if near else ""),
                    ", ".join(allowed),
                    "",
                    repair=f"pulumi config rm --path 'registry:{path}'",
                )
        return {name: given for name, given in value.items() if name in allowed and given is not None}

    def each(self, key: str, value: Any, read: Any, one: str) -> tuple[Any, ...] | None:
        if value is None:
            return None
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            self.misshaped(key, value, f"a list with at least {one}")
            return None
        found = [read(f"{key}[{index}]", item) for index, item in enumerate(value)]
        return tuple(item for item in found if item is not None) or None

    def text(self, key: str, value: Any, pattern: re.Pattern[str], allowed: str, example: str) -> str | None:
        if value is None:
            return None
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self.problem(key, shown(value), f"{allowed}, such as {example}", example)
        return None

    def texts(self, key: str, value: Any) -> dict[str, str] | None:
        if value is None:
            return None
        if isinstance(value, Mapping) and all(isinstance(v, str) and isinstance(k, str) for k, v in value.items()):
            return dict(sorted(value.items()))
        self.misshaped(key, value, "a mapping of texts to texts")
        return None

    def choice(self, key: str, value: Any, choices: type[StrEnum]) -> Any:
        if value is None:
            return None
        if isinstance(value, str) and value in list(choices):
            return choices(value)
        near = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.4)
        self.problem(key, shown(value), ", ".join(choices), str(near[0] if near else next(iter(choices))))
        return None

    def integer(self, key: str, value: Any, lowest: int, highest: int) -> int | None:
        if value is None:
            return None
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(whole, int) and not isinstance(whole, bool) and lowest <= whole <= highest:
            return whole
        self.problem(key, shown(value), f"a whole number from {lowest} to {highest}", str(lowest))
        return None

    def boolean(self, key: str, value: Any) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self.problem(key, shown(value), "true or false", "true")
        return None

    def address(self, key: str, value: Any) -> str | None:
        if value is None:
            return None
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            self.problem(key, shown(value), "an address out of the cluster's Service range", "10.96.0.50")
            return None

    def problem(self, key: str, given: str, allowed: str, example: str, repair: str | None = None) -> None:
        repair = repair or SETTING_COMMAND.format(key=key, example=example)
        self.problems.append(Problem(key=key, given=given, allowed=allowed, repair=repair))

    def misshaped(self, key: str, value: Any, allowed: str) -> None:
        self.problem(key, f"given {kind(value)}", allowed, "", repair=f"pulumi config rm --path 'registry:{key}'")

    @staticmethod
    def chosen(**values: Any) -> dict[str, Any]:
        """What was given; a dataclass has the defaults of the rest."""
        return {name: value for name, value in values.items() if value is not None}


def camel(field_name: str) -> str:
    """The key of a stack file that a field stands for: cluster_ip -> clusterIp, class_ -> class."""
    head, *tail = field_name.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in tail)


def shown(value: Any) -> str:
    """A scalar as it was given; of anything else only what it is, since it may hold a password."""
    if isinstance(value, str | int | float | bool):
        text = json.dumps(value, ensure_ascii=False)
        return f"given {text if len(text) <= 80 else text[:77] + '...'}"
    return f"given {kind(value)}"


def kind(value: Any) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list" if value else "an empty list"
    return kinds.get(type(value), f"a {type(value).__name__}")


def before_colon(value: Any) -> Any:
    """Without what may be a password: who writes user:password for a name means it well."""
    return f"{value.partition(':')[0]}:..." if isinstance(value, str) and ":" in value else value
