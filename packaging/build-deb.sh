#!/bin/sh
# Builds dist/deskbridge_VERSION_ARCH.deb from bin/deskbridge. Called by `make deb` with the output of git describe.
set -eu
cd "$(dirname "$0")/.."

# A version dpkg sorts: v1.2.0 is 1.2.0, anything after a tag is later than it, no tag is before every release.
case $1 in
v[0-9]*-*) VERSION=$(echo "${1#v}" | sed 's/-/+/; s/-/./g') ;;
v[0-9]*) VERSION=${1#v} ;;
*) VERSION=0.0.0~$(git log -1 --format=%cd --date=format:%Y%m%d 2>/dev/null || echo 0).$(echo "$1" | tr -c 'A-Za-z0-9\n' '.') ;;
esac
ARCH=$(go env GOARCH)
MTIME=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null || echo 2026-01-01T00:00:00Z)

rm -rf build/deb
mkdir -p build/deb dist
gzip -9nc packaging/deskbridge.1 >build/deb/deskbridge.1.gz
cat >build/deb/changelog <<EOT
deskbridge ($VERSION) unstable; urgency=medium

  * What changed is in CHANGELOG.md.

 -- deskbridge maintainers <maintainers@deskbridge.invalid>  $(TZ=UTC LC_ALL=C date -d "$MTIME" '+%a, %d %b %Y %H:%M:%S +0000')
EOT
gzip -9n build/deb/changelog
gzip -9nc CHANGELOG.md >build/deb/CHANGELOG.md.gz
# The symbols would be a third of the package; panics name functions and lines without them.
strip -o build/deb/deskbridge bin/deskbridge
sed "s/@VERSION@/$VERSION/; s/@ARCH@/$ARCH/; s/@MTIME@/$MTIME/" packaging/nfpm.yaml >build/deb/nfpm.yaml
if ! go tool -modfile=tools/go.mod nfpm package --config build/deb/nfpm.yaml --packager deb --target dist/; then
	echo "deb: nfpm could not be built or did not run; nothing was packaged" >&2
	exit 1
fi
deb=$(ls -t dist/deskbridge_*.deb | head -n 1)
if command -v lintian >/dev/null; then
	lintian --fail-on error "$deb"
else
	echo "deb: lintian is not installed, so the package was not checked"
fi
echo "deb: $deb"
