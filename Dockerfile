# Build the wheel where a compiler is, run where none is.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --wheel-dir /wheels /source

FROM python:3.12-slim
RUN useradd --system --home-dir /data --create-home rotomdb
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels rotomdb && rm -rf /wheels
USER rotomdb
WORKDIR /data
VOLUME /data
EXPOSE 6379
STOPSIGNAL SIGTERM
ENTRYPOINT ["rotomdb-server"]
# Inside a container every client comes from another address: set requirepass before you publish the port.
CMD ["--protected-mode", "no"]
