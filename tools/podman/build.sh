#!/bin/bash
# Builds the podman program of the very version that argosy is linked against,
# so that the runtime is tested against both ends of what users have: the
# podman of a stable distribution and this one. It goes to
# .cache/podman-<version>/podman at the top of the repository and is built once
# for each version. Needs a C compiler, libseccomp-dev and pkg-config.
#
#   tools/podman/build.sh          builds, prints the path
#   tools/podman/build.sh --path   prints the path only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

module=github.com/containers/podman/v5
version=$(awk -v module="$module" '$1 == "require" && $2 == module { print $3 } $1 == module { print $2 }' go.mod | head -n 1)
target=$(cd ../.. && pwd)/.cache/podman-${version#v}/podman

if [[ ${1:-} == --path || -x $target ]]; then
	echo "$target"
	exit 0
fi
if ! pkg-config --exists libseccomp; then
	echo "build podman $version: libseccomp is missing, install the packages libseccomp-dev and pkg-config" >&2
	exit 1
fi
mkdir -p "$(dirname "$target")"
echo "building podman $version (about four minutes of CPU time, once)" >&2
# Built beside the target and renamed: an interrupted build leaves nothing that
# looks finished.
unfinished=$target.$$
trap 'rm -f "$unfinished"' EXIT
CGO_ENABLED=1 GOWORK=off GOFLAGS=-buildvcs=false nice -n 10 go build -trimpath \
	-tags containers_image_openpgp,exclude_graphdriver_btrfs,seccomp \
	-ldflags '-s -w' -o "$unfinished" "$module/cmd/podman"
mv "$unfinished" "$target"
echo "$target"
