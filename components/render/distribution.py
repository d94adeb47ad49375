"""The registry's own configuration: distribution v3's config.yml."""

import yaml

from .. import names
from .front import Listen


def config(listen: Listen = Listen(), directory: str = names.DATA_DIRECTORY) -> str:
    """config.yml for distribution v3.0 and newer (docs/content/about/configuration.md there).

    `directory` is where the blobs lie. Holds no secret: `http.secret` comes from REGISTRY_HTTP_SECRET.
    """
    return yaml.safe_dump(
        {
            "version": 0.1,
            # the front writes the access log, with the account's name in it
            "log": {"level": "warn", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": directory},
                # No blobdescriptor cache: after a garbage collection it would know blobs that are gone.
                "delete": {"enabled": True},
                # all four must be given, or the registry panics (registry/handlers/app.go, startUploadPurger)
                "maintenance": {
                    "uploadpurging": {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False},
                },
            },
            "http": {
                "addr": f"127.0.0.1:{listen.registry}",
                "relativeurls": True,  # an absolute Location would name a host or scheme that the client cannot reach
                "draintimeout": f"{names.DRAIN_SECONDS}s",
                "headers": {"X-Content-Type-Options": ["nosniff"]},
                "debug": {
                    "addr": f"127.0.0.1:{listen.registry_debug}",
                    "prometheus": {"enabled": True, "path": "/metrics"},
                },
            },
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        },
        sort_keys=False,
    )
