#!/bin/bash
# Installs what the demonstration, the tests, the chaos suite or the benchmarks
# need beside Go and make, from the distribution's own packages, and says what it
# installs.
#
#   tools/setup.sh demo|test|chaos|bench
#
# The demonstration goes on without what cannot be installed; the others fail.
set -euo pipefail

purpose=${1:-}
podman=(podman runc conmon netavark aardvark-dns iptables catatonit)
case $purpose in
demo) packages=("${podman[@]}") ;;
test) packages=("${podman[@]}" e2fsprogs strace busybox-static gcc libc6-dev libseccomp-dev pkg-config) ;;
chaos) packages=(e2fsprogs strace) ;;
bench) packages=("${podman[@]}" e2fsprogs busybox-static etcd-server) ;;
*)
	echo "usage: tools/setup.sh demo|test|chaos|bench" >&2
	exit 2
	;;
esac

give_up() {
	if [[ $purpose == demo ]]; then
		echo "setup: going on without: $1" >&2
		exit 0
	fi
	echo "setup: $1" >&2
	exit 1
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	needed=podman
	if [[ $purpose == chaos ]]; then needed=mkfs.ext4; fi
	if command -v "$needed" >/dev/null; then exit 0; fi
	give_up "this is no Debian or Ubuntu machine; install by hand what corresponds to: ${packages[*]}"
fi
missing=()
for package in "${packages[@]}"; do
	if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) != installed ]]; then
		missing+=("$package")
	fi
done
if ((${#missing[@]} == 0)); then exit 0; fi

as_root=()
if ((EUID != 0)); then
	if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		give_up "these packages are missing and only root can install them: apt-get install ${missing[*]}"
	fi
	as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { "${as_root[@]}" apt-get -q update && "${as_root[@]}" apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	give_up "installing ${missing[*]} failed, see above"
fi
