# syntax=docker/dockerfile:1
# The one image of bookingq: operator, worker, sweep, simulate and the client commands.
#
#   docker build -t bookingq:dev .
#
# The binary needs only the C library and what librdkafka links to, which this base image has; it has
# no shell and no package manager. The binary runs as user 65532.

FROM docker.io/library/rust:1.95-bookworm AS build
# Seconds since 1970: the time of the commit, for a build that can be repeated
# (docs/supply-chain.md).
ARG SOURCE_DATE_EPOCH
WORKDIR /src
COPY . .
# The builder's caches keep dependencies and their compiled code between builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --profile image --locked --package bookingq --features kafka \
    && cp target/image/bookingq /bookingq

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookingq" \
      org.opencontainers.image.description="Fair booking queues: operator, workers, sweeper, simulator" \
      org.opencontainers.image.source="https://github.com/bookingqueue/bookingq" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /bookingq /usr/local/bin/bookingq
# A number, so that a kubelet can verify that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/bookingq"]
