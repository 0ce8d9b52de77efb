#!/bin/sh
# Builds the web panel and checks it: admin/ui/dist, which is committed, must be what the sources give.
#   tools/ui.sh          build twice, check, compare with what is there
#   tools/ui.sh update   build twice, check, put it there
set -eu
cd "$(dirname "$0")/../admin/ui"

fail() { echo "ui: $*" >&2; exit 1; }

command -v node >/dev/null || fail "Node 20.19 or newer is needed to change the panel: apt-get install nodejs npm, or from nodejs.org"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
	fail "Node $(node --version) is too old, 20.19 is needed"

# Once per lock file: it is the slow part and needs the registry.
lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ "$(cat node_modules/.lock 2>/dev/null)" != "$lock" ]; then
	npm ci --ignore-scripts --no-audit --no-fund
	echo "$lock" >node_modules/.lock
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npm run --silent api -- --output "$out/schema.gen.ts" >/dev/null
if [ "${1:-}" = update ]; then
	cp "$out/schema.gen.ts" src/api/schema.gen.ts
else
	diff -q "$out/schema.gen.ts" src/api/schema.gen.ts || fail "the API has changed since the client was made: tools/ui.sh update, then commit"
fi

npm run --silent check
for n in 1 2; do
	npm run --silent build -- --logLevel warn --outDir "$out/$n" --emptyOutDir
done
diff -r "$out/1" "$out/2" || fail "two builds of the same sources differ"

# The first load of the sign-in and calls page is what index.html names; all else comes by import() later.
total=0
for f in $(grep -o '/assets/[^"]*\.js' "$out/1/index.html"); do
	total=$((total + $(gzip -9 -c "$out/1$f" | wc -c)))
done
echo "ui: first load $((total / 1024)) KiB of script (gzip), limit 300"
[ "$total" -le $((300 * 1024)) ] || fail "the first load is too large: split it by import()"

if [ "${1:-}" = update ]; then
	rm -rf dist
	cp -r "$out/1" dist
else
	diff -rq "$out/1" dist || fail "admin/ui/dist is not built from these sources: tools/ui.sh update, then commit"
fi
echo "ui: admin/ui/dist is built from these sources"
