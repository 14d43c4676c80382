# The sidecar as an image: `docker build -t banditd .`
#
#   docker run --rm banditd                                          its embedded example configuration
#   docker run --rm -v ./bandit.yaml:/etc/banditd.yaml:ro -e BANDITD_CONFIG=/etc/banditd.yaml banditd
#
# It listens on its own loopback, as a sidecar should: containers of one pod share that. To be reached from
# elsewhere set BANDITD_LISTEN=0.0.0.0:50051 with BANDITD_TLS_CERT and BANDITD_TLS_KEY, or, on a network
# that is yours alone, with BANDITD_ALLOW_INSECURE=1; the same for metrics, BANDITD_HTTP=0.0.0.0:9100,
# which answers few requests at once. docs/operations.md says more.
# With --read-only add --tmpfs /var/cache/banditd and a volume for the data: kernels are then compiled at each
# start, for some seconds.
#
# tests/dockerfile_steps.py runs these steps without Docker.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/banditd && /opt/banditd/bin/pip install --no-cache-dir --require-hashes -r constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY bandit bandit
COPY server server
RUN /opt/banditd/bin/pip install --no-cache-dir --no-deps --no-build-isolation .
RUN /opt/banditd/bin/pip uninstall --yes hatchling editables packaging pathspec pluggy tomlkit trove-classifiers

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /var/lib/banditd banditd
# The data, and the compiled kernels: both belong to the service alone.
RUN install --directory --owner=banditd --group=banditd --mode=700 /var/lib/banditd /var/cache/banditd
COPY --from=build /opt/banditd /opt/banditd
# Kernels are compiled here, not at the first start. numba keys its cache by the processor's name and
# features: pinned, so that what is built on one machine is found on another. `generic` runs on every one of
# the architecture, a tenth slower at most; for newer ones build with --build-arg NUMBA_CPU_NAME=x86-64-v3.
ARG NUMBA_CPU_NAME=generic
ENV NUMBA_CPU_NAME=$NUMBA_CPU_NAME NUMBA_CPU_FEATURES="" NUMBA_CACHE_DIR=/var/cache/banditd
ENV PATH=/opt/banditd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENV BANDITD_DATA_DIR=/var/lib/banditd
USER banditd
WORKDIR /var/lib/banditd
RUN python -c "import server.opening; from bandit.kernels import jit; print(jit.compile_all(), 'kernels compiled')"
VOLUME /var/lib/banditd
EXPOSE 50051 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["banditd", "probe"]
ENTRYPOINT ["banditd"]
CMD ["serve"]
