#!/bin/sh
# Renders an overlay with an image into build/OVERLAY/manifests.yaml: an overlay over the overlay, as what is committed
# is not edited.
#   deployment/render.sh staging registry.example.com/jobresults@sha256:…
set -eu
cd "$(dirname "$0")/.."
overlay=$1 image=$2 digest=${2##*@}
if ! echo "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}'; then
  echo "error: name the image by its digest: REGISTRY/jobresults@sha256:…" >&2
  exit 2
elif ! test -f "k8s/overlays/$overlay/kustomization.yaml"; then
  echo "error: there is no k8s/overlays/$overlay" >&2
  exit 2
fi
mkdir -p "build/$overlay"
cat >"build/$overlay/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../k8s/overlays/$overlay]
images: [{name: jobresults, newName: "${image%@*}", digest: "$digest"}]
EOF
"${KUBECTL:-kubectl}" kustomize "build/$overlay" >"build/$overlay/manifests.yaml"
