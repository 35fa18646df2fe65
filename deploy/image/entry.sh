#!/bin/sh
# Starts a pointsman command in the image. A command that needs no privilege runs as user 65532, also where the container starts as
# root; `run`, `apply`, `cleanup`, `audit` and `trace`, which read or write the kernel's rules, keep the user and the capabilities
# of the container.
set -eu
case "${1:-}" in
  run | apply | cleanup | audit | trace) ;;
  *)
    if [ "$(id -u)" = 0 ] && [ "${POINTSMAN_KEEP_USER:-}" != 1 ]; then
      exec setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs -- pointsman "$@"
    fi
    ;;
esac
exec pointsman "$@"
