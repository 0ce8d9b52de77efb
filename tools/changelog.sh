#!/bin/sh
# Moves changelog/unreleased/*.md into CHANGELOG.md under a heading for VERSION. Usage: tools/changelog.sh VERSION [DATE]
# With VERSION "-" it only prints what a release would say.
set -eu
cd "$(dirname "$0")/.."
version=${1:?usage: tools/changelog.sh VERSION [DATE]}
date=${2:-$(date -u +%Y-%m-%d)}
ls changelog/unreleased/*.md >/dev/null 2>&1 || { echo "changelog: nothing unreleased" >&2; exit 1; }

section() {
	echo "## $version ($date)"
	for kind in CHANGE FEATURE ENHANCEMENT BUGFIX; do
		for f in changelog/unreleased/*.md; do
			head -n 1 "$f" | grep -q "^$kind: " || continue
			echo
			sed -n "1s/^$kind: \(.*\)/- **$kind** \1/p; 2,\$s/^\([^#].*\)/  \1/p" "$f"
		done
	done
}
for f in changelog/unreleased/*.md; do
	head -n 1 "$f" | grep -qE '^(CHANGE|FEATURE|ENHANCEMENT|BUGFIX): .' || { echo "changelog: $f: the first line must begin with CHANGE:, FEATURE:, ENHANCEMENT: or BUGFIX:" >&2; exit 1; }
done
if [ "$version" = - ]; then section; exit 0; fi
new=$(mktemp)
trap 'rm -f "$new"' EXIT
{ sed '/^There is no release yet\.$/d; /^## /,$d' CHANGELOG.md; section; echo; sed -n '/^## /,$p' CHANGELOG.md; } >"$new"
cat "$new" >CHANGELOG.md
rm changelog/unreleased/*.md
