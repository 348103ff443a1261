# Argosy. `make help` lists the targets.

SHELL := /bin/bash
TAGS  := remote,containers_image_openpgp,exclude_graphdriver_btrfs,hashicorpmetrics
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
export GOFLAGS := -buildvcs=false -tags=$(TAGS)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help build proto clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build bin/argosy, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/argosy ./cmd/argosy

proto: ## regenerate the protobuf code
	cd tools && GOFLAGS=-buildvcs=false go run ./protogen -src ../proto -out ../proto

clean: ## remove what was built
	rm -rf bin
