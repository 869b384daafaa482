# syntax=docker/dockerfile:1

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock requirements-milvus.lock install_packages.sh ./
# An index with builds of torch without CUDA: docker build --build-arg TORCH_INDEX=… makes the image smaller.
ARG TORCH_INDEX=
# The client of Milvus, for MILVUS_URL: docker build --build-arg MILVUS=1
ARG MILVUS=
RUN python -m venv /venv \
    && PIP_NO_CACHE_DIR=1 sh install_packages.sh /venv/bin/python requirements.lock \
    && if [ -n "$MILVUS" ]; then /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-milvus.lock; fi

FROM python:3.11-slim-bookworm
# What opencv-python links to. Not pinned: Debian keeps one version only.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 imgsmlr \
    && useradd --system --uid 10001 --gid imgsmlr --home-dir /app imgsmlr \
    && install -d -o imgsmlr -g imgsmlr /data
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
# The user of the service cannot write here, and each process would compile all modules again.
RUN python -m compileall -q gallery imgsmlr_site moderation videos
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
USER 10001:10001
VOLUME /data
EXPOSE 8140
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8140')}/readyz\", timeout=4)"]
CMD ["gunicorn", "--config", "python:imgsmlr_site.gunicorn_conf", "imgsmlr_site.wsgi"]
