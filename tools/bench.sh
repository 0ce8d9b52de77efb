#!/bin/sh
# Runs all benchmarks and then shows, from the same run, what a second of a call costs next to the bare work that cannot
# be saved. BENCHTIME (1s) and BENCH (a pattern) narrow it.
#
# The table is made from these: BenchmarkPipe/A-B and BenchmarkBare/* of package media (one 20 ms packet each, so a call of
# two directions is 50 of each per second), and every benchmark that reports the metric cpu-ms/call-s, with
# bare-ms/call-s beside it where it measured the bare libopus and SRTP work itself. The whole path, from UDP to UDP in a
# process of its own under the rated load, is BenchmarkPath of e2e; PATH_CALLS and PATH_SECONDS (100, 8) narrow that one.
set -eu
cd "$(dirname "$0")/.."
export GOFLAGS="${GOFLAGS:--tags=nolibopusfile,nomsgpack -buildvcs=false}" # as in the Makefile
mkdir -p bin
out=bin/bench.txt
run() { go test "$@" >>"$out" 2>&1 || { cat "$out"; exit 1; }; }
: >"$out"
run -run '^$' -bench "${BENCH:-.}" -benchmem -benchtime "${BENCHTIME:-1s}" -timeout 60m ./...
e2e="-tags=nolibopusfile,nomsgpack,e2e"
[ -n "${BENCH:-}" ] || run "$e2e" -run '^$' -bench 'SetUp' -benchtime 50x ./e2e
run "$e2e" -run '^$' -bench "${BENCH:-Path|Delay}" -benchtime 1x -timeout 30m ./e2e
grep -v '\[no test files\]' "$out" | grep -vE '^(PASS|ok )' || true
awk '
function row(name, ours, bare) {
	if (ours == 0) return
	if (bare > 0) printf "  %-34s %10.3f %10.3f %7.2f", name, ours, bare, ours / bare
	else printf "  %-34s %10.3f %10s %7s", name, ours, "-", "-"
	printf " %6s %14s\n", (aim[name] > 0 ? aim[name] + 0 : "-"), ((name in perPacket) ? sprintf("%.2f", perPacket[name]) : "-")
	rows++
}
function pair(name, a, b, bare) { if (ns[a] && ns[b]) row(name, (ns[a] + ns[b]) * 50 / 1e6, bare * 50 / 1e6) }
/^Benchmark/ {
	name = $1; sub(/-[0-9]+$/, "", name); sub(/^Benchmark/, "", name)
	for (i = 3; i < NF; i += 2) {
		if ($(i + 1) == "ns/op") ns[name] = $i
		if ($(i + 1) == "cpu-ms/call-s") { ours[name] = $i; order[++n] = name }
		if ($(i + 1) == "bare-ms/call-s") bare[name] = $i
		if ($(i + 1) == "aim-ms/call-s") aim[name] = $i
		if ($(i + 1) == "allocs/packet") { perPacket[name] = $i; if ($i >= 0.1) allocating = allocating " " name }
		if ($(i + 1) ~ /-p(50|99)-ms$/) { part = $(i + 1); sub(/-p(50|99)-ms$/, "", part); q[name " " part, ($(i + 1) ~ /p50/)] = $i
			if (!((name " " part) in seen)) { seen[name " " part] = 1; times[++m] = name " " part } }
		if ($(i + 1) == "allocs/op" && $i > 0 && name ~ /^Pipe\//) allocating = allocating " " name
	}
}
END {
	print ""
	print "CPU of one second of a call, both directions, in ms; bare = libopus, codec tables or SRTP alone"
	printf "  %-34s %10s %10s %7s %6s %14s\n", "", "ours", "bare", "ratio", "aim", "allocs/packet"
	pair("convert Opus <-> PCMA", "Pipe/opus-pcma", "Pipe/pcma-opus", ns["Bare/OpusDecode8k"] + ns["Bare/PCMAEncode"] + ns["Bare/PCMADecode"] + ns["Bare/OpusEncode8k"])
	pair("convert Opus <-> G722", "Pipe/opus-g722", "Pipe/g722-opus", ns["Bare/OpusDecode16k"] + ns["Bare/G722Encode"] + ns["Bare/G722Decode"] + ns["Bare/OpusEncode16k"])
	pair("pass Opus through (no sockets)", "Pipe/passthrough", "Pipe/passthrough", 0)
	for (i = 1; i <= n; i++) row(order[i], ours[order[i]], bare[order[i]])
	if (m) printf "\n  %-34s %10s %10s\n", "time in ms", "median", "p99"
	for (i = 1; i <= m; i++) printf "  %-34s %10.2f %10.2f\n", times[i], q[times[i], 1], q[times[i], 0]
	if (!rows) print "  (none of the benchmarks ran)"
	if (allocating != "") { print "bench: these allocate per packet:" allocating; exit 1 }
}' "$out"
