"""Shell snippets, for clients whose only way to be configured is their command line."""

import re
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
        if endpoint.https:
            folder = f"/etc/registry-ca/{self.host}"
            return {
                self.path: self._function(subject, [f'        {_trusting(folder)} command {self.program} "$@"']),
                f"{folder}/ca.crt": endpoint.ca,
            }
        chosen = [f"        {pattern}) command {self.program} {words} ;;" for pattern, words in cases]
        if not any(pattern == "*" for pattern, _ in cases):
            chosen.append(f'        *) command {self.program} "$@" ;;')
        return {self.path: self._function(subject, [f'        case "{by}" in', *chosen, "        esac"])}

    def trusting(self, folder: str) -> Files:
        """The program as a function that trusts the CA in this folder, too."""
        return {self.path: self._chained(f'    ({_trusting(folder)} && export SSL_CERT_DIR && "${self._next}" "$@")')}

    def _function(self, subject: str, lines: list[str]) -> str:
        return self._chained(
            f'    case "{subject}" in',
            f"    *{shlex.quote(self.host)}*)",
            *lines,
            "        ;;",
            f'    *) "${self._next}" "$@" ;;',
            "    esac",
        )

    def _chained(self, *body: str) -> str:
        """Each registry has a function of its own, which hands on what is not for it: a shell may know several."""
        program, own = self.program, self._own
        return "\n".join(
            [
                f'{program}_elsewhere() {{ command {program} "$@"; }}',
                f'if [ -z "${{{self._next}-}}" ]; then',
                f"    {self._next}=${{{program}_first:-{program}_elsewhere}}",
                f"    {program}_first={own}",
                "fi",
                f"{own}() {{",
                *body,
                "}",
                f'{program}() {{ "${program}_first" "$@"; }}',
                "",
            ]
        )

    @property
    def _own(self) -> str:
        return f"{self.program}_{re.sub('[^A-Za-z0-9]', '_', self.host)}"

    @property
    def _next(self) -> str:
        return f"{self._own}_next"


def _trusting(folder: str) -> str:
    return f'SSL_CERT_DIR="${{SSL_CERT_DIR:-{CERTIFICATES}}}:{folder}"'
