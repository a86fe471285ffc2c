# The image of every process of the service: jobresults web | worker | maintenance | migrate.
FROM python:3.12-slim AS base

FROM base AS builder
# otel.txt: with OpenTelemetry, for traces.
ARG REQUIREMENTS=run.txt
WORKDIR /build
# The dependencies change seldom: a layer of their own. Only wheels, since building from source would
# fetch build tools that no hash pins. pip and the build backend stay behind in this stage's own Python.
COPY requirements/build.txt requirements/${REQUIREMENTS} requirements/
RUN python -m venv --without-pip /opt/jobresults \
    && python -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes -r requirements/build.txt \
    && python -m pip --python /opt/jobresults/bin/python install --no-cache-dir --no-deps --only-binary=:all: \
       --require-hashes -r requirements/${REQUIREMENTS}
COPY pyproject.toml README.md dictconfig_logging.py gunicorn.conf.py wsgi_app.py ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /opt/jobresults/bin/python install --no-cache-dir --no-deps /wheels/*.whl

FROM base AS runtime
LABEL org.opencontainers.image.title="jobresults" \
      org.opencontainers.image.description="Hand in work over HTTP, get a job id, poll for the result" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 jobresults \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin jobresults
# The wheel carries gunicorn.conf.py, wsgi_app.py and dictconfig_logging.py too.
COPY --from=builder /opt/jobresults /opt/jobresults
WORKDIR /app
COPY config.yaml ./
ENV PATH=/opt/jobresults/bin:$PATH \
    JOBRESULTS_WEB__HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For web; whoever runs another process from this image switches it off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; from jobresults.configuration import load_settings; probe = http.client.HTTPConnection('127.0.0.1', load_settings().web.port, timeout=3); probe.request('GET', '/status/live'); sys.exit(probe.getresponse().status != 200)"]
ENTRYPOINT ["jobresults"]
CMD ["web"]
