# syntax=docker/dockerfile:1
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/agentd
COPY requirements.txt ./
RUN /opt/agentd/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
# The build back end with its own hashes, then the package without looking anything up.
COPY requirements-build.txt ./
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY agentd agentd
COPY handlers handlers
COPY proxy proxy
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/agentd/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin agentd \
 && install -d -o agentd -g agentd -m 0700 /var/lib/agentd
COPY --from=build /opt/agentd /opt/agentd
ENV PATH=/opt/agentd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AGENTD_LEDGER__PATH=/var/lib/agentd/ledger.db \
    AGENTD_TELEMETRY__HTTP_HOST=0.0.0.0
USER 10001
# The only place that is written to: run with a read-only root and this volume.
VOLUME ["/var/lib/agentd"]
EXPOSE 9464 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/livez', timeout=4)"]
ENTRYPOINT ["agentd"]
CMD ["run"]
