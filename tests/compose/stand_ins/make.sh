#!/bin/sh
# For machines that reach Debian's packages but no image registry: Docker Compose itself, and stand-ins for the images
# docker-compose.yaml names. Each starts as the real one does, as far as docker-compose.yaml relies on it; the programs
# are Debian 13's (PostgreSQL 17, Redis 8). Mailpit and Grafana are no part of Debian. As root:
#   tests/compose/stand_ins/make.sh .venv/lib/jobresults/docker-compose
# shellcheck disable=SC2016 # $1 is for the shell of mmdebstrap
set -eu
mkdir -p "$(dirname "$1")"
compose=$(realpath "$1")
cd "$(dirname "$0")"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mmdebstrap --quiet --variant=minbase \
  --include=busybox,nginx,postgresql,prometheus,prometheus-alertmanager,redis-server \
  --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
  --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
  --customize-hook='ln -s busybox "$1/usr/bin/wget"' \
  --customize-hook="cd '$directory' && APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get -qq -o APT::Sandbox::User=root download docker-compose" \
  trixie "$directory/root.tar"
dpkg-deb --fsys-tarfile "$directory"/docker-compose_*.deb \
  | tar --extract --to-stdout ./usr/libexec/docker/cli-plugins/docker-compose >"$compose"
chmod 0755 "$compose"
podman import --quiet "$directory/root.tar" localhost/jobresults-stand-in:trixie
for name in nginx redis postgres prometheus alertmanager; do
  image=$(sed -n "s|^    image: \(\(prom/\)\{0,1\}$name:.*\)|\1|p" ../../../docker-compose.yaml)
  case $image in */*) image=docker.io/$image ;; *) image=docker.io/library/$image ;; esac
  buildah build --quiet --isolation chroot --format docker --pull-never --tag "$image" "$name"
  echo "made $image"
done
