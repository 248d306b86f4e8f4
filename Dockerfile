# syntax=docker/dockerfile:1

# The image has a C compiler, which `ring` needs.
ARG RUST_VERSION=1
FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /build

# The dependencies alone, with empty crates in place of ours: a layer that lasts until the
# manifests change.
COPY Cargo.toml Cargo.lock ./
COPY crates/protocol/Cargo.toml crates/protocol/
# The manifest names them.
COPY benches benches
RUN mkdir -p src crates/protocol/src \
    && touch src/lib.rs crates/protocol/src/lib.rs \
    && echo 'fn main() {}' > src/main.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/usr/local/cargo/git \
    cargo build --release --locked

COPY crates crates
COPY src src
# Cargo goes by dates, and those of a checkout may be older than the empty crates.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/usr/local/cargo/git \
    find src crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked

# No shell and no package manager: the binary and glibc. TLS roots are compiled in.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Tidegate" \
      org.opencontainers.image.description="An LLM streaming gateway" \
      org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /build/target/release/tidegate /usr/local/bin/tidegate
COPY LICENSE /usr/share/doc/tidegate/LICENSE

# Reads config/tidegate.toml from here, if it is mounted.
WORKDIR /app
USER 65532:65532
# All interfaces of the container; who reaches them is decided where the port is published.
ENV HOST=0.0.0.0
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/tidegate", "health"]
ENTRYPOINT ["/usr/local/bin/tidegate"]
