#!/bin/sh
# Pushes the image that was built, and says what it is called by its digest: on stdout, and in build/image for deploy.
#   deployment/push.sh jobresults:0.1.0 registry.example.com/team/jobresults
set -eu
cd "$(dirname "$0")/.."
image=$1 repository=$2
if test -z "$repository"; then
  echo "error: say where to: REPOSITORY=registry.example.com/…/jobresults" >&2
  exit 2
fi
# A tag for each commit: what no tag names any more, registries throw away, and nobody could go back to it.
name=$repository:${image##*:}-$(git rev-parse --short=12 HEAD)
mkdir -p build
if docker info >/dev/null 2>&1; then
  docker tag "$image" "$name"
  docker push --quiet "$name" >&2
  digest=$(docker image inspect --format '{{join .RepoDigests "\n"}}' "$name" | sed -n "s|^$repository@||p")
else
  buildah push --quiet --digestfile build/digest "$image" "docker://$name" >&2
  digest=$(cat build/digest)
fi
echo "$repository@$digest" | tee build/image
