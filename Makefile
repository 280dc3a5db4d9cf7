# The repository's commands. Each does all of its own set-up and may be run again and again.

.PHONY: test soak demo bench check setup fmt

# Every test there is, after formatting, lints and documentation. The whole workspace is named each time: with fewer
# packages cargo chooses other features of what they use, and compiles most of it anew.
test: export CC_TEST_BUILT = 1
test: check
	cargo nextest run --workspace --no-run
	./tests/clients/setup
	./tests/web/setup
	cargo nextest run --workspace --no-fail-fast --profile $${NEXTEST_PROFILE:-default} \
	  --filterset 'not (binary(engine) | binary(swarm))'
	./deploy/recipes/images --fetch traefik
	./.ci/test-engines --no-fail-fast
	cargo test --workspace --doc --quiet

# What the compiler and the linters say; warnings are errors.
check: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --quiet

# Ten minutes of churn, kill -9 and restarts under 32 watchers; `make test` plays 40 seconds of it.
soak: setup
	cargo build --package controller --bins
	CC_SOAK_SECONDS=$${CC_SOAK_SECONDS:-600} cargo nextest run --package tests --profile soak --no-capture soak_

# Shows the program at work, from nothing.
demo: setup
	./deploy/demo/run

# Compares with etcd on the same disk in the same run; prints ratios.
bench: setup
	./tests/bench/run

# Installs what the commands above need (Debian, as root); quick when everything is there.
setup:
	./.ci/setup

fmt:
	cargo fmt --all
