#!/bin/sh
# Lets what ran before in an overlay come back, each process to its revision before. The schema stays: it fits both.
#   deployment/rollback.sh staging
set -eu
cd "$(dirname "$0")/.."
kubectl=${KUBECTL:-kubectl}
namespace=$(sed -n 's/^namespace: //p' "k8s/overlays/$1/kustomization.yaml")
status=0
for name in web worker maintenance; do
  "$kubectl" --namespace "$namespace" rollout undo "deployment/$name" || status=1
done
for name in web worker maintenance; do
  "$kubectl" --namespace "$namespace" rollout status "deployment/$name" --timeout=10m || status=1
done
exit $status
