#!/bin/sh
# Made by `personalizer ops`: Fastly's own alerts and dashboard, by Fastly's CLI.
# sh fastly.sh SERVICE_ID [INTEGRATION_ID]   (where alerts go: `fastly` shows integrations on its web page)
set -eu
service="${1:?expected the id of the service}"

fastly service alert create --service-id="$service" --source=stats --type=above_threshold --period=5m \
  --metric=status_5xx --threshold=50 --name='Edge: answers of 500 and above' \
  --description='Too many failed answers. personalizer rollback, if somebody changed rules; then docs/ROLLOUT.md' \
  ${2:+--integrations="$2"}

fastly service alert create --service-id="$service" --source=stats --type=above_threshold --period=5m \
  --metric=compute_service_resource_limits_error --threshold=1 --name='Edge: limits of the platform' \
  --description='A request met a limit of vCPU, memory or time. personalizer rollback, if somebody changed rules' \
  ${2:+--integrations="$2"}

dashboard=$(fastly dashboard create --name=edge-personalizer --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' | head -n 1)
fastly dashboard item create --dashboard-id="$dashboard" --title='Requests' --subtitle='edge-personalizer' \
  --source-type=stats.edge --metric=requests --plot-type=line --format=requests
fastly dashboard item create --dashboard-id="$dashboard" --title='Failed answers' --subtitle='edge-personalizer' \
  --source-type=stats.edge --metric=all_status_5xx_rate --plot-type=line --format=percent
fastly dashboard item create --dashboard-id="$dashboard" --title='Hit ratio' --subtitle='edge-personalizer' \
  --source-type=stats.edge --metric=hit_ratio --plot-type=line --format=percent
