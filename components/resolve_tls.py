"""The part of a RegistryArgs below `tls` -> Tls. Pure."""

import ipaddress
import re
from typing import Any

from . import certificates
from .reader import DOMAIN, OBJECT_NAME, Reader, kind
from .settings import CA, Eab, Issuer, IssuerKind, NextCA, Plaintext, Tls, TlsMode

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


class TlsReader(Reader):
    """Which keys belong to which mode, and what may be in them."""

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
                secret=self.text(f"{key}.secret", given.get("secret"), OBJECT_NAME, "a Secret's name", "registry-tls"),
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
        name = self.text(f"{key}.name", given.get("name", ""), OBJECT_NAME, "an Issuer's name", "letsencrypt")
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
                f"given {kind(value)} that is no certificate ({error})",
                "certificates in PEM",
                "",
                repair=f"pulumi config set --path 'registry:{key}' \"$(cat ca.crt)\"",
            )
            return None
