#!/bin/sh
# The image's own start script runs this before nginx, which starts once web is healthy.
set -eu
# Docker and Podman answer for names at different addresses. The first is theirs; nginx would ask the machine's own ones
# in turn with it, as a C library does not, and those know no containers.
awk '$1 == "nameserver" {print "resolver " ($2 ~ /:/ ? "[" $2 "]" : $2) " valid=5s;"; exit}' /etc/resolv.conf >/tmp/resolver.conf
# The last word of `docker compose up`.
echo "jobresults is ready at $URL (API reference: $URL/docs)"
echo "An API key to begin with: docker compose exec web jobresults api-key create --client NAME"
