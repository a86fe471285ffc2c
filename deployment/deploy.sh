#!/bin/sh
# Rolls an image out to an overlay: first what it stands on and the ledger's schema, then the processes. If these do not
# get ready, those before come back.
#   deployment/deploy.sh staging registry.example.com/jobresults@sha256:…
set -eu
cd "$(dirname "$0")/.."
overlay=$1 kubectl=${KUBECTL:-kubectl}
deployment/render.sh "$overlay" "$2"
manifests=build/$overlay/manifests.yaml
namespace=$(sed -n 's/^namespace: //p' "k8s/overlays/$overlay/kustomization.yaml")

within() { "$kubectl" --namespace "$namespace" "$@"; }

within delete job migrate --ignore-not-found # a Job cannot be changed, only made anew
"$kubectl" apply --filename "$manifests" --selector 'app.kubernetes.io/component notin (web,worker,maintenance)'
if ! within wait job/migrate --for=condition=complete --timeout=10m; then
  within logs job/migrate --tail=50 >&2 || true
  echo "error: the schema could not be brought up to date; the processes run as before" >&2
  exit 1
fi
"$kubectl" apply --filename "$manifests"
for name in web worker maintenance; do
  within rollout status "deployment/$name" --timeout=10m && continue
  echo "error: $name does not get ready; going back" >&2
  for back in web worker maintenance; do within rollout undo "deployment/$back" || true; done
  exit 1
done
