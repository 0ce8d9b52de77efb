#!/bin/sh
# Builds the web panel into admin/ui/dist and checks it: what is committed must be what the sources give.
#   tools/ui.sh          build, check, fail when dist or the API's types differ from what is committed
#   tools/ui.sh update   build, check, leave what differs to be committed
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

npm run --silent api >/dev/null
npm run --silent check
first=$(mktemp -d)
trap 'rm -rf "$first"' EXIT
npm run --silent build -- --logLevel warn --outDir "$first/dist" --emptyOutDir
npm run --silent build -- --logLevel warn
diff -r "$first/dist" dist || fail "two builds of the same sources differ"

# The first load of the sign-in and calls page is what index.html names; all else comes by import() later.
total=0
for f in $(grep -o '/assets/[^"]*\.js' dist/index.html); do
	total=$((total + $(gzip -9 -c "dist$f" | wc -c)))
done
echo "ui: first load $((total / 1024)) KiB of script (gzip), limit 300"
[ "$total" -le $((300 * 1024)) ] || fail "the first load is too large: split it by import()"

if [ "${1:-}" != update ]; then
	changed=$(git status --porcelain -- dist src/api/schema.gen.ts)
	[ -z "$changed" ] || fail "built from these sources, these differ from what is committed (tools/ui.sh update, then commit):
$changed"
fi
echo "ui: admin/ui/dist is built from these sources"
