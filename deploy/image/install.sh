#!/bin/sh
# deploy/image/install.sh PREFIX TARBALL: installs a packed pointsman below PREFIX, without what only its compilation needed.
set -eu
prefix=$1
tarball=$2
npm install --global --no-audit --no-fund --loglevel=error --prefix "$prefix" "$tarball"
addon=$(find "$prefix" -type d -path '*/node_modules/better-sqlite3')
cp "$addon/build/Release/better_sqlite3.node" "$addon/addon.node"
rm -rf "$addon/build" "$addon/deps" "$addon/src"
mkdir -p "$addon/build/Release"
mv "$addon/addon.node" "$addon/build/Release/better_sqlite3.node"
