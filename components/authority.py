"""InternalCA: a certificate authority of the program's own, and the certificates that it issues."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import pulumi
import pulumi_tls as tls

from . import names
from .certificates import FORMAT, is_address, leaf
from .resolve import resolve
from .settings import CA

# State is a contract: a changed argument would make the CA anew, and every client would have to be told.
ALGORITHM = {"algorithm": "ECDSA", "ecdsa_curve": "P256"}
CA_HOURS = 10 * 365 * 24
LEAF_HOURS = 90 * 24
RENEWAL_HOURS = 30 * 24  # before the end


class InternalCAArgs(TypedDict, total=False):
    """As `tls.ca` of a Registry, and whether it may be deleted."""

    generation: int
    """Number of the present CA. Default: 1."""
    next: str
    """`off`, `trusted` or `serving`. Default: off."""
    protect: bool
    """Whether Pulumi refuses to delete the CA. Default: true."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A server's certificate. It is renewed by the next update within its last 30 days."""

    certificate: pulumi.Output[str]
    """PEM."""
    key: pulumi.Output[str]
    """PEM. Secret."""
    not_after: pulumi.Output[str]
    """RFC 3339."""
    renew_from: pulumi.Output[str]
    """RFC 3339: the next update from here on renews it."""


class InternalCA(pulumi.ComponentResource):
    """An ECDSA P-256 certificate authority for ten years. Its key is in the encrypted state and nowhere else.

    Usable without a Registry: `InternalCA("ca").issue("web", ["web.example.com"])`. Going over to another CA is
    described in docs/tls.md.
    """

    certificates: pulumi.Output[str]
    """PEM of every CA that clients are to trust: one, or two while the next one is being brought in."""

    def __init__(
        self, name: str, args: InternalCAArgs | CA | None = None, opts: pulumi.ResourceOptions | None = None, *,
        protect: bool = True,
    ) -> None:  # fmt: skip
        """Raises ConfigError, before anything is registered, for a mistake in `args`."""
        if not isinstance(args, CA):
            given = dict(args or {})
            protect = given.pop("protect", protect)
            args = resolve({"tls": {"ca": given}}).tls.ca
        super().__init__(f"{names.TYPE_PREFIX}:InternalCA", name, {}, opts)
        made = {}
        for generation in args.trusted:
            # the one that is about to be dropped is let go, so that the last step needs no hand on the state
            leaving = generation < args.serving
            made[generation] = self._authority(f"{name}-{generation}", protect and not leaving)
        self._key, self._certificate = made[args.serving]
        self.certificates = pulumi.Output.all(*(certificate for _, certificate in made.values())).apply("".join)
        self.register_outputs({"certificates": self.certificates})

    def issue(
        self,
        name: str,
        hosts: Sequence[str],
        *,
        addresses: Sequence[pulumi.Input[str]] = (),
        validity_hours: int = LEAF_HOURS,
        renewal_hours: int = RENEWAL_HOURS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Issued:
        """A certificate for names and addresses among `hosts`, and for `addresses`, which may be known later.

        `renewal_hours` before its end the next update renews it; its key stays, and the CA. Raises ValueError where
        it would always be due.
        """
        if renewal_hours >= validity_hours:
            raise ValueError(
                f"renewal_hours is {renewal_hours}, and must be less than validity_hours, {validity_hours}"
            )
        opts = opts or pulumi.ResourceOptions(parent=self)
        fixed = [host for host in hosts if not is_address(host)]
        key = tls.PrivateKey(f"{name}-key", **ALGORITHM, opts=opts)
        request = tls.CertRequest(
            f"{name}-request",
            private_key_pem=key.private_key_pem,
            subject={"common_name": fixed[0] if fixed else name},
            dns_names=fixed,
            ip_addresses=[*(host for host in hosts if is_address(host)), *addresses],
            opts=opts,
        )
        certificate = tls.LocallySignedCert(
            f"{name}-certificate",
            ca_private_key_pem=self._key,
            ca_cert_pem=self._certificate,
            cert_request_pem=request.cert_request_pem,
            allowed_uses=["digital_signature", "server_auth"],
            validity_period_hours=validity_hours,
            early_renewal_hours=renewal_hours,
            set_subject_key_id=True,
            opts=opts,
        )
        return Issued(
            certificate=certificate.cert_pem,
            key=pulumi.Output.secret(key.private_key_pem),
            not_after=certificate.cert_pem.apply(lambda pem: f"{leaf(pem).not_after:{FORMAT}}"),
            renew_from=certificate.cert_pem.apply(lambda pem: f"{_renewal(pem, renewal_hours):{FORMAT}}"),
        )

    def _authority(self, name: str, protect: bool) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        opts = pulumi.ResourceOptions(parent=self, protect=protect)
        key = tls.PrivateKey(f"{name}-key", **ALGORITHM, opts=opts)
        certificate = tls.SelfSignedCert(
            f"{name}-certificate",
            private_key_pem=key.private_key_pem,
            is_ca_certificate=True,
            subject={"common_name": f"{name} internal CA"},
            allowed_uses=["cert_signing", "crl_signing", "digital_signature"],
            validity_period_hours=CA_HOURS,
            set_subject_key_id=True,
            opts=opts,
        )
        return key.private_key_pem, certificate.cert_pem


def _renewal(pem: str, hours: int) -> datetime.datetime:
    return leaf(pem).not_after - datetime.timedelta(hours=hours)
