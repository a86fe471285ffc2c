#!/bin/sh
# As the real image: templates become configuration, scripts run, then the command.
set -eu
if [ "${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-}" ]; then
  NGINX_LOCAL_RESOLVERS=$(awk '$1 == "nameserver" {printf "%s%s", between, $2; between = " "}' /etc/resolv.conf)
  export NGINX_LOCAL_RESOLVERS
fi
for template in /etc/nginx/templates/*.template; do
  test -e "$template" || continue
  envsubst "$(env | sed 's/^\([A-Z_a-z0-9]*\)=.*/${\1}/')" <"$template" \
    >"${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}/$(basename "$template" .template)"
done
for script in /docker-entrypoint.d/*.sh; do
  if [ -x "$script" ]; then "$script"; fi
done
exec "$@"
