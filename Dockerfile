# syntax=docker/dockerfile:1
# The gateway alone: one static binary, CA certificates, no shell. How to run it: docs/container.md.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# With a target named, RUSTFLAGS holds for the gateway and not for build scripts and macros, which cannot be static.
# The folders have the modes that they keep in the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --locked --release --package toolgate --target "$target" \
    && mkdir -p /image/config /image/state \
    && chmod 0700 /image/state \
    && cp "target/$target/release/toolgate" /image/toolgate

FROM scratch
LABEL org.opencontainers.image.title="Toolgate" \
      org.opencontainers.image.description="A gateway between agents and MCP servers: one endpoint, checked calls, an audit trail" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/toolgate /usr/local/bin/toolgate
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /image/config /etc/toolgate
COPY --from=build --chown=65532:65532 /image/state /var/lib/toolgate
# An address in a variable holds for the health check too. Off loopback the gateway asks every caller for a token.
ENV PATH=/usr/local/bin \
    TOOLGATE_LISTEN=0.0.0.0:8787 \
    TOOLGATE_STATE_DIR=/var/lib/toolgate
# Where toolgate.yaml is looked for.
WORKDIR /etc/toolgate
VOLUME ["/var/lib/toolgate"]
EXPOSE 8787
# A number, so that Kubernetes can see that it is not root's.
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/toolgate", "health"]
ENTRYPOINT ["/usr/local/bin/toolgate"]
CMD ["serve"]
