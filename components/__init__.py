"""A simple container registry for Kubernetes, as Pulumi components.

from components import Registry

registry = Registry("registry", {"accounts": [{"name": "ci", "repositories": ["team/*"]}]})
pulumi.export("host", registry.host)
"""

from .accounts import PushAccounts
from .args import AccountArgs, ImagesArgs, RegistryArgs, ResourcesArgs, ServiceArgs, StorageArgs
from .registry import Registry
from .resolve import ConfigError

__all__ = [
    "AccountArgs",
    "ConfigError",
    "ImagesArgs",
    "PushAccounts",
    "Registry",
    "RegistryArgs",
    "ResourcesArgs",
    "ServiceArgs",
    "StorageArgs",
]
