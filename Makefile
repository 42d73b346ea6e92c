# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# Process Manager. "make help" lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.ONESHELL:

# The local cluster of run, stop, kubeconfig, deploy, contract and bench. test uses
# another one.
CLUSTER ?= run
# The port of the service on 127.0.0.1 after make run.
PORT ?= 3000

# The base URL for make contract. Empty: what make run started.
URL ?=
export URL

# The flags of every build. Go's build cache keeps packages by their flags, so with
# one set of flags the cluster, the images, the tests and lint compile them once.
# Programs are stripped, so debug information would only cost time (ADR 27).
export GOFLAGS := -buildvcs=false -trimpath -gcflags=all=-dwarf=false
export CGO_ENABLED := 0

##@ The two commands

.PHONY: run
run: ## Start a cluster, install, read the text of a page image, keep the service running
	@hack/run.sh $(CLUSTER) $(PORT)

.PHONY: test
test: ## Check everything: generated files, lint, unit, envtest, fuzzing, end to end
	@hack/test.sh generated lint unit fuzz e2e

##@ For worker authors

.PHONY: cli
cli: ## Build bin/procman, the command line for authors of workers
	@hack/cli.sh

.PHONY: image
image: bin/localcluster ## Put a worker into an image on the local cluster: DIR=... IMAGE=... PACKAGES="python3 ..."
	@hack/image.sh "$(CLUSTER)" "$(DIR)" "$(IMAGE)" $(PACKAGES)

##@ After make run

.PHONY: stop
stop: bin/localcluster ## Stop and remove what make run started
	@bin/localcluster down --name $(CLUSTER)

.PHONY: kubeconfig
kubeconfig: bin/localcluster ## Print the path of the cluster's kubeconfig (make -s kubeconfig)
	@bin/localcluster kubeconfig --name $(CLUSTER)

.PHONY: deploy
deploy: bin/localcluster ## Rebuild the images and install them on the running cluster
	@hack/deploy.sh $(CLUSTER)

.PHONY: contract
contract: ## Run the contract suite against URL=http://... (default: what make run started)
	@hack/contract.sh $(CLUSTER) $(PORT)

##@ Parts of make test

.PHONY: generate
generate: bin/controller-gen bin/kustomize ## Generate deepcopy functions, CRDs and config/install.yaml
	@bin/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	bin/controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	bin/kustomize build config/default > config/install.yaml

.PHONY: generated
generated: ## Check that the generated files are up to date
	@hack/test.sh generated

.PHONY: lint
lint: ## Run golangci-lint, kube-api-linter on the API types, and check file headers
	@hack/test.sh lint

.PHONY: unit
unit: ## Run unit tests and envtest (a real API server)
	@hack/test.sh unit

.PHONY: fuzz
fuzz: ## Fuzz the requests of clients, FUZZ_SECONDS=10 for each target
	@hack/test.sh fuzz

.PHONY: e2e
e2e: ## Run the end-to-end tests on a local cluster of their own
	@hack/test.sh e2e

##@ Measuring

.PHONY: bench
bench: ## Time the start of the agent; compare processes with bare Jobs on the cluster of make run, one by one and in a burst
	@go test ./cmd/agent -run '^$$' -bench Start
	@go run ./hack/bench -kubeconfig $$($(MAKE) -s kubeconfig)

##@ Tools

# Phony, because go decides whether the program is up to date.
.PHONY: bin/localcluster
bin/localcluster:
	@GOGC=200 go build -C hack/localcluster -ldflags "-X main.partsDir=$(CURDIR)/hack/localcluster/parts" -o $(CURDIR)/bin/localcluster .

bin/controller-gen bin/kustomize bin/gotestsum bin/golangci-lint-kube-api-linter &: hack/tools/go.mod
	@echo "building the tools of hack/tools (several minutes, once)"
	GOGC=200 go build -C hack/tools -ldflags "-s -w" -o $(CURDIR)/bin/ tool
	touch bin/controller-gen bin/kustomize bin/gotestsum bin/golangci-lint-kube-api-linter

.PHONY: clean
clean: ## Remove everything that was built in this directory
	@rm -rf bin out

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
