#!/bin/sh
# Sets up what building, testing and the demo need on Debian 12 (or a relative of it) that has Go and Node.
# Usage: tools/setup.sh [build|e2e]
# It says what it does, uses sudo only when it is not root, and does nothing, not even on the network, when all is there.
set -eu
cd "$(dirname "$0")/.."
export GOFLAGS="${GOFLAGS:--tags=nolibopusfile,nomsgpack -buildvcs=false}" # as in the Makefile

mode=${1:-build}
go_need=1.26
say() { echo "setup: $*"; }
die() { say "$*" >&2; exit 1; }

packages="gcc libc6-dev pkg-config libopus-dev"
case $mode in
build) ;;
e2e) packages="$packages sip-tester baresip-core kamailio kamailio-tls-modules kamailio-extra-modules linphone-cli
	chromium ffmpeg sox opus-tools espeak-ng tshark netcat-openbsd" ;;
*) die "unknown mode $mode: use build or e2e" ;;
esac

# at_least HAVE NEED: version comparison by number.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_go() {
	command -v go >/dev/null || die "Go is missing: install Go $go_need or newer from https://go.dev/dl/ and put it into PATH"
	have=$(go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
	at_least "$have" "$go_need" || die "Go $have is too old: install Go $go_need or newer from https://go.dev/dl/"
}

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

missing_packages() {
	for p in $packages; do
		installed "$p" || printf '%s ' "$p"
	done
}

apt() {
	env DEBIAN_FRONTEND=noninteractive $sudo apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq "$@"
}

# Every package must have a candidate, else the package lists are absent or older than the package.
lists_known() {
	for p in $1; do
		apt-cache policy "$p" 2>/dev/null | grep 'Candidate:' | grep -qv '(none)' || return 1
	done
}

install_packages() {
	missing=$(missing_packages)
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "please install what these Debian packages hold: $missing"
	sudo=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die "not root and no sudo; please run: apt-get install $missing"
		sudo="sudo DEBIAN_FRONTEND=noninteractive"
	fi
	say "installing with apt-get${sudo:+ (sudo)}: $missing"
	had_kamailio=$(installed kamailio && echo yes || true)
	if ! lists_known "$missing"; then
		say "updating the package lists"
		apt update
	fi
	if ! apt install -y --no-install-recommends $missing; then
		say "that failed; once more with new package lists"
		apt update
		apt install -y --no-install-recommends $missing
	fi
	# Debian starts Kamailio at once, on the SIP port the product wants. The tests start their own.
	case "$missing" in *kamailio*)
		if [ -z "$had_kamailio" ] && [ -d /run/systemd/system ]; then
			say "switching off the Kamailio service that the package started"
			$sudo systemctl disable --now kamailio.service >/dev/null 2>&1 || true
		fi ;;
	esac
}

# Modules come from the cache; the network is used only when one is not there yet.
fetch_modules() {
	if ! GOPROXY=off go list -deps -test ./... >/dev/null 2>&1; then
		say "downloading Go modules"
		go list -deps -test ./... >/dev/null
	fi
}

fetch_npm() {
	[ -f e2e/package-lock.json ] || return 0
	command -v npm >/dev/null || die "Node is missing: install Node 20 or newer from https://nodejs.org/"
	# The copy is written last, so an interrupted install is repeated.
	if ! cmp -s e2e/package-lock.json e2e/node_modules/.installed; then
		say "installing the browser driver (npm ci in e2e/)"
		npm ci --prefix e2e --no-audit --no-fund --loglevel=error
		cp e2e/package-lock.json e2e/node_modules/.installed
	fi
}

check_go
install_packages
fetch_modules
[ "$mode" = build ] || fetch_npm
