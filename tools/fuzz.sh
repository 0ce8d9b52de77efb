#!/bin/sh
# Runs every fuzz target of the tree, each for FUZZTIME (30s). All run, even after one has failed.
set -u
cd "$(dirname "$0")/.."
export GOFLAGS="${GOFLAGS:--tags=nolibopusfile,nomsgpack -buildvcs=false}" # as in the Makefile
# Minimising an interesting input takes up to a minute by default, in which nothing new is tried.
time=${FUZZTIME:-30s}
list=$(grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . | sed -E 's/^(.*)\/[^/]*:func (Fuzz[A-Za-z0-9_]*)\(.*/\1 \2/' | sort)
[ -n "$list" ] || { echo "fuzz: no targets found" >&2; exit 1; }
count=0 failed=
while read -r dir target; do
	echo "fuzz: $dir $target for $time"
	count=$((count + 1))
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "$dir" </dev/null || failed="$failed $dir.$target"
done <<LIST
$list
LIST
if [ -n "$failed" ]; then
	echo "fuzz: FAILED:$failed" >&2
	echo "fuzz: the input is under testdata/fuzz; go test of the package repeats it" >&2
	exit 1
fi
echo "fuzz: $count targets, $time each: clean"
