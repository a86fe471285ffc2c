#!/bin/sh
# As the real image: scripts that may be run are, then the command.
set -eu
for script in /docker-entrypoint.d/*.sh; do
  if [ -x "$script" ]; then "$script"; fi
done
exec "$@"
