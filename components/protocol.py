"""A small client of the OCI distribution spec v1.1: shows a test what a real client would see."""

import hashlib
import json
import re
import ssl
from types import TracebackType
from typing import Self

import httpx

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CHALLENGE = re.compile(r'Bearer realm="(?P<realm>[^"]+)",service="(?P<service>[^"]+)"')


class Refused(Exception):
    """The registry said no: `status`, and the code and message of its error body."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            error = response.json()["errors"][0]
            text = f"{error['code']}: {error['message']}"
        except (ValueError, LookupError, TypeError):
            text = "without an error of the registry's"
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {text}")


class Client:
    """One user of the registry at `url`; without an account, an anonymous one."""

    def __init__(
        self,
        url: str,
        account: tuple[str, str] | None = None,
        timeout: float = 10,
        verify: ssl.SSLContext | bool = True,
        server_name: str | None = None,
    ) -> None:
        """`timeout` in seconds, for each wait on the network. `verify` as httpx has it.

        `server_name`: the name to ask for and to verify, where `url` has an address.
        """
        self._http = httpx.Client(base_url=url, timeout=timeout, verify=verify, trust_env=False)
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        self._account = account
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def challenge(self) -> str:
        """The realm that GET /v2/ names. Raises Refused when there is none."""
        response = self._send("GET", "/v2/")
        found = CHALLENGE.fullmatch(response.headers.get("WWW-Authenticate", ""))
        if response.status_code != 401 or not found:
            raise Refused(response)
        return found["realm"]

    def login(self) -> str:
        """A token, as the challenge asks for it. Raises Refused on a wrong password."""
        response = self._send("GET", self.challenge(), params={"service": "registry"}, auth=self._account)
        self._token = _ok(response).json()["token"]
        return self._token

    def request(self, method: str, url: str, **options: object) -> httpx.Response:
        """A request with the token. Raises Refused on an error."""
        headers = {"Authorization": f"Bearer {self._token or self.login()}", **options.pop("headers", {})}
        return _ok(self._send(method, url, headers=headers, **options))

    def _send(self, method: str, url: str, **options: object) -> httpx.Response:
        """Sends once more what only reads and found its idle connection closed (RFC 9112, section 9.3.1), as all
        clients in Go do."""
        try:
            return self._http.request(method, url, extensions=self._extensions, **options)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if method not in ("GET", "HEAD"):
                raise
        return self._http.request(method, url, extensions=self._extensions, **options)

    def start_upload(self, repository: str) -> str:
        """The upload's URL (spec, section "POST then PUT")."""
        return self.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]

    def cancel_upload(self, location: str) -> None:
        self.request("DELETE", location)

    def push_blob(self, repository: str, content: bytes) -> str:
        """Its digest."""
        location = httpx.URL(self.start_upload(repository))
        self.request("PUT", location.copy_merge_params({"digest": digest(content)}), content=content)
        return digest(content)

    def pull_blob(self, repository: str, reference: str) -> bytes:
        return self.request("GET", f"/v2/{repository}/blobs/{reference}").content

    def push_image(self, repository: str, tag: str, layer: bytes) -> str:
        """An image of one layer. Its digest."""
        config = b"{}"
        self.push_blob(repository, config)
        self.push_blob(repository, layer)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
                "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
            }
        ).encode()
        self.request(
            "PUT", f"/v2/{repository}/manifests/{tag}", content=manifest, headers={"Content-Type": MANIFEST_TYPE}
        )
        return digest(manifest)

    def pull_manifest(self, repository: str, reference: str) -> bytes:
        headers = {"Accept": MANIFEST_TYPE}
        return self.request("GET", f"/v2/{repository}/manifests/{reference}", headers=headers).content

    def delete(self, repository: str, kind: str, reference: str) -> None:
        """`kind` is manifests or blobs."""
        self.request("DELETE", f"/v2/{repository}/{kind}/{reference}")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _ok(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise Refused(response)
    return response
