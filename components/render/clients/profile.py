"""Shell snippets, for clients whose only way to be configured is their command line."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ..endpoint import Endpoint
from .client import Files

# Go takes the first bundle of the system that it finds, and then every file of these folders (crypto/x509,
# root_unix.go): one more folder adds a CA, where SSL_CERT_FILE would replace all others. OpenSSL takes a list, too.
CERTIFICATES = "/etc/ssl/certs:/etc/pki/tls/certs"


@dataclass(frozen=True)
class Script:
    """One program's snippet for one registry. A login shell reads it by itself, another one with `. FILE`."""

    host: str
    program: str

    @property
    def path(self) -> str:
        return f"/etc/profile.d/50-{self.host}-{self.program}.sh"

    def exported(self, values: Mapping[str, str]) -> Files:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
        return {self.path: "".join(lines)}

    def wrapped(self, endpoint: Endpoint, *cases: tuple[str, str], by: str = "$1", subject: str = "$*") -> Files:
        """The program as a function that does as before, and speaks to this registry in the right way.

        `cases`: pattern of `by` -> arguments for plain HTTP, of which "$@" are the given ones; the first that matches
        holds, and where none does nothing is added. `subject`: what names the registry.
        """
        if endpoint.https and not endpoint.ca:
            return {}
        own = f'command {self.program} "$@"'
        if endpoint.https:
            folder = f"/etc/registry-ca/{self.host}"
            lines = [f"        {self._trusting(folder)}"]
            return {self.path: self._function(subject, own, lines), f"{folder}/ca.crt": endpoint.ca}
        chosen = [f"        {pattern}) command {self.program} {words} ;;" for pattern, words in cases]
        if not any(pattern == "*" for pattern, _ in cases):
            chosen.append(f"        *) {own} ;;")
        return {self.path: self._function(subject, own, [f'        case "{by}" in', *chosen, "        esac"])}

    def trusting(self, folder: str) -> Files:
        """The program as a function that trusts the CA in this folder, too."""
        return {self.path: f"{self.program}() {{\n    {self._trusting(folder)}\n}}\n"}

    def _trusting(self, folder: str) -> str:
        return f'SSL_CERT_DIR="${{SSL_CERT_DIR:-{CERTIFICATES}}}:{folder}" command {self.program} "$@"'

    def _function(self, subject: str, own: str, lines: list[str]) -> str:
        return "\n".join(
            [
                f"{self.program}() {{",
                f'    case "{subject}" in',
                f"    *{shlex.quote(self.host)}*)",
                *lines,
                "        ;;",
                f"    *) {own} ;;",
                "    esac",
                "}",
                "",
            ]
        )
