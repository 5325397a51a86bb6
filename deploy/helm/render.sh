#!/bin/bash
# Copies into the chart what it shows from elsewhere, and renders deploy/kubernetes from it: render.sh [HELM]
set -euo pipefail
cd "$(dirname "$0")/../.."

helm=${1:-helm}
chart=deploy/helm/millrace
cp deploy/otel/collector.yaml deploy/prometheus/alerts.yaml deploy/grafana/millrace.json "$chart/files/"
{
  echo "# Rendered from deploy/helm/millrace for those who use no Helm: \`make deploy-check\` compares it. Change image, queue, brokers and topic, then"
  echo '#   kubectl create namespace millrace && kubectl apply -f deploy/kubernetes/millrace.yaml'
  "$helm" template millrace "$chart" -n millrace --kube-version 1.33 -f "$chart/ci/minimal.yaml"
} > deploy/kubernetes/millrace.yaml
