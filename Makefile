# Two commands do everything on a fresh machine with Rust, Node and Python: `make demo` and `make test`.
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: demo test fmt clippy doc tests faults drills accept-schemas audit bench build

demo:
	$(CARGO) run --quiet --locked -- demo --once $(DEMO_FLAGS)

build:
	$(CARGO) build --locked --all-targets

test: fmt clippy doc tests

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

# The suite runs at trace level; all that it prints and leaves is then searched for every secret that was in play.
tests:
	rm -rf target/evidence
	SUITE_EVIDENCE=$(CURDIR)/target/evidence $(CARGO) test --locked
	python3 tests/secret_scan.py target/evidence

# One line per row of the fault matrix, each a named test.
faults:
	$(CARGO) test --locked --test suite -- fault_ | python3 tests/fault_table.py

# Kills runs at many more random instants than the suite does, with many more rows, then moves contents of Dropbox that
# are much larger than the suite's; see docs/reliability.md.
drills:
	SUITE_DRILLS=$(or $(DRILLS),50) SUITE_DRILL_SCALE=$(or $(DRILL_SCALE),84) \
		$(CARGO) test --locked --test suite -- --test-threads 1 --nocapture runs::killed
	SUITE_CONTENT_MIB=$(or $(CONTENT_MIB),400) SUITE_DOWNLOAD_MIB=$(or $(DOWNLOAD_MIB),1024) \
		$(CARGO) test --locked --test suite -- --test-threads 1 --nocapture dropbox::contents::a_large_

accept-schemas:
	RECORDPORT_ACCEPT_SCHEMAS=1 INSTA_UPDATE=always $(CARGO) test --locked --test suite -- schemas::

# Builds once for release and measures against a server on loopback; see docs/performance.md. BENCH_FLAGS=--quick
# is a short run.
bench:
	$(CARGO) bench --locked --bench mapping
	$(CARGO) bench --locked --bench loopback -- $(BENCH_FLAGS)

# Needs the advisory database, a git repository; not part of `make test`.
audit:
	cargo deny check advisories
