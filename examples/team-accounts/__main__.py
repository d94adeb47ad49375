"""Accounts for a team each, and the pull credentials of one namespace where anonymous pull is off."""

import pulumi
import pulumi_kubernetes as kubernetes

from components import Registry  # `from simple_registry import Registry` where it is installed with pip

TEAMS = ["backend", "frontend"]

cluster = kubernetes.Provider("cluster", enable_secret_mutable=True)
registry = Registry(
    "registry",
    {
        "anonymous": "none",
        "accounts": [
            *({"name": team, "repositories": [f"{team}/*"], "permissions": ["push", "delete"]} for team in TEAMS),
            {"name": "nodes", "permissions": ["pull"]},
        ],
    },
    pulumi.ResourceOptions(providers=[cluster]),
)
kubernetes.core.v1.Secret(
    "pull",
    metadata={"name": "registry-pull", "namespace": "default"},
    type="kubernetes.io/dockerconfigjson",
    string_data={".dockerconfigjson": registry.accounts["nodes"]["dockerConfigJson"]},
    opts=pulumi.ResourceOptions(provider=cluster),
)
