#!/usr/bin/env bash
# deploy/image/root.sh DIRECTORY [TARBALL]: fills a new directory with the root file system of the image, from Debian's packages and
# the Node.js that runs here: the steps of the Dockerfile, for machines without a container engine. Needs root, mmdebstrap, node and
# npm. TARBALL: a packed pointsman; without it, this tree is set up and packed. Try it: chroot DIRECTORY pointsman demo
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
[ ! -e "$1" ] || { echo "error: $1 exists: name a new directory" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "error: run this as root: it unpacks packages with their owners" >&2; exit 2; }
command -v mmdebstrap >/dev/null || { echo "error: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(realpath -m "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tarball=${2:-}
if [ -z "$tarball" ]; then
  (cd "$here/../.." && node scripts/set-up.mjs && npm pack --silent ./packages/cli --pack-destination "$work" >/dev/null)
  tarball=$(echo "$work"/pointsman-*.tgz)
fi

mmdebstrap --quiet --mode=root --variant=essential --include="$(paste -sd, "$here/packages.txt")" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  bookworm "$root"

install -D -m 0755 "$(node -p process.execPath)" "$root/usr/local/bin/node"
sh "$here/install.sh" "$root/opt/pointsman" "$tarball"
ln -s /opt/pointsman/bin/pointsman "$root/usr/local/bin/pointsman"
install -m 0755 "$here/entry.sh" "$root/usr/local/bin/pointsman-entry"
install -m 0755 "$here/kube-proxy.sh" "$root/usr/local/bin/kube-proxy"
install -d -m 0755 -o 65532 -g 65532 "$root/var/lib/pointsman"
