# The image of every process of the service: jobresults web | worker | maintenance | migrate.
FROM python:3.13-slim AS base

FROM base AS builder
WORKDIR /build
# The dependencies change seldom: a layer of their own. Only wheels, since building from source would
# fetch build tools that no hash pins. pip and the build backend stay behind in an environment of this stage.
COPY requirements/build.txt requirements/otel.txt requirements/
RUN python -m venv /opt/build && python -m venv --without-pip /opt/jobresults \
    && /opt/build/bin/pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes -r requirements/build.txt \
    && /opt/build/bin/pip --python /opt/jobresults/bin/python install --no-cache-dir --no-compile --no-deps \
       --only-binary=:all: --require-hashes -r requirements/otel.txt
COPY pyproject.toml README.md dictconfig_logging.py gunicorn.conf.py wsgi_app.py ./
COPY src src
COPY docs/runbooks docs/runbooks
# Compiled here, as the root file system is read-only there. The same source gives the same bytes: by content, and in
# one process, since what it has compiled before shows in what it writes (which constants are shared).
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/jobresults/bin/python install --no-cache-dir --no-compile --no-deps /wheels/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/jobresults/lib

FROM base AS runtime
LABEL org.opencontainers.image.title="jobresults" \
      org.opencontainers.image.description="Hand in work over HTTP, get a job id, poll for the result" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# For useradd, which writes the day down.
ARG SOURCE_DATE_EPOCH=0
RUN groupadd --gid 10001 jobresults \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin jobresults
# The wheel carries gunicorn.conf.py, wsgi_app.py, dictconfig_logging.py and the runbooks too.
COPY --from=builder /opt/jobresults /opt/jobresults
WORKDIR /app
COPY --chmod=0644 config.yaml ./
ENV PATH=/opt/jobresults/bin:$PATH \
    JOBRESULTS_WEB__HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For web; whoever runs another process from this image switches it off. Images in OCI's format, as buildah makes them,
# have none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; from jobresults.configuration import load_settings; probe = http.client.HTTPConnection('127.0.0.1', load_settings().web.port, timeout=3); probe.request('GET', '/status/live'); sys.exit(probe.getresponse().status != 200)"]
ENTRYPOINT ["jobresults"]
CMD ["web"]
