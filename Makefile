# Argosy. `make help` lists the targets. Go 1.26 and make are all that must be
# there; what else a target needs it installs, and says so.

SHELL := /bin/bash
.DEFAULT_GOAL := build

# The one place of the build tags: podman's client without its C parts, and the
# metrics library that the Raft packages shall use.
TAGS := remote,containers_image_openpgp,exclude_graphdriver_btrfs,hashicorpmetrics
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
export GOFLAGS := -buildvcs=false -tags=$(TAGS)
TOOL := GOFLAGS=-buildvcs=false go tool -modfile=tools/go.mod

# Two packages at a time: more gains nothing on two cores and starves clusters
# that keep time.
TEST_PARALLEL ?= 2
TEST_FLAGS ?=

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: go
go:
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer from your distribution or from the Go project, then run make again" >&2; exit 1; }

.PHONY: build
build: go ## build bin/argosy, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/argosy ./cmd/argosy

.PHONY: planted
planted: go ## build programs in which bugs can be turned on, to see that they are found
	CGO_ENABLED=0 go build -trimpath -tags '$(TAGS),planted' -o bin/argosy-planted ./cmd/argosy
	CGO_ENABLED=0 go build -trimpath -tags '$(TAGS),planted' -o bin/argosy-chaos-planted ./cmd/argosy-chaos

.PHONY: demo
demo: go ## kill the leader of a cluster on this machine and see that nothing is lost
	@tools/setup.sh demo
	$(MAKE) --no-print-directory build
	bin/argosy demo

# CHAOS=no leaves the chaos suite out of the tests: it needs root, and hosts and
# disks made of namespaces and loop devices. Continuous integration leaves nothing
# out.
CHAOS ?= yes

.PHONY: test
test: go ## run all tests, on real podman, then the chaos suite
	@if [[ "$(CHAOS)" == no && -n "$$CI" ]]; then echo "make test: CHAOS=no is refused in continuous integration: run it as root, where the chaos suite can be run" >&2; exit 1; fi
	@if [[ "$(CHAOS)" != no && $$EUID -ne 0 ]]; then echo "make test: the chaos suite needs root: run it as root, or leave that part out with: make test CHAOS=no" >&2; exit 1; fi
	@tools/setup.sh test
	$(MAKE) --no-print-directory check-generated check-format vet
	@podman=$$(tools/podman/build.sh) || exit 1; echo "podman of the module: $$podman"
	go test -race -p $(TEST_PARALLEL) -timeout 15m $(TEST_FLAGS) ./...
	@# Without the race detector: a race of Raft's library (see moves_test.go), and what costs much and drives processes only.
	CGO_ENABLED=0 go test -trimpath -p $(TEST_PARALLEL) -timeout 10m $(TEST_FLAGS) -run '^(TestMoved|TestEveryFault)' ./server ./chaos/fault
	@if [[ "$(CHAOS)" == no ]]; then echo "make test: the chaos suite was left out, as CHAOS=no says"; else $(MAKE) --no-print-directory chaos; fi

.PHONY: bench
bench: go ## measure on real processes; writes bench/latest.json
	@tools/setup.sh bench
	$(MAKE) --no-print-directory build
	go run ./cmd/argosy-bench -binary bin/argosy -out bench/latest.json

.PHONY: build-chaos
build-chaos: build ## build bin/argosy-chaos beside it
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/argosy-chaos ./cmd/argosy-chaos

# Where trials are kept that did not hold.
CHAOS_DIR ?= $(CURDIR)/.cache/chaos
CHAOS_FLAGS ?=
# One trial is always the same; the other is another one for every commit.
CHAOS_SEED ?= $(shell printf %d 0x$$(git rev-parse --short=7 HEAD 2>/dev/null || echo 2))

.PHONY: chaos
chaos: go ## try to break clusters of real processes and simulated ones, and find all planted bugs
	@tools/setup.sh chaos
	$(MAKE) --no-print-directory build-chaos planted
	bin/argosy-chaos ci --seed $(CHAOS_SEED) --dir $(CHAOS_DIR) $(CHAOS_FLAGS)

# How often.
N ?= 50

.PHONY: chaos-repeat
chaos-repeat: go ## do what make chaos does N=50 times, with ever new seeds, and tell how often it held
	@tools/setup.sh chaos
	$(MAKE) --no-print-directory build-chaos planted
	bin/argosy-chaos ci --times $(N) $(if $(SEED),--seed $(SEED)) --dir $(CHAOS_DIR) $(CHAOS_FLAGS)

SELFTEST_FLAGS ?=

.PHONY: selftest
selftest: ## plant bugs in the product, one after the other, and demand that each is found
	$(MAKE) --no-print-directory build-chaos planted
	bin/argosy-chaos selftest $(SELFTEST_FLAGS)

# For how long, and from which seed: a random one when it is empty.
FOR ?= 60m
SEED ?=

.PHONY: soak
soak: ## run trials of ever new seeds for FOR=60m, and account for them in the ledger
	$(MAKE) --no-print-directory build-chaos
	bin/argosy-chaos soak --for $(FOR) $(if $(SEED),--seed $(SEED)) --dir $(CHAOS_DIR) $(CHAOS_FLAGS); \
	code=$$?; go test ./docs -count=1 -update >/dev/null || code=2; exit $$code

.PHONY: lint
lint: go check-format vet ## format, vet and static checks
	$(TOOL) staticcheck -tags $(TAGS) ./...

.PHONY: vet
vet: go
	go vet ./...

.PHONY: check-format
check-format: go
	@bad=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); if [[ -n $$bad ]]; then echo "not formatted, run gofmt -w: $$bad" >&2; exit 1; fi

.PHONY: proto
proto: go ## regenerate the protobuf code
	cd tools && GOFLAGS=-buildvcs=false go run ./protogen -src ../proto -out ../proto

.PHONY: check-generated
check-generated: go ## fail when the generated code is not current
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	(cd tools && GOFLAGS=-buildvcs=false go run ./protogen -src ../proto -out "$$out") && \
	for file in $$(cd "$$out" && find . -name '*.go'); do \
		cmp -s "$$out/$$file" "proto/$$file" || { echo "generated code is not current: proto/$${file#./}: run make proto and commit it" >&2; exit 1; }; \
	done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .cache
