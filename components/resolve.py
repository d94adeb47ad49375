"""A RegistryArgs -> Settings: every check. Pure; every problem of the inputs is reported at once."""

import difflib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import certificates, names
from .settings import (
    CA,
    AccessMode,
    Account,
    Anonymous,
    ContainerResources,
    Eab,
    Images,
    Issuer,
    IssuerKind,
    NextCA,
    Permission,
    Plaintext,
    Resources,
    Service,
    ServiceType,
    Settings,
    Storage,
    Tls,
    TlsMode,
)

SETTING_COMMAND = "pulumi config set --path 'registry:{key}' {example}"

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, section 2.1
DOMAIN = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
SUBDOMAIN_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # a Kubernetes object's name
ACCOUNT_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
REPOSITORY_PATTERN = re.compile(r"\*|[a-z0-9][a-z0-9._/-]{0,253}\*?")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?")
VOLUME_SIZE = re.compile(r"[1-9][0-9]*(\.[0-9]+)?(Mi|Gi|Ti|Pi|M|G|T|P)")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,511}")
LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
EMAIL = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
KEY_ID = re.compile(r"[A-Za-z0-9._~/:-]{1,256}")
MAC_KEY = re.compile(r"[A-Za-z0-9_-]{16,512}={0,2}")
TLS_KEYS = {
    # mode, plaintext and ca belong to all
    TlsMode.OFF: (),
    TlsMode.INTERNAL: ("hosts",),
    TlsMode.SECRET: ("secret", "host", "caCertificate"),
    TlsMode.CERT_MANAGER: ("issuer", "host", "hosts", "caCertificate"),
    TlsMode.ACME: ("host", "directory", "directoryCa", "email", "eab", "caCertificate"),
}
PASSWORD_BYTES = 72  # bcrypt reads no more


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
    reader = _Reader(also)
    settings = reader.settings(args)
    return settings, reader.problems


