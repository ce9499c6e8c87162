# docker build -t llm-gateway .
# docker run --read-only -p 8080:8080 -e OPENAI_API_KEY=… -v ./gateway.yaml:/etc/gateway/gateway.yaml:ro llm-gateway
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src

# The dependencies change seldom, so they are a layer of their own, before any of our code. They are what serves, with
# Postgres and the fast token counter; scikit-learn is not among them (150 MB that only `gateway router train` needs).
COPY .ci/installer.lock .ci/build.lock requirements-image.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r installer.lock -r build.lock \
    && uv venv /opt/gateway \
    && uv pip sync --no-cache --python /opt/gateway/bin/python --require-hashes --compile-bytecode requirements-image.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY config config
COPY gateway gateway
RUN python -m hatchling build -t wheel -d /dist \
    && uv pip install --no-cache --python /opt/gateway/bin/python --no-deps --compile-bytecode /dist/*.whl

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="llm-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/gateway --create-home --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
COPY config/production.yaml /etc/gateway/gateway.yaml

ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
# The one place that is written to: var/, where the configuration puts files of its own.
WORKDIR /var/lib/gateway
VOLUME /var/lib/gateway
EXPOSE 8080 8081

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "-c", "/etc/gateway/gateway.yaml", "--host", "0.0.0.0"]
