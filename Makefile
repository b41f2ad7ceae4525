# What one can do here. `make demo` and `make test` install what they need.
.PHONY: demo bench test check lint deny fuzz build needs clean

demo: needs        ## two throwaway hosts on this machine become a Kubernetes cluster
	scripts/demo

test: needs        ## every test; those that need root and nspawn name themselves where they are skipped
	scripts/test

bench: needs       ## nodewright beside its rivals on lab hosts, and the ratios that must hold; half an hour, or SIZES=2 for a few minutes
	scripts/bench

check: lint        ## what to run before a commit: formatting, clippy, the fast tests
	cargo test --locked --lib

lint:              ## formatting and clippy, warnings denied
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

deny:              ## licences, sources, duplicates and known vulnerabilities of what is linked in
	scripts/deny

fuzz:              ## a minute of mutated input for every reader of foreign text
	scripts/fuzz

build:             ## the release binary
	cargo build --locked --release

needs:
	@scripts/needs

clean:
	cargo clean