class _Reader:
    """Reads one value at a time, and goes on with the default where one is wrong, so that all problems are found."""

    def __init__(self, also: Sequence[str] = ()) -> None:
        self.problems: list[Problem] = []
        self.also = also

    # -- groups -------------------------------------------------------------------------------------------------

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
            _before_colon(given["name"]),
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

    def tls(self, key: str, value: Any) -> Tls:
        given = self.group(key, value, Tls)
        mode = self.choice(f"{key}.mode", given.get("mode"), TlsMode)
        if mode is None and "mode" not in given:
            mode = TlsMode.OFF
        own = {name for names_ in TLS_KEYS.values() for name in names_}
        for name in given:
            if mode is not None and name in own and name not in TLS_KEYS[mode]:
                owners = " or ".join(m for m, names_ in TLS_KEYS.items() if name in names_)
                self.problem(
                    f"{key}.{name}",
                    f"given with mode {mode}",
                    f"only with mode {owners}",
                    "",
                    repair=f"pulumi config rm --path 'registry:{key}.{name}'",
                )
        tls = Tls(
            **self.chosen(
                mode=mode,
                plaintext=self.choice(f"{key}.plaintext", given.get("plaintext"), Plaintext),
                ca=self.ca(f"{key}.ca", given.get("ca")),
                hosts=self.each(f"{key}.hosts", given.get("hosts"), self.san, "one name or address"),
                secret=self.text(
                    f"{key}.secret", given.get("secret"), SUBDOMAIN_NAME, "a Secret's name", "registry-tls"
                ),
                issuer=self.issuer(f"{key}.issuer", given.get("issuer")),
                host=self.text(f"{key}.host", given.get("host"), DOMAIN, "a DNS name", "registry.example.com"),
                directory=self.text(f"{key}.directory", given.get("directory"), URL, "an https URL", Tls().directory),
                directory_ca=self.certificate(f"{key}.directoryCa", given.get("directoryCa")),
                email=self.text(f"{key}.email", given.get("email"), EMAIL, "an address", "you@example.com"),
                eab=self.eab(f"{key}.eab", given.get("eab")),
                ca_certificate=self.certificate(f"{key}.caCertificate", given.get("caCertificate")),
            )
        )
        needed = {TlsMode.CERT_MANAGER: ("issuer", "name", "letsencrypt"), TlsMode.ACME: ("host", "", "r.example.com")}
        if tls.mode in needed:
            name, below, example = needed[tls.mode]
            if name not in given:
                path = f"{key}.{name}.{below}" if below else f"{key}.{name}"
                self.problem(path, f"not given with mode {tls.mode}", "a name", example)
        if tls.mode is TlsMode.OFF and tls.plaintext is not Plaintext.SERVE:
            self.problem(
                f"{key}.plaintext",
                f"{tls.plaintext} with mode off",
                "serve, since there is nothing but plain HTTP",
                "serve",
            )
        return tls

    def san(self, key: str, value: Any) -> str | None:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            allowed = "a DNS name or an IP address"
            return self.text(key, value, DOMAIN, allowed, "registry.example.com")

    def ca(self, key: str, value: Any) -> CA:
        given = self.group(key, value, CA)
        return CA(
            **self.chosen(
                generation=self.integer(f"{key}.generation", given.get("generation"), 1, 1000),
                next=self.choice(f"{key}.next", given.get("next"), NextCA),
            )
        )

    def issuer(self, key: str, value: Any) -> Issuer | None:
        if value is None:
            return None
        given = self.group(key, value, Issuer)
        name = self.text(f"{key}.name", given.get("name", ""), SUBDOMAIN_NAME, "an Issuer's name", "letsencrypt")
        return Issuer(**self.chosen(name=name, kind=self.choice(f"{key}.kind", given.get("kind"), IssuerKind)))

    def eab(self, key: str, value: Any) -> Eab | None:
        if value is None:
            return None
        given = self.group(key, value, Eab)
        secret = given.get("macKey", "")
        if isinstance(secret, str) and not MAC_KEY.fullmatch(secret):
            self.problem(
                f"{key}.macKey",
                "given something else" if secret else "not given",
                "the key in base64url, as the server's owner gave it",
                "",
                repair=f"pulumi config set --path --secret 'registry:{key}.macKey'",
            )
        key_id = self.text(f"{key}.keyId", given.get("keyId", ""), KEY_ID, "the key's identifier", "kid-1")
        return Eab(**self.chosen(key_id=key_id, mac_key=secret))

    def certificate(self, key: str, value: Any) -> str | None:
        """A PEM text, made even, of one or more certificates."""
        if value is None:
            return None
        try:
            return certificates.normal(value)
        except ValueError as error:
            self.problem(
                key,
                f"given {_kind(value)} that is no certificate ({error})",
                "certificates in PEM",
                "",
                repair=f"pulumi config set --path 'registry:{key}' \"$(cat ca.crt)\"",
            )
            return None

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
                    f"{key}.class", given.get("class"), SUBDOMAIN_NAME, "the name of a StorageClass", "standard"
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
                    SUBDOMAIN_NAME,
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
                    _shown(text),
                    "any label but those that the components set themselves",
                    "",
                    repair=f"pulumi config rm --path 'registry:{key}[\"{name}\"]'",
                )
            elif not LABEL_KEY.fullmatch(name) or not LABEL_VALUE.fullmatch(text):
                self.problem(f"{key}[{name}]", _shown(text), "a Kubernetes label", "value")
        return labels

    def annotations(self, key: str, value: Any) -> Mapping[str, str] | None:
        annotations = self.texts(key, value)
        for name, text in (annotations or {}).items():
            if not LABEL_KEY.fullmatch(name):
                self.problem(f"{key}[{name}]", _shown(text), "a Kubernetes annotation", "value")
        return annotations

    def distinct(self, accounts: Sequence[Account]) -> None:
        seen: dict[str, int] = {}
        for index, account in enumerate(accounts):
            first = seen.setdefault(account.name, index)
            if first != index:
                self.problem(
                    f"accounts[{index}].name",
                    f"{_shown(account.name)}, which accounts[{first}] has already",
                    "a name of its own for each account",
                    f"{account.name}-2",
                )

    # -- single values: each gives None where nothing, or nothing usable, was given ----------------------------------

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
        self.problem(key, _shown(value), f"{allowed}, such as {example}", example)
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
        self.problem(key, _shown(value), ", ".join(choices), str(near[0] if near else next(iter(choices))))
        return None

    def integer(self, key: str, value: Any, lowest: int, highest: int) -> int | None:
        if value is None:
            return None
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(whole, int) and not isinstance(whole, bool) and lowest <= whole <= highest:
            return whole
        self.problem(key, _shown(value), f"a whole number from {lowest} to {highest}", str(lowest))
        return None

    def boolean(self, key: str, value: Any) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self.problem(key, _shown(value), "true or false", "true")
        return None

    def address(self, key: str, value: Any) -> str | None:
        if value is None:
            return None
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            self.problem(key, _shown(value), "an address out of the cluster's Service range", "10.96.0.50")
            return None

    # -- reporting ------------------------------------------------------------------------------------------------

    def problem(self, key: str, given: str, allowed: str, example: str, repair: str | None = None) -> None:
        repair = repair or SETTING_COMMAND.format(key=key, example=example)
        self.problems.append(Problem(key=key, given=given, allowed=allowed, repair=repair))

    def misshaped(self, key: str, value: Any, allowed: str) -> None:
        self.problem(key, f"given {_kind(value)}", allowed, "", repair=f"pulumi config rm --path 'registry:{key}'")

    @staticmethod
    def chosen(**values: Any) -> dict[str, Any]:
        """What was given; a dataclass has the defaults of the rest."""
        return {name: value for name, value in values.items() if value is not None}


def camel(field_name: str) -> str:
    """The key of a stack file that a field stands for: cluster_ip -> clusterIp, class_ -> class."""
    head, *tail = field_name.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in tail)


def _shown(value: Any) -> str:
    """A scalar as it was given; of anything else only what it is, since it may hold a password."""
    if isinstance(value, str | int | float | bool):
        text = json.dumps(value, ensure_ascii=False)
        return f"given {text if len(text) <= 80 else text[:77] + '...'}"
    return f"given {_kind(value)}"


def _kind(value: Any) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list" if value else "an empty list"
    return kinds.get(type(value), f"a {type(value).__name__}")


def _before_colon(value: Any) -> Any:
    """Without what may be a password: who writes user:password for a name means it well."""
    return f"{value.partition(':')[0]}:..." if isinstance(value, str) and ":" in value else value
