#!/bin/sh
# Makes what the Dockerfile's FROM names out of Debian's packages, for machines that reach these but no
# image registry. Debian: apt-get install mmdebstrap podman; run as root.
# shellcheck disable=SC2016 # $1 is for the shell of mmdebstrap
set -eu
base=$(sed -n 's/^FROM \(python:[^ ]*\) AS base$/docker.io\/library\/\1/p' "$(dirname "$0")/../../Dockerfile")
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mmdebstrap --quiet --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
  --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
  --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
  --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' \
  trixie "$directory/root.tar"
podman import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' "$directory/root.tar" "$base"
