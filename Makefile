# Everything that a newcomer needs: `make up`, `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
LAB := $(BIN)/python -m lab
STACK ?= dev

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | while IFS="$$(printf '\t')" read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.PHONY: up
up: .venv/installed ## a cluster on this machine, the registry deployed to it, an image pushed and pulled
	$(LAB) check
	$(LAB) build
	$(LAB) up
	$(LAB) run -- pulumi stack select --create $(STACK)
	$(LAB) run -- pulumi up --yes --skip-preview --stack $(STACK)
	$(LAB) demo
	$(LAB) run -- $(CURDIR)/$(BIN)/python -m components.smoke --wait 60

.PHONY: test
test: .venv/installed ## pure, component and live tests
	$(LAB) build registry caddy parse-kind parse-k3s parse-buildkit
	$(BIN)/python -m pytest --quiet

.PHONY: test-cluster
test-cluster: .venv/installed ## the tests on the cluster; it is started for them where it is not up
	$(LAB) build
	$(LAB) build cert-manager podman docker dockerd containerd2 ctr2 containerd-shim2
	$(BIN)/python -m pytest --quiet -m cluster tests/cluster

CLIENTS := podman buildah skopeo docker dockerd dockerd29 containerd containerd2 crictl buildkitd buildctl runc crane crane-before \
	cosign ko oras helm helm4

.PHONY: test-clients
test-clients: .venv/installed ## every client program with its installed files, against plain HTTP and TLS
	$(LAB) build registry caddy $(CLIENTS)
	$(BIN)/python -m pytest --quiet -m clients tests/clients

.PHONY: local
local: .venv/installed ## registry and front as two processes on loopback, where no cluster can run
	$(BIN)/python -m components.local .lab/local
	$(LAB) serve .lab/local --check "$(BIN)/python -m components.smoke --outputs .lab/local/outputs.json --url http://127.0.0.1:8080"

.PHONY: smoke
smoke: .venv/installed ## the smoke test against the deployed stack
	$(LAB) run -- $(CURDIR)/$(BIN)/python -m components.smoke

.PHONY: debug-pod
debug-pod: .venv/installed ## a shell in a pod whose clients know the registry
	$(LAB) run -- $(CURDIR)/$(BIN)/python -m components.debug_pod --image docker.io/library/alpine:latest --image localhost/lab/toolbox:1

.PHONY: status
status: .venv/installed ## what runs
	$(LAB) status

.PHONY: down
down: .venv/installed ## stop the cluster and keep its data
	$(LAB) down

.PHONY: reset
reset: .venv/installed ## stop the cluster and delete its data
	$(LAB) reset

.PHONY: bench
bench: .venv/installed ## the front against the registry alone
	$(LAB) build registry caddy
	$(BIN)/python -m bench.front

.PHONY: lint
lint: .venv/installed ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
