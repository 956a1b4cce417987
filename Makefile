# Ingot's verbs. `make help` lists them.
# a Mac's menu and window need cgo; elsewhere what needs it is switched on where it is built
export CGO_ENABLED ?= $(if $(filter Darwin,$(shell uname -s)),1,0)
export GOFLAGS = -trimpath -buildvcs=false
SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always 2>/dev/null || echo dev)
LDFLAGS := -s -w -X ingot/backend/api.Version=$(VERSION)
GO := $(shell scripts/go.sh --path)
export PATH := $(dir $(GO)):$(PATH)
TARGET ?= debian-12-arm64
APP_VERSION = $(shell sed -n 's/^Version = "\(.*\)"/\1/p' FyneApp.toml)

.PHONY: help install release package soak mac-proof github-proof chaos mutations bench bench-app check demo demo-check test test-all unit e2e e2e-app e2e-lima dist build app clean

help: ## list the verbs
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ingot
	@CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o bin/ingot ./cmd/ingot

app: build ## build bin/ingot-app, the menu, and bin/ingot-window (needs a C compiler; on Linux X11's and OpenGL's headers too)
	@$(GO) build -tags face -ldflags '$(LDFLAGS)' -o bin/ingot-app ./cmd/ingot-app
	@CGO_ENABLED=1 $(GO) build -tags face,window -ldflags '$(LDFLAGS)' -o bin/ingot-window ./cmd/ingot-app

package: app ## dist/: the app as a tarball for Linux, or on a Mac as Ingot.app, signed (SIGN=, NOTARY=), as zip and dmg
	@CGO_ENABLED=1 $(GO) run ./scripts/notices -tags face,window ./cmd/ingot ./cmd/ingot-app > bin/THIRD_PARTY_NOTICES && cp LICENSE bin/
	@$(GO) run ./scripts/bundle -from bin -to dist -version $(APP_VERSION) $(if $(filter Darwin,$(shell uname -s)),macos,linux)
	@$(if $(filter Darwin,$(shell uname -s)),scripts/sign.sh,true)

demo: build ## the main job: install what is missing, build, boot, publish, show the reality table
	@scripts/demo.sh $(TARGET)

demo-check: build ## check the demo's result by means that are not Ingot's, then spoil it and see it noticed
	@scripts/demo-check.sh $(TARGET)

test: build ## unit tests, and the whole line once on a small real target: what to run first
	@scripts/test.sh

test-all: build ## the rest: static checks, race, chaos, end to end, Lima VMs, the app on a desktop
	@scripts/test-all.sh

unit: ## unit tests alone
	@$(GO) test ./...

e2e: build ## the whole line on a small real target, with negative controls
	@scripts/e2e.sh

e2e-app: ## the menu, notifications and drag-out on a real desktop, from Debian packages
	@scripts/e2e-app.sh

e2e-lima: build ## real Lima VMs under TCG as a user that is not root: RUN=regexp, KEEP=1
	@scripts/e2e-lima.sh

check: ## format, vet, staticcheck, dependency direction, darwin, unit tests
	@scripts/check.sh

soak: build ## kills, full disks, whole rebuilds: an hour and more; writes docs/soak/
	@scripts/soak.sh

mac-proof: ## on a Mac: what only a Mac can show, as a signed record in docs/mac-proof/
	@scripts/mac-proof.sh

github-proof: build ## publish an image to a repository on GitHub and read it back: REPO=owner/repo TARGET=…
	@scripts/github-proof.sh "$(REPO)" $(TARGET)

chaos: ## kill submitter, workers and server of a queue at random: SEED=n, JOBS=100
	@$(GO) test -count=1 -timeout 30m -tags chaos -v ./test/chaos

mutations: ## change rules that guard a tick, one at a time; a named test must fail: RUN=pattern
	@scripts/mutations.sh

bench: build ## what Ingot itself costs, against its limits (a built target is needed: make demo)
	@bench/everyday.sh $(TARGET) && bench/noop.sh $(TARGET) && bench/overhead.sh $(TARGET) && bench/status.sh && bench/engine.sh && bench/lines.sh

bench-app: ## what the menu costs, against its limits
	@bench/app.sh

dist: ## static ingot for linux and darwin, amd64 and arm64, with THIRD_PARTY_NOTICES
	@scripts/dist.sh '$(LDFLAGS)'

release: build ## dist/release/: archives, Debian packages, Homebrew's formula, sums: BASE=https://…, MINISIGN_KEY=file
	@scripts/release.sh '$(APP_VERSION)' '$(BASE)' '-s -w -X ingot/backend/api.Version=$(APP_VERSION)'

PREFIX ?= /usr/local
install: build ## install ingot with completions and manual: PREFIX=/usr/local, DESTDIR=
	@mkdir -p '$(DESTDIR)$(PREFIX)'/bin '$(DESTDIR)$(PREFIX)'/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d,doc/ingot,man/man1}
	@cp bin/ingot '$(DESTDIR)$(PREFIX)/bin/ingot' && cp LICENSE '$(DESTDIR)$(PREFIX)/share/doc/ingot/'
	@bin/ingot completion bash > '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ingot'
	@bin/ingot completion zsh > '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ingot'
	@bin/ingot completion fish > '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ingot.fish'
	@bin/ingot man '$(DESTDIR)$(PREFIX)/share/man/man1'
	@echo 'installed in $(DESTDIR)$(PREFIX)'

clean: ## remove bin/ and dist/
	@rm -rf bin dist
