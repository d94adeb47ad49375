"""A RegistryArgs -> Settings: every check. Pure; every problem of the inputs is reported at once."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import names
from .reader import DOMAIN, LABEL, OBJECT_NAME, SETTING_COMMAND, ConfigError, Problem, before_colon, shown
from .resolve_tls import TlsReader
from .settings import (
    AccessMode,
    Account,
    Anonymous,
    ContainerResources,
    Images,
    Permission,
    Resources,
    Service,
    ServiceType,
    Settings,
    Storage,
    TlsMode,
)

ACCOUNT_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
REPOSITORY_PATTERN = re.compile(r"\*|[a-z0-9][a-z0-9._/-]{0,253}\*?")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?")
VOLUME_SIZE = re.compile(r"[1-9][0-9]*(\.[0-9]+)?(Mi|Gi|Ti|Pi|M|G|T|P)")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,511}")
LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
PASSWORD_BYTES = 72  # bcrypt reads no more


def resolve(args: Mapping[str, Any] | None = None) -> Settings:
    """Checked Settings out of a RegistryArgs. Raises ConfigError with every problem found."""
    settings, problems = problems_of({} if args is None else args)
    if problems:
        raise ConfigError(problems)
    return settings


def problems_of(args: Mapping[str, Any], also: Sequence[str] = ()) -> tuple[Settings, list[Problem]]:
    """Settings and what is wrong with them; of use only where there is nothing wrong.

    `also`: keys that somebody else reads, as if they were not there.
    """
    reader = _RegistryReader(also)
    settings = reader.settings(args)
    return settings, reader.problems


class _RegistryReader(TlsReader):
    def settings(self, args: Any) -> Settings:
        given = self.group("", args, Settings, self.also)
        result = Settings(
            **self.chosen(
                accounts=self.each("accounts", given.get("accounts"), self.account, "one account"),
                anonymous=self.choice("anonymous", given.get("anonymous"), Anonymous),
                tls=self.tls("tls", given.get("tls")),
                namespace=self.text("namespace", given.get("namespace"), LABEL, "a DNS label", "registry"),
                cluster_domain=self.text(
                    "clusterDomain", given.get("clusterDomain"), DOMAIN, "a DNS domain", "cluster.local"
                ),
                storage=self.storage("storage", given.get("storage")),
                service=self.service("service", given.get("service")),
                replicas=self.integer("replicas", given.get("replicas"), 1, 100),
                resources=self.resources("resources", given.get("resources")),
                images=self.images("images", given.get("images")),
                labels=self.labels("labels", given.get("labels")),
                annotations=self.annotations("annotations", given.get("annotations")),
            )
        )
        self.distinct(result.accounts)
        if result.replicas > 1 and not result.storage.shared:
            modes = ", ".join(result.storage.access_modes)
            self.problem(
                "replicas",
                f"{result.replicas} with storage.accessModes {modes}",
                "1, since a volume for one node cannot be written by pods on several, "
                "or more with storage.accessModes [ReadWriteMany]",
                "1",
            )
        if result.replicas > 1 and result.tls.mode is TlsMode.ACME:
            self.problem(
                "replicas",
                f"{result.replicas} with tls.mode acme",
                "1 with tls.mode acme, since a challenge is answered by the pod that asked for it; "
                "cert-manager's mode has no such limit",
                "1",
            )
        return result

    def account(self, key: str, value: Any) -> Account | None:
        given = self.group(key, value, Account)
        if "name" not in given:
            self.problem(f"{key}.name", "not given", "the account's name", "push")
            return None
        name = self.text(
            f"{key}.name",
            before_colon(given["name"]),
            ACCOUNT_NAME,
            "lower-case letters, digits and . _ - between them, at most 64 characters",
            "push",
        )
        account = Account(
            name=name or "",
            **self.chosen(
                repositories=self.each(
                    f"{key}.repositories", given.get("repositories"), self.pattern, "one name or prefix"
                ),
                permissions=self.permissions(f"{key}.permissions", given.get("permissions")),
                rotation=self.integer(f"{key}.rotation", given.get("rotation"), 1, 1_000_000),
                password=self.password(f"{key}.password", given.get("password")),
            ),
        )
        return account if name else None

    def pattern(self, key: str, value: Any) -> str | None:
        return self.text(
            key,
            value,
            REPOSITORY_PATTERN,
            "a repository's name in lower case, or a prefix of names that ends in *",
            "'team/*'",
        )

    def permissions(self, key: str, value: Any) -> tuple[Permission, ...] | None:
        found = self.each(key, value, lambda k, v: self.choice(k, v, Permission), "one permission")
        if found and Permission.DELETE in found and Permission.PUSH not in found:
            self.problem(
                key,
                "delete without push",
                "pull, push, or push and delete",
                "",
                repair=f"pulumi config set --path 'registry:{key}[{len(found)}]' push",
            )
        return found

    def password(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and not 1 <= len(value.encode()) <= PASSWORD_BYTES:
            self.problem(
                key,
                f"a text of {len(value.encode())} bytes",
                f"1 to {PASSWORD_BYTES} bytes, since bcrypt reads no more",
                "",
                repair=f"pulumi config set --path --secret 'registry:{key}'",
            )
        return value

    def storage(self, key: str, value: Any) -> Storage:
        given = self.group(key, value, Storage)
        if "claim" in given:
            for other in ("size", "class"):
                if other in given:
                    self.problem(
                        f"{key}.{other}",
                        f"given beside {key}.claim",
                        "either an existing claim, or size and class of a new one",
                        "",
                        repair=f"pulumi config rm --path 'registry:{key}.{other}'",
                    )
        return Storage(
            **self.chosen(
                size=self.text(
                    f"{key}.size", given.get("size"), VOLUME_SIZE, "a Kubernetes quantity with a unit", "20Gi"
                ),
                class_=self.text(
                    f"{key}.class", given.get("class"), OBJECT_NAME, "the name of a StorageClass", "standard"
                ),
                access_modes=self.each(
                    f"{key}.accessModes",
                    given.get("accessModes"),
                    lambda k, v: self.choice(k, v, AccessMode),
                    "one access mode",
                ),
                claim=self.text(
                    f"{key}.claim",
                    given.get("claim"),
                    OBJECT_NAME,
                    "the name of a PersistentVolumeClaim",
                    "registry-data",
                ),
                retain=self.boolean(f"{key}.retain", given.get("retain")),
            )
        )

    def service(self, key: str, value: Any) -> Service:
        given = self.group(key, value, Service)
        service = Service(
            **self.chosen(
                name=self.text(f"{key}.name", given.get("name"), LABEL, "a DNS label", "registry"),
                type=self.choice(f"{key}.type", given.get("type"), ServiceType),
                cluster_ip=self.address(f"{key}.clusterIp", given.get("clusterIp")),
                node_port=self.integer(f"{key}.nodePort", given.get("nodePort"), 30000, 32767),
                annotations=self.annotations(f"{key}.annotations", given.get("annotations")),
            )
        )
        if service.node_port is not None and service.type is ServiceType.CLUSTER_IP:
            self.problem(
                f"{key}.nodePort",
                f"{service.node_port} with type ClusterIP",
                f"only with {key}.type NodePort or LoadBalancer",
                "",
                repair=SETTING_COMMAND.format(key=f"{key}.type", example="NodePort"),
            )
        return service

    def resources(self, key: str, value: Any) -> Resources:
        given = self.group(key, value, Resources)
        default = Resources()
        return Resources(
            registry=self.container_resources(f"{key}.registry", given.get("registry"), default.registry),
            front=self.container_resources(f"{key}.front", given.get("front"), default.front),
        )

    def container_resources(self, key: str, value: Any, default: ContainerResources) -> ContainerResources:
        given = self.group(key, value, ContainerResources)
        groups = {}
        for name in ("requests", "limits"):
            quantities = self.texts(f"{key}.{name}", given.get(name))
            groups[name] = getattr(default, name) if quantities is None else quantities
            for resource, quantity in (quantities or {}).items():
                self.text(f"{key}.{name}.{resource}", quantity, QUANTITY, "a Kubernetes quantity", "128Mi")
        return ContainerResources(**groups)

    def images(self, key: str, value: Any) -> Images:
        given = self.group(key, value, Images)
        return Images(
            **self.chosen(
                registry=self.text(
                    f"{key}.registry", given.get("registry"), IMAGE, "an image's name", names.REGISTRY_IMAGE
                ),
                front=self.text(f"{key}.front", given.get("front"), IMAGE, "an image's name", names.FRONT_IMAGE),
            )
        )

    def labels(self, key: str, value: Any) -> Mapping[str, str] | None:
        labels = self.texts(key, value)
        for name, text in (labels or {}).items():
            if name in names.RESERVED_LABELS:
                self.problem(
                    f"{key}[{name}]",
                    shown(text),
                    "any label but those that the components set themselves",
                    "",
                    repair=f"pulumi config rm --path 'registry:{key}[\"{name}\"]'",
                )
            elif not LABEL_KEY.fullmatch(name) or not LABEL_VALUE.fullmatch(text):
                self.problem(f"{key}[{name}]", shown(text), "a Kubernetes label", "value")
        return labels

    def annotations(self, key: str, value: Any) -> Mapping[str, str] | None:
        annotations = self.texts(key, value)
        for name, text in (annotations or {}).items():
            if not LABEL_KEY.fullmatch(name):
                self.problem(f"{key}[{name}]", shown(text), "a Kubernetes annotation", "value")
        return annotations

    def distinct(self, accounts: Sequence[Account]) -> None:
        seen: dict[str, int] = {}
        for index, account in enumerate(accounts):
            first = seen.setdefault(account.name, index)
            if first != index:
                self.problem(
                    f"accounts[{index}].name",
                    f"{shown(account.name)}, which accounts[{first}] has already",
                    "a name of its own for each account",
                    f"{account.name}-2",
                )
