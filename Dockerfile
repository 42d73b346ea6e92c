# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

# The release images: docker build --target operator|apiserver|store|agent .
# They contain one program each. The operator's has the certificate authorities (ADR 34).
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/ ./cmd/operator ./cmd/apiserver ./cmd/agent && \
    CGO_ENABLED=0 go build -C cmd/store -trimpath -buildvcs=false -ldflags "-s -w" -o /out/store .

FROM scratch AS operator
COPY --from=build /out/operator /operator
USER 65532:65532
ENTRYPOINT ["/operator"]

FROM scratch AS apiserver
COPY --from=build /out/apiserver /apiserver
USER 65532:65532
ENTRYPOINT ["/apiserver"]

FROM scratch AS store
COPY --from=build /out/store /store
USER 65532:65532
ENTRYPOINT ["/store"]

FROM scratch AS agent
COPY --from=build /out/agent /procman/agent
USER 65532:65532
ENTRYPOINT ["/procman/agent"]
