# Every task, with the same recipes that CI runs.

.DEFAULT_GOAL := help
ARGS ?=

.PHONY: help serve test setup web fmt lint doc generate bench instructions crash sim fuzz-smoke autobahn

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: ## set up, build and serve (ARGS go to `portcullis serve`)
	./scripts/serve.sh $(ARGS)

test: ## set up and pass all tests; `make test ARGS="lint test"` runs steps
	./scripts/test.sh $(ARGS)

setup: ## install what is missing
	./scripts/setup.sh test

web: ## build the page and the documentation that the binary embeds
	./scripts/setup.sh serve
	./scripts/page.sh

fmt: ## format the Rust code
	cargo fmt --all

lint: ## clippy, with warnings as errors
	./scripts/test.sh lint

doc: ## rustdoc, with warnings as errors
	./scripts/test.sh docs

generate: ## write what is derived from the code: schemas, types, reference pages
	cargo xtask generate

bench: ## measure handshakes, memory and messages
	./scripts/measure.sh $(ARGS)

instructions: ## count instructions and compare with the committed baseline
	./scripts/test.sh release instructions

crash: ## kill the server again and again, and look for what was lost (ARGS='CRASHES SEED')
	./scripts/crash.sh $(ARGS)

sim: ## the same in virtual time, with networks and disks that fail (ARGS='SEEDS FIRST')
	./scripts/sim.sh $(ARGS)

fuzz-smoke: ## ten seconds for each fuzz target
	./scripts/fuzz.sh all 10

autobahn: ## the Autobahn suite against /ws/echo (needs a Python 2.7)
	./scripts/autobahn.sh $(ARGS)
