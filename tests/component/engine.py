"""An engine that deploys nothing and records everything, options included."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks

from tests.conftest import bcrypt_like
from tests.issuing import new_certificate, new_key

SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"  # Pulumi's mark of a value of a special kind
SECRET_KIND = "1b47061264138c4ac30d75fd1eb44270"
CLUSTER_IP = "10.96.0.50"

# A program that is refused leaves futures behind that nobody asks, and asyncio would tell of each at the very end.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


@dataclass
class Resource:
    """One registration, as the engine got it."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    protect: bool
    provider: str
    aliases: list[Any]
    depends_on: list[str]
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.type.rsplit(":", 1)[1]


class Engine(mocks.Mocks):
    """Answers as Kubernetes and the other providers do, as far as the components look."""

    def __init__(self, generated: str = "first", existing: dict[str, Any] | None = None) -> None:
        """`generated` stands in every generated value, so that another engine has others.

        `existing`: the state of objects that are read, by their id.
        """
        self.existing = existing or {}
        self.resources: list[Resource] = []
        self.generated = generated

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict]:
        if args.resource_id in self.existing:
            return args.resource_id, self.existing[args.resource_id]
        state = dict(args.inputs)
        inputs = {key: value["value"] if is_secret(value) else value for key, value in state.items()}
        if args.typ == "tls:index/privateKey:PrivateKey":
            state["privateKeyPem"] = pulumi.Output.secret(new_key())
        if args.typ == "tls:index/selfSignedCert:SelfSignedCert":
            state["certPem"] = new_certificate(inputs["privateKeyPem"], args.name, days=(-1, 3650))
        if args.typ == "tls:index/certRequest:CertRequest":
            state["certRequestPem"] = json.dumps(inputs)  # enough for the one that signs, below
        if args.typ == "tls:index/locallySignedCert:LocallySignedCert":
            request = json.loads(inputs["certRequestPem"])
            state["certPem"] = new_certificate(
                request["privateKeyPem"],
                args.name,
                [*request["dnsNames"], *request["ipAddresses"]],
                issuer=(inputs["caPrivateKeyPem"], inputs["caCertPem"]),
                days=(0, args.inputs["validityPeriodHours"] / 24),
            )
        if args.typ == "random:index/randomPassword:RandomPassword":
            state["result"] = pulumi.Output.secret(f"{self.generated}-of-{args.name}")
            state["bcryptHash"] = pulumi.Output.secret(bcrypt_like(f"{self.generated} {args.name}"))
        if args.typ == "random:index/randomBytes:RandomBytes":
            state["base64"] = pulumi.Output.secret("c2FsdHNhbHRzYWx0c2FsdA==")
        if args.typ == "kubernetes:core/v1:Service":
            state["spec"] = {"clusterIP": CLUSTER_IP, **args.inputs["spec"]}
        if args.typ.startswith("kubernetes:") and "metadata" in state and "name" not in state["metadata"]:
            state["metadata"] = {**state["metadata"], "name": f"{args.name}-1a2b3c"}
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> dict:
        return {}

    def of(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.kind == kind]

    def one(self, kind: str, name: str | None = None) -> Resource:
        found = [resource for resource in self.of(kind) if name in (None, resource.name)]
        assert len(found) == 1, f"{kind} {name}: {[resource.name for resource in found]}"
        return found[0]


class _Monitor(mocks.MockMonitor):
    """The mock monitor tells its mocks nothing of options; this one records the whole request first."""

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            self.mocks.resources.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    inputs=json_format.MessageToDict(request.object),
                    parent=request.parent.rsplit("::", 1)[-1],
                    protect=request.protect,
                    provider=request.provider or str(dict(request.providers)),
                    aliases=list(request.aliases),
                    depends_on=[urn.rsplit("::", 1)[-1] for urn in request.dependencies],
                )
            )
        return super().RegisterResource(request)


def build(
    program: Callable[[], Any], *, preview: bool = False, generated: str = "first", existing: dict | None = None
) -> tuple[Engine, Any]:
    """Runs a program to its end on a new engine. What it returned, and every registration, is settled then."""
    engine = Engine(generated, existing)
    pulumi.runtime.set_mocks(engine, project="registry", stack="test", preview=preview, monitor=_Monitor(engine))
    kept: list[Any] = []

    @pulumi.runtime.test
    def run() -> None:
        kept.append(program())

    run()
    return engine, kept[0]


def value_of(output: pulumi.Output) -> Any:
    """What an Output came to."""
    kept: list[Any] = []

    @pulumi.runtime.test
    def run() -> pulumi.Output:
        return output.apply(kept.append)

    run()
    return kept[0]


def is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(SECRET_SIGNATURE) == SECRET_KIND


def secrets_in(value: Any) -> list[Any]:
    """Every value below this one that bears the mark of a secret."""
    if is_secret(value):
        return [value["value"]]
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [secret for item in below for secret in secrets_in(item)]
