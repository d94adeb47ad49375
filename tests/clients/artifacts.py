"""What is pulled and pushed: an image of one small layer, and a chart."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from components import protocol

LOCAL = "localhost/live/tiny:1"  # the image's name in a client's own store
CHART = "apiVersion: v2\nname: tiny\nversion: 0.1.0\n"


def tiny_image(path: Path) -> Path:
    """The image as `docker save` writes it: every client can load that."""
    layer = _tar({"hello": b"hello\n"})
    config = _config(layer)
    name = hashlib.sha256(config).hexdigest()
    manifest = json.dumps([{"Config": f"{name}.json", "RepoTags": [LOCAL], "Layers": ["layer/layer.tar"]}]).encode()
    path.write_bytes(_tar({f"{name}.json": config, "layer/layer.tar": layer, "manifest.json": manifest}))
    return path


def push_image(pusher: protocol.Client, repository: str, tag: str) -> None:
    """The same image, pushed without any of the clients under test; oras pulls it as well."""
    layer = _tar({"hello": b"hello\n"})
    config = _Part("application/vnd.oci.image.config.v1+json", _config(layer))
    _push(pusher, repository, tag, config, _Part("application/vnd.oci.image.layer.v1.tar+gzip", _packed(layer)))


def push_chart(pusher: protocol.Client, repository: str) -> None:
    """As Helm does (its docs, "Use OCI-based registries"). `repository` ends in the chart's name."""
    config = _Part("application/vnd.cncf.helm.config.v1+json", b'{"name":"tiny","version":"0.1.0","apiVersion":"v2"}')
    chart = _packed(_tar({"tiny/Chart.yaml": CHART.encode()}))
    _push(pusher, repository, "0.1.0", config, _Part("application/vnd.cncf.helm.chart.content.v1.tar+gzip", chart))


class _Part:
    def __init__(self, media_type: str, content: bytes) -> None:
        self.content = content
        self.descriptor = {"mediaType": media_type, "digest": protocol.digest(content), "size": len(content)}


def _push(pusher: protocol.Client, repository: str, tag: str, config: _Part, layer: _Part) -> None:
    for part in (config, layer):
        pusher.push_blob(repository, part.content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": protocol.MANIFEST_TYPE,
        "config": config.descriptor,
        "layers": [layer.descriptor],
    }
    headers = {"Content-Type": protocol.MANIFEST_TYPE}
    url = f"/v2/{repository}/manifests/{tag}"
    pusher.request("PUT", url, content=json.dumps(manifest).encode(), headers=headers)


def _config(layer: bytes) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [protocol.digest(layer)]},
            "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "test"}],
        }
    ).encode()


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
