.PHONY: run test lint fuzz bench bench-codecs fleet soak

run:
	cargo run --release --locked

test:
	cargo test --workspace --locked
	tests/real/run.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny check licenses bans sources; \
	else \
		echo "lint: cargo-deny is not installed: licences, bans and sources are not checked"; \
	fi
	console/check.sh

fuzz:
	fuzz/run.sh

bench:
	benches/run.sh

bench-codecs:
	cargo bench --locked --package tidegate

fleet:
	benches/fleet.sh

# How long the soak takes, without its start and end.
SOAK_SECONDS ?= 1200

soak:
	benches/soak.sh --seconds $(SOAK_SECONDS)
