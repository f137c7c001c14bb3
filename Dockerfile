# docker build -t ollama-proxy .        (or: docker compose up -d --build)
#
# The same steps as on a Debian machine: make build, make install. The image
# that runs has no compiler in it, and no root.

FROM debian:bookworm-slim AS build

RUN apt-get update \
    && apt-get install -y --no-install-recommends make

WORKDIR /src
COPY . .

RUN make build && make install DESTDIR=/out


FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
           nginx ca-certificates libyajl2 libyaml-0-2 libsqlite3-0 \
           zlib1g libzstd1 \
           libpcre2-8-0 libevent-core-2.1-7 libevent-extra-2.1-7 libevent-pthreads-2.1-7 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --home-dir /app ollama \
    && mkdir -p /app/config /app/data \
    && chown ollama: /app/config /app/data

COPY --from=build /out/usr /usr

USER 1000:1000
WORKDIR /app
ENV PORT=11434 CONFIG=/app/config/config.yaml DATA=/app/data
VOLUME /app/data
EXPOSE 11434

HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.. 200' <&3"]

ENTRYPOINT ["/usr/share/ollama-proxy/run"]
