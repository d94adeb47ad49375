"""Which versions of which clients the tests ran with these very files: `make test-clients`, and docs/clients.json."""

PROVEN = {
    "podman": ("4.3.1",),
    "buildah": ("1.28.2",),
    "buildah-env": ("1.28.2",),
    "skopeo": ("1.9.3",),
    "docker": ("20.10.24", "2.0.0-beta.24"),
    "containerd": ("1.6.20", "2.4.2"),
    "buildkit": ("0.34.2",),
    "crane": ("0.22.1", "0.21.5"),
    "cosign": ("3.1.3",),
    "ko": ("0.19.1",),
    "oras": ("1.3.6",),
    "helm": ("3.22.0", "4.3.1"),
}
