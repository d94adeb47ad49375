"""Every fact that more than one file needs: ports, paths, image names, label keys, fixed object names."""

TYPE_PREFIX = "registry:index"  # of every type token; in the state of every consumer, never to change

# -- images: the official ones only, so that anyone can deploy -------------------------------------
REGISTRY_IMAGE = "docker.io/library/registry:3"
FRONT_IMAGE = "docker.io/library/caddy:2"

# -- ports ------------------------------------------------------------------------------------------
HTTP_PORT = 80  # of the Service
HTTPS_PORT = 443
FRONT_HTTP_PORT = 8080  # of the pod
FRONT_HTTPS_PORT = 8443
METRICS_PORT = 9180
CERTIFICATE_PORT = 9181  # loopback of the pod only
REGISTRY_PORT = 5000  # loopback of the pod only
REGISTRY_DEBUG_PORT = 5001

# -- paths inside the pod ---------------------------------------------------------------------------
DATA_DIRECTORY = "/var/lib/registry"
REGISTRY_CONFIG_DIRECTORY = "/etc/distribution"
REGISTRY_CONFIG_FILE = "config.yml"
FRONT_DIRECTORY = "/etc/front"
FRONT_CONFIG_FILE = "Caddyfile"
DIRECTORY_CA_FILE = "directory-ca.pem"
CERTIFICATES_DIRECTORY = "/etc/front-certificates"
FRONT_DATA_DIRECTORY = "front"  # on the volume, beside the registry's own `docker`

HTTP_SECRET_KEY = "http-secret"

# -- nodes: what NodeConfig writes bears the mark, by which it knows its own, for ever ----------------
NODE_FILE_MARK = "# written by the registry's NodeConfig, which overwrites every change"
NODE_SKIP_LABEL = "node-config.registry/skip"  # a node with this label is left out
NODE_DIRECTORY = "/node"  # in the pod, before each of the node's folders
NODE_SCRIPT_DIRECTORY = "/script"
NODE_WANTED_DIRECTORY = "/wanted"
NODE_STATE_DIRECTORY = "/state"

# -- paths that clients ask for ---------------------------------------------------------------------
TOKEN_PATH = "/token"
LIVE_PATH = "/livez"
READY_PATH = "/readyz"

# An account that may push below a prefix may also delete in this one repository there, so that the
# smoke test can remove what it pushed without any account having to hold the delete permission.
SMOKE_REPOSITORY = "registry-smoke-test"

# -- what else is known by name ---------------------------------------------------------------------
CLIENTS_CONFIG_MAP = "{service}-clients"  # for pods to mount
DEBUG_POD = "registry-debug"

# -- how it runs ------------------------------------------------------------------------------------
DRAIN_SECONDS = 60  # how long a stopping registry waits for requests under way
USER_ID = 1000

# -- labels: the selector's two are constant for ever ------------------------------------------------
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"
APPLICATION = "registry"
NODES_APPLICATION = "registry-nodes"  # another: the Service's selector must not find these pods
RESERVED_LABELS = (NAME_LABEL, INSTANCE_LABEL, MANAGED_BY_LABEL, PART_OF_LABEL)
