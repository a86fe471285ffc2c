#!/bin/sh
# The last word of `docker compose up`: nginx starts once web is healthy. The image's own start script runs this.
echo "jobresults is ready at $URL (API reference: $URL/docs)"
echo "An API key to begin with: docker compose exec web jobresults api-key create --client NAME"
