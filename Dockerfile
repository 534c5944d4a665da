# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
COPY setup.cfg pyproject.toml README.md ./
COPY orderstream ./orderstream
COPY migrations ./migrations
COPY config ./config
# pip stays behind.
RUN python -m venv --without-pip /opt/orderstream && \
    python -m pip --python /opt/orderstream install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin orderstream
COPY --from=build /opt/orderstream /opt/orderstream
ENV PATH=/opt/orderstream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ORDERSTREAM_LISTEN=0.0.0.0:8080 \
    ORDERSTREAM_ADMIN_LISTEN=0.0.0.0:8081
USER 10001
# Clients; metrics and health, which are not for them.
EXPOSE 8080 8081
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/health/live', timeout=2)"]
STOPSIGNAL SIGTERM
# No shell between: SIGTERM reaches the program, which drains.
ENTRYPOINT ["orderstream"]
CMD ["serve"]
