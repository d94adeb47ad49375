"""Every file that the cluster's programs read, and each program's command line."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab import facts, paths, programs


def write_all(snapshotter: str) -> None:
    """Write the files of STATE, from the facts."""
    state = paths.STATE
    for user in ("admin", "kubelet"):
        paths.write(state / f"{user}.kubeconfig", kubeconfig(user), 0o600)
    paths.write(state / "kubeconfig", kubeconfig("admin", embed=True), 0o600)
    paths.write(state / "etc" / "containerd.toml", containerd(snapshotter))
    paths.write(state / "etc" / "cni" / "10-lab.conflist", json.dumps(cni(), indent=2))
    paths.write(state / "etc" / "kubelet.yaml", yaml.safe_dump(kubelet()))
    paths.write(state / "etc" / "kube-proxy.yaml", yaml.safe_dump(proxy()))
    paths.write(state / "etc" / "Corefile", corefile())
    paths.write(state / "etc" / "pod-resolv.conf", f"nameserver {facts.lab().dns}\n")


def kubeconfig(user: str, embed: bool = False) -> str:
    """`embed`: with the certificates in the file, so that it works wherever it is copied to."""
    import base64

    def held(key: str, file: Path) -> dict[str, str]:
        return {f"{key}-data": base64.b64encode(file.read_bytes()).decode()} if embed else {key: str(file)}

    lab, pki = facts.lab(), paths.STATE / "pki"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": lab.name,
            "clusters": [
                {"name": lab.name, "cluster": {"server": lab.url, **held("certificate-authority", pki / "ca.crt")}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        **held("client-certificate", pki / f"{user}.crt"),
                        **held("client-key", pki / f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": lab.name, "context": {"cluster": lab.name, "user": user}}],
        },
        sort_keys=False,
    )


def containerd(snapshotter: str) -> str:
    state, plugins = paths.STATE, programs.path("bridge").parent
    return f"""\
version = 2
root = "{state}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{state}/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{facts.PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{state}/etc/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
"""


def cni() -> dict:
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": str(facts.lab().pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/run/cni/networks",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet() -> dict:
    lab, pki = facts.lab(), paths.STATE / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": f"{pki}/ca.crt"}, "anonymous": {"enabled": False}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "clusterDNS": [str(lab.dns)],
        "clusterDomain": facts.DOMAIN,
        "resolvConf": f"{paths.STATE}/etc/pod-resolv.conf",
        "containerRuntimeEndpoint": f"unix://{paths.STATE}/run/containerd.sock",
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "shutdownGracePeriod": "0s",
        # what a machine without systemd, with cgroup version 1 or in a container can't give
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{lab.cgroup}",
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "featureGates": {"KubeletInUserNamespace": True},
    }


def proxy() -> dict:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(facts.lab().pods),
        "hostnameOverride": facts.lab().name,
        "clientConnection": {"kubeconfig": f"{paths.STATE}/admin.kubeconfig"},
        "iptables": {"minSyncPeriod": "100ms"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def corefile() -> str:
    lab = facts.lab()
    return f"""\
.:53 {{
    bind {lab.node}
    errors
    health {lab.node}:8080
    ready {lab.node}:8181
    kubernetes {facts.DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {paths.STATE}/admin.kubeconfig
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


@dataclass(frozen=True)
class Part:
    """One of the cluster's processes."""

    name: str
    command: list[str]
    environment: dict[str, str]
    grace: float = 5


def parts() -> list[Part]:
    """In the order in which they are started."""
    lab, state = facts.lab(), paths.STATE
    node, pki = str(programs.path("node")), state / "pki"
    admin = f"--kubeconfig={state}/admin.kubeconfig"

    def part(name: str, *command: str, grace: float = 5, **environment: str) -> Part:
        return Part(name, [str(word) for word in command], environment, grace)

    return [
        part(
            "containerd",
            programs.path("containerd"),
            "--config",
            f"{state}/etc/containerd.toml",
            PATH=_path("containerd-shim-runc-v2", "runc", "iptables"),
        ),
        part(
            "etcd",
            node,
            "etcd",
            "--data-dir",
            f"{state}/etcd",
            "--unsafe-no-fsync",
            "--log-level",
            "warn",
            "--listen-client-urls",
            "http://127.0.0.1:2379",
            "--advertise-client-urls",
            "http://127.0.0.1:2379",
            "--listen-peer-urls",
            "http://127.0.0.1:2380",
            "--initial-advertise-peer-urls",
            "http://127.0.0.1:2380",
            "--initial-cluster",
            "default=http://127.0.0.1:2380",
            grace=10,
        ),
        part(
            "kube-apiserver",
            node,
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={lab.node}",
            "--bind-address=0.0.0.0",
            f"--client-ca-file={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--kubelet-client-certificate={pki}/admin.crt",
            f"--kubelet-client-key={pki}/admin.key",
            f"--service-account-issuer=https://kubernetes.default.svc.{facts.DOMAIN}",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--service-cluster-ip-range={lab.services}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            "--shutdown-delay-duration=0s",
            grace=4,
        ),
        part(
            "kube-controller-manager",
            node,
            "kube-controller-manager",
            admin,
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/sa.key",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ),
        part("kube-scheduler", node, "kube-scheduler", admin, "--leader-elect=false", "--bind-address=127.0.0.1"),
        part(
            "kubelet",
            node,
            "kubelet",
            f"--config={state}/etc/kubelet.yaml",
            f"--kubeconfig={state}/kubelet.kubeconfig",
            f"--hostname-override={lab.name}",
            f"--node-ip={lab.node}",
            f"--root-dir={state}/kubelet",
        ),
        part(
            "kube-proxy",
            node,
            "kube-proxy",
            f"--config={state}/etc/kube-proxy.yaml",
            PATH=_path("iptables", "conntrack", "ipset"),
        ),
        part("coredns", programs.path("coredns"), "-conf", f"{state}/etc/Corefile"),
        part(
            "storage",
            sys.executable,
            "-m",
            "lab.storage",
            PYTHONPATH=str(paths.ROOT),
            LAB_STATE=str(state),
            LAB_NAME=lab.name,
        ),
    ]


def _path(*names: str) -> str:
    """A PATH with the system's folders, and those of the given programs."""
    system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return ":".join(dict.fromkeys([*(str(programs.path(name).parent) for name in names), *system]))


def manifests() -> list[dict]:
    """What the cluster holds from the beginning: name service and default StorageClass."""
    lab = facts.lab()
    ports = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]
    kube_dns = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": kube_dns,
            "spec": {"clusterIP": str(lab.dns), "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {**kube_dns, "name": "kube-dns-node", "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "endpoints": [{"addresses": [lab.node], "conditions": {"ready": True}, "nodeName": lab.name}],
            "ports": ports,
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "provisioner": facts.PROVISIONER,
            "metadata": {
                "name": facts.STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": True,
            "reclaimPolicy": "Delete",
        },
    ]
