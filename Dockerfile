# The image of the agent, the recorder and the commands: docker build -t pointsman:0.1.0 .
# deploy/image/root.sh makes the same root file system without a container engine.
FROM node:20-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 make g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN node scripts/set-up.mjs && npm pack ./packages/cli --pack-destination /tmp
RUN sh deploy/image/install.sh /opt/pointsman /tmp/pointsman-*.tgz

FROM debian:bookworm-slim
COPY deploy/image/packages.txt /tmp/packages.txt
RUN apt-get update \
 && xargs -a /tmp/packages.txt apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /tmp/packages.txt
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/pointsman /opt/pointsman
COPY deploy/image/entry.sh /usr/local/bin/pointsman-entry
COPY deploy/image/kube-proxy.sh /usr/local/bin/kube-proxy
RUN ln -s /opt/pointsman/bin/pointsman /usr/local/bin/pointsman \
 && chmod 0755 /usr/local/bin/pointsman-entry /usr/local/bin/kube-proxy \
 && install -d -m 0755 -o 65532 -g 65532 /var/lib/pointsman
ENTRYPOINT ["/usr/local/bin/pointsman-entry"]
CMD ["--help"]
