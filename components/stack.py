"""A stack's configuration -> the arguments of a Registry, and the few things that only the program needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.runtime import config as runtime_config

from .reader import ConfigError, Problem, Reader
from .resolve import problems_of
from .settings import NodeKind, Settings

TEXT_KEYS = ("anonymous", "namespace", "clusterDomain")
PROGRAM_KEYS = ("context", "nodes")


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`context`: of the kubeconfig, None for its current one. `nodes`: how the nodes that are to be configured run
    containerd, None where they are left alone."""

    settings: Settings
    context: str | None
    nodes: NodeKind | None

    @property
    def node_config(self) -> dict[str, Any]:
        """What a NodeConfig is given, but for its namespace and the registry's endpoint."""
        return {
            "kind": self.nodes,
            "name": self.settings.service.name,
            "image": self.settings.images.front,
            "labels": self.settings.labels,
            "annotations": self.settings.annotations,
        }


def load(project: str) -> Stack:
    """The configuration of the stack under way. Raises ConfigError with every problem found."""
    prefix = f"{project}:"
    values = {key.removeprefix(prefix): text for key, text in _everything().items() if key.startswith(prefix)}
    secret = {key for key in values if runtime_config.is_config_secret(prefix + key)}
    return parse(values, secret)


def parse(values: Mapping[str, str], secret: set[str] = frozenset()) -> Stack:
    """As `load`, of texts as the engine passes them: JSON where a value has a structure.

    `secret`: the encrypted keys.
    """
    args = {key: text if key in (*TEXT_KEYS, *PROGRAM_KEYS) else _structure(text) for key, text in values.items()}
    settings, problems = problems_of(args, also=PROGRAM_KEYS)
    problems += _context(values.get("context"))
    reader = Reader()
    nodes = reader.choice("nodes", values.get("nodes") or None, NodeKind)
    problems += reader.problems
    problems += _unencrypted_passwords(args.get("accounts"), "accounts" in secret)
    problems += _unencrypted_key(args.get("tls"), "tls" in secret)
    if problems:
        raise ConfigError(problems)
    return Stack(settings=settings, context=values.get("context") or None, nodes=nodes)


def _everything() -> Mapping[str, Any]:
    # The SDK reads single keys only; that a key is misspelled shows in the whole map alone.
    return runtime_config.CONFIG.get() or runtime_config.get_config_env()


def _structure(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text  # whoever reads it says what should have been there


def _context(given: str | None) -> list[Problem]:
    if not given or given[0] not in "[{":
        return []
    kind = "a list" if given[0] == "[" else "a mapping"
    repair = "pulumi config set registry:context NAME"
    return [Problem(key="context", given=f"given {kind}", allowed="a context's name, as a text", repair=repair)]


def _unencrypted_key(tls: Any, encrypted: bool) -> list[Problem]:
    eab = tls.get("eab") if isinstance(tls, Mapping) else None
    if encrypted or not isinstance(eab, Mapping) or not eab.get("macKey"):
        return []
    return [_in_clear_text("tls.eab.macKey", "an encrypted text")]


def _unencrypted_passwords(accounts: Any, encrypted: bool) -> list[Problem]:
    if encrypted or not isinstance(accounts, list):
        return []
    return [
        _in_clear_text(f"accounts[{index}].password", "an encrypted text, or no key for a generated one")
        for index, account in enumerate(accounts)
        if isinstance(account, Mapping) and account.get("password") is not None
    ]


def _in_clear_text(key: str, allowed: str) -> Problem:
    repair = f"pulumi config set --path --secret 'registry:{key}'"
    return Problem(key=key, given="given in clear text", allowed=allowed, repair=repair)
