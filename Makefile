# Thin: each target is one call of cargo or of a script in ci/, which say what they do.

.PHONY: bench perf-test benchmark-report bench-stress test deep fmt lint

bench:            ; cargo bench -p ttlog-benches
perf-test:        ; cargo run --release -p ttlog-benches --bin max_performance -- cost
benchmark-report: ; ci/benchmark-report
bench-stress:     ; cargo run --release -p ttlog-benches --bin max_performance -- concurrency
test:             ; ci/test
deep:             ; ci/deep
fmt:              ; cargo fmt --all
lint:             ; ci/checks/lint
