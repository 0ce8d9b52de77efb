# `make` alone prints this list. Everything a target needs is set up by tools/setup.sh: by apt on Debian, with sudo only if
# you are not root, and without the network once it is there.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# nolibopusfile: no Ogg reader from C. nomsgpack: gin without 6 MB it would never use.
TAGS := nolibopusfile,nomsgpack
export CGO_ENABLED := 1
# The version comes from git below, so a checkout that belongs to another user is no obstacle.
export GOFLAGS := -tags=$(TAGS) -buildvcs=false

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION) -X main.revision=$(REVISION)
TOOL    := go tool -modfile=tools/go.mod

FUZZTIME ?= 30s
PKG      ?= ./...
DEMO     ?=
UI       ?=

.PHONY: help setup setup-e2e check format vet lint layering tidy test race fuzz bench e2e demo build ui deb clean

help: ## print this list
	@echo "deskbridge: WhatsApp calls on the desk phones you have"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what building and testing need (apt, Go modules)
	@tools/setup.sh build

setup-e2e: ## install the real peers of the end-to-end tests as well
	@tools/setup.sh e2e

demo: build ## run everything on this machine with a simulated WhatsApp; prints what to do (DEMO="flags")
	@exec ./bin/deskbridge demo $(DEMO)

test: setup ## all tests (PKG=./sip for some)
	@go test -timeout 10m $(PKG) && echo "test: passed"

race: setup ## all tests under the race detector
	@go test -race -timeout 20m $(PKG) && echo "race: passed"

fuzz: setup ## every fuzz target, FUZZTIME=30s each
	@FUZZTIME=$(FUZZTIME) tools/fuzz.sh

bench: setup ## all benchmarks, then media cost next to the bare codec and SRTP
	@tools/bench.sh

e2e: setup-e2e ui build ## calls with baresip, SIPp, Kamailio, linphone and Chromium, the panel in a browser
	@go test -tags $(TAGS),e2e -count 1 -timeout 30m ./e2e/... && echo "e2e: passed"

check: setup format vet lint layering tidy ## format, vet, lint, layering, tidy, then all tests
	@go test -timeout 10m ./... && echo "check: passed"

format:
	@bad=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$bad" ]; then echo "check: gofmt -w these:" $$bad >&2; exit 1; fi

vet:
	@go vet ./...
	@go vet -tags $(TAGS),e2e ./e2e/...

lint:
	@$(TOOL) golangci-lint run --allow-parallel-runners ./...

layering:
	@go test -count 1 -run 'TestImportsFollowTheTable' .

tidy:
	@go mod tidy -diff

build: setup ## bin/deskbridge
	@go build -trimpath -ldflags '$(LDFLAGS)' -o bin/deskbridge ./cmd/deskbridge
	@echo "build: bin/deskbridge $(VERSION)"

ui: ## the web panel: build admin/ui/dist, check it, compare with what is committed (UI=update to change it)
	@tools/ui.sh $(UI)

deb: build ## dist/deskbridge_*.deb
	@packaging/build-deb.sh '$(VERSION)'

clean: ## remove what the other targets made
	rm -rf bin build dist e2e/out
