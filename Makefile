# Process Manager. "make help" lists what there is to do.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.ONESHELL:

# The local cluster that run and its companions use; test has one of its own.
CLUSTER ?= run
# Where the facade answers on 127.0.0.1 after make run.
PORT ?= 3000

# A base URL for make contract.
URL ?=

export GOFLAGS := -buildvcs=false
export URL

##@ The two commands

.PHONY: run
run: ## Start a cluster, install, read the text of a page image, leave the service up
	@hack/run.sh $(CLUSTER) $(PORT)

.PHONY: test
test: ## Check everything: generated files, lint, unit, envtest, fuzzing, end to end
	@hack/test.sh generated lint unit fuzz e2e

##@ For worker authors

.PHONY: cli
cli: ## Build bin/procman, the kit of those who write workers
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/procman ./cmd/procman

##@ After make run

.PHONY: stop
stop: bin/localcluster ## Stop what make run started, and remove it
	@bin/localcluster down --name $(CLUSTER)

.PHONY: kubeconfig
kubeconfig: bin/localcluster ## Print the path of the cluster's kubeconfig (make -s kubeconfig)
	@bin/localcluster kubeconfig --name $(CLUSTER)

.PHONY: deploy
deploy: bin/localcluster ## Build the images anew and bring them into the running cluster
	@hack/deploy.sh $(CLUSTER)

.PHONY: contract
contract: ## Run the contract suite against URL=http://..., by default what make run started
	@hack/contract.sh $(CLUSTER) $(PORT)

##@ Parts of make test

.PHONY: generate
generate: bin/controller-gen bin/kustomize ## Generate deepcopy functions, CRDs and config/install.yaml
	@bin/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	bin/controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	bin/kustomize build config/default > config/install.yaml

.PHONY: generated
generated: ## Check that the generated files are current
	@hack/test.sh generated

.PHONY: lint
lint: ## Run golangci-lint, and kube-api-linter on the API types
	@hack/test.sh lint

.PHONY: unit
unit: ## Run unit tests and envtest (a real API server)
	@hack/test.sh unit

.PHONY: fuzz
fuzz: ## Fuzz what clients send, FUZZ_SECONDS=10 for each target
	@hack/test.sh fuzz

.PHONY: e2e
e2e: ## Run the end-to-end suite on a local cluster of its own
	@hack/test.sh e2e

##@ Measuring

.PHONY: bench
bench: ## Measure a process against a bare Job on the cluster of make run
	@go run ./hack/bench -kubeconfig $$($(MAKE) -s kubeconfig)

##@ Tools

# Always asked: go knows better than make whether a program is current.
.PHONY: bin/localcluster
bin/localcluster:
	@go build -C hack/localcluster -ldflags "-X main.partsDir=$(CURDIR)/hack/localcluster/parts" -o $(CURDIR)/bin/localcluster .

bin/controller-gen bin/kustomize bin/gotestsum bin/golangci-lint-kube-api-linter &: hack/tools/go.mod
	@echo "building the tools of hack/tools (a few minutes, once)"
	go build -C hack/tools -trimpath -ldflags "-s -w" -o $(CURDIR)/bin/ tool
	touch bin/controller-gen bin/kustomize bin/gotestsum bin/golangci-lint-kube-api-linter

.PHONY: clean
clean: ## Remove what was built in this directory
	@rm -rf bin out

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
