"""Who makes the registry's certificate, where the pod finds it, and what clients are to trust."""

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from . import certificates, pod
from .authority import InternalCA
from .settings import Settings, TlsMode

LOOPBACK = ("127.0.0.1", "::1")  # a forwarded port is reached by these


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """`ca_certificate`: PEM that clients need, None for a public CA. `covers_address`: whether nodes can verify the
    Service's address. `certificate`: what the output of that name says."""

    ca_certificate: pulumi.Output[str | None]
    covers_address: pulumi.Output[bool]
    certificate: pulumi.Output[Mapping[str, str]]


def encryption(
    name: str, settings: Settings, parent: pulumi.Resource, ca: InternalCA, address: pulumi.Output[str]
) -> Encryption:
    """The resources of `settings.tls.mode`. `address` is the Service's. Raises pulumi.RunError, when it becomes
    known, for an existing certificate that the front could not use."""
    mode = settings.tls.mode
    if mode is TlsMode.OFF:
        return _known(None, False, {"mode": "off"})
    # of every mode: it bridges the time until the mode's own certificate is there
    internal = _internal(name, settings, parent, ca, address)
    if mode is TlsMode.INTERNAL:
        return internal
    if mode is TlsMode.SECRET:
        return _secret(name, settings, parent, address)
    if mode is TlsMode.CERT_MANAGER:
        return _cert_manager(name, settings, parent, address)
    return _known(settings.tls.ca_certificate, False, {"mode": "acme", "renewedBy": "the front"})


def _internal(
    name: str, settings: Settings, parent: pulumi.Resource, ca: InternalCA, address: pulumi.Output[str]
) -> Encryption:
    opts = pulumi.ResourceOptions(parent=parent)
    hosts = [*settings.service_names, *LOOPBACK, *settings.tls.hosts]
    issued = ca.issue(f"{name}-leaf", list(dict.fromkeys(hosts)), addresses=[address], opts=opts)
    kubernetes.core.v1.Secret(
        f"{name}-internal-tls",
        metadata=pod.metadata(settings, pod.certificate_secrets(settings)[TlsMode.INTERNAL]),
        type="kubernetes.io/tls",
        string_data={"tls.crt": issued.certificate, "tls.key": issued.key},
        opts=opts,
    )
    told = {
        "mode": "internal",
        "notAfter": issued.not_after,
        "renewFrom": issued.renew_from,
        "renewedBy": "the next pulumi up from renewFrom on",
    }
    return Encryption(
        ca_certificate=ca.certificates,
        covers_address=pulumi.Output.from_input(True),
        certificate=pulumi.Output.all(**told),
    )


def _secret(name: str, settings: Settings, parent: pulumi.Resource, address: pulumi.Output[str]) -> Encryption:
    secret = pod.certificate_secrets(settings)[TlsMode.SECRET]
    given = kubernetes.core.v1.Secret.get(
        f"{name}-given-tls", f"{settings.namespace}/{secret}", opts=pulumi.ResourceOptions(parent=parent)
    )

    def read(data: Mapping[str, str] | None) -> dict[str, str]:
        texts = {key: base64.b64decode(value).decode() for key, value in (data or {}).items()}
        certificate, key = texts.get("tls.crt", ""), texts.get("tls.key", "")
        faults = certificates.faults(certificate, key, [settings.image_host], datetime.datetime.now(datetime.UTC))
        if faults:
            lines = "\n".join(f"  {fault}" for fault in faults)
            raise pulumi.RunError(
                f"registry:tls.secret: the Secret {settings.namespace}/{secret} cannot be used\n{lines}\n"
                f"    repair: kubectl -n {settings.namespace} create secret tls {secret} --cert=tls.crt --key=tls.key "
                "--dry-run=client -o yaml | kubectl apply -f -"
            )
        return {"certificate": certificate, "ca": texts.get("ca.crt", "")}

    # no private key leaves `read`, and what does is public
    checked = pulumi.Output.unsecret(given.data.apply(read))
    return Encryption(
        ca_certificate=checked.apply(lambda texts: settings.tls.ca_certificate or texts["ca"] or None),
        covers_address=pulumi.Output.all(checked, address).apply(
            lambda pair: certificates.covers(pair[0]["certificate"], pair[1])
        ),
        certificate=checked.apply(
            lambda texts: {
                "mode": "secret",
                "notAfter": f"{certificates.leaf(texts['certificate']).not_after:{certificates.FORMAT}}",
                "renewedBy": f"whoever writes the Secret {secret}",
            }
        ),
    )


def _cert_manager(name: str, settings: Settings, parent: pulumi.Resource, address: pulumi.Output[str]) -> Encryption:
    tls = settings.tls
    # an issuer for public names would refuse the cluster's own, so with a host they are not asked for
    own_names = tls.host is None
    dns = [host for host in tls.hosts if not certificates.is_address(host)]
    addresses = [host for host in tls.hosts if certificates.is_address(host)]
    secret = pod.certificate_secrets(settings)[TlsMode.CERT_MANAGER]
    kubernetes.apiextensions.CustomResource(
        f"{name}-certificate",
        api_version="cert-manager.io/v1",
        kind="Certificate",
        metadata=pod.metadata(settings, secret),
        spec={
            "secretName": secret,
            "dnsNames": [*(settings.service_names if own_names else [tls.host]), *dns],
            "ipAddresses": [*([address, *LOOPBACK] if own_names else []), *addresses],
            "issuerRef": {"group": "cert-manager.io", "kind": str(tls.issuer.kind), "name": tls.issuer.name},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
        },
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return _known(tls.ca_certificate, own_names, {"mode": "cert-manager", "renewedBy": "cert-manager"})


def _known(ca_certificate: str | None, covers_address: bool, certificate: dict[str, str]) -> Encryption:
    return Encryption(
        ca_certificate=pulumi.Output.from_input(ca_certificate),
        covers_address=pulumi.Output.from_input(covers_address),
        certificate=pulumi.Output.from_input(certificate),
    )
