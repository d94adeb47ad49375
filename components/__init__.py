"""A simple container registry for Kubernetes, as Pulumi components.

from components import Registry

registry = Registry("registry", {"accounts": [{"name": "ci", "repositories": ["team/*"]}]})
pulumi.export("host", registry.host)
"""

from .accounts import PushAccounts
from .args import (
    AccountArgs,
    CAArgs,
    EabArgs,
    ImagesArgs,
    IssuerArgs,
    RegistryArgs,
    ResourcesArgs,
    ServiceArgs,
    StorageArgs,
    TlsArgs,
)
from .authority import InternalCA, InternalCAArgs, Issued
from .node_config import NodeConfig, NodeConfigArgs
from .reader import ConfigError
from .registry import Registry

__all__ = [
    "AccountArgs",
    "CAArgs",
    "ConfigError",
    "EabArgs",
    "ImagesArgs",
    "InternalCA",
    "InternalCAArgs",
    "Issued",
    "IssuerArgs",
    "NodeConfig",
    "NodeConfigArgs",
    "PushAccounts",
    "Registry",
    "RegistryArgs",
    "ResourcesArgs",
    "ServiceArgs",
    "StorageArgs",
    "TlsArgs",
]
