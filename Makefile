# Thin: each target is one call of cargo or of a script in ci/, which say what they do.

.PHONY: all bench bench-stress perf-test benchmark-report test test-all deep fmt lint release

all:              ; cargo build --locked
bench:            ; cargo bench -p ttlog-benches
bench-stress:     ; cargo run --release -p ttlog-benches --bin max_performance -- concurrency
perf-test:        ; cargo run --release -p ttlog-benches --bin max_performance -- cost
benchmark-report: ; ci/benchmark-report
test:             ; ci/test
test-all:         ; ci/test --all
deep:             ; ci/deep
fmt:              ; cargo fmt --all
lint:             ; ci/checks/lint
release:          ; ci/release --dry-run
