import { createServer } from "node:https";
import { type AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { context, metrics, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { generate } from "selfsigned";
import { afterEach, describe, expect, test, vi } from "vitest";
import { TASK_TYPES } from "../../contracts/commands.ts";
import { startSdk } from "../../contracts/telemetry-sdk.ts";
import { contextOf, telemetryTarget, traceparentOf } from "../../contracts/telemetry.ts";
import { startTelemetry } from "../../functions/telemetry.ts";
import { TaskTrace } from "../../worker/task-trace.ts";

const KEY = "InstrumentationKey=00000000-0000-0000-0000-000000000001";

describe("where telemetry goes", () => {
  test("is nowhere when nobody asked, when it is disabled, and when a template left the setting empty", () => {
    const endpoint = "http://127.0.0.1:4318";
    expect(telemetryTarget({})).toBeUndefined();
    expect(telemetryTarget({ APPLICATIONINSIGHTS_CONNECTION_STRING: "", OTEL_EXPORTER_OTLP_ENDPOINT: " " })).toBeUndefined();
    expect(telemetryTarget({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: "TRUE" })).toBeUndefined();
    expect(
      telemetryTarget({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" }),
    ).toBeUndefined();
  });

  test("is a collector by the standard variables, for each signal", () => {
    const endpoint = "http://127.0.0.1:4318";
    expect(telemetryTarget({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })).toEqual({
      otlp: { traces: true, metrics: true },
      metricIntervalMs: 60_000,
    });
    expect(telemetryTarget({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: endpoint, OTEL_METRIC_EXPORT_INTERVAL: "5000" })).toEqual({
      otlp: { traces: false, metrics: true },
      metricIntervalMs: 5_000,
    });
  });

  test("is Azure Monitor by its variables, with the identity that they name", () => {
    const APPLICATIONINSIGHTS_CONNECTION_STRING = KEY;
    expect(telemetryTarget({ APPLICATIONINSIGHTS_CONNECTION_STRING })?.azure).toMatchObject({ useIdentity: false });
    const APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "ClientId=11111111-2222-3333-4444-555555555555;Authorization=AAD";
    expect(telemetryTarget({ APPLICATIONINSIGHTS_CONNECTION_STRING, APPLICATIONINSIGHTS_AUTHENTICATION_STRING })?.azure).toEqual({
      connectionString: KEY,
      useIdentity: true,
      identityClientId: "11111111-2222-3333-4444-555555555555",
    });
  });

  test("costs nothing when it is nowhere: no timer, no provider, no problem", async () => {
    const before = process.getActiveResourcesInfo().length;
    const problems: string[] = [];
    const stop = await startTelemetry({}, { identityClientId: undefined, onProblem: (problem) => problems.push(problem) });
    expect(process.getActiveResourcesInfo()).toHaveLength(before);
    expect(trace.getTracer("x").startSpan("y").isRecording()).toBe(false);
    expect(problems).toEqual([]);
    await stop();
  });
});

describe("a traceparent", () => {
  test.each(["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"])(
    "%s comes out as it went in, recorded or not",
    (traceparent) => {
      expect(traceparentOf(contextOf(traceparent))).toBe(traceparent);
    },
  );

  test.each([undefined, "", "x", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad-01"])(
    "that is none (%s) is no context",
    (traceparent) => {
      expect(contextOf(traceparent)).toBe(ROOT_CONTEXT);
      expect(traceparentOf(contextOf(traceparent))).toBeUndefined();
    },
  );
});

describe("lines of a worker's log while telemetry is off", () => {
  const work = { taskType: TASK_TYPES.migrateV2 };
  const logFields = (traceparent?: string) => new TaskTrace({ taskId: "task", traceparent, work }, { epoch: 1, attempts: 1 }).logFields;

  test("name no trace", () => expect(logFields()).toEqual({}));

  test("name the trace of a caller who has one", () =>
    expect(logFields("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")).toEqual({ traceId: "0af7651916cd43dd8448eb211c80319c" }));
});

describe("the exporter of Azure Monitor", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    trace.disable();
    metrics.disable();
    context.disable();
  });

  test("sends spans and metrics to the ingestion endpoint, with a token of the identity", async () => {
    // The exporter speaks TLS only, by an agent of its own: there is no other way to have it take the certificate of a test.
    const { cert, private: key } = await generate([{ name: "commonName", value: "127.0.0.1" }]);
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    const received: { readonly authorization: string | undefined; readonly body: string }[] = [];
    const server = createServer({ cert, key }, (request, response) => {
      void buffer(request).then((bytes) => {
        const body = (request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes).toString();
        received.push({ authorization: request.headers.authorization, body });
        response.writeHead(200, { "content-type": "application/json" }).end('{"itemsReceived":1,"itemsAccepted":1,"errors":[]}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const problems: string[] = [];
    const clientIds: (string | undefined)[] = [];
    const sdk = startSdk({
      target: {
        azure: { connectionString: `${KEY};IngestionEndpoint=${url};LiveEndpoint=${url}`, useIdentity: true, identityClientId: "client" },
        metricIntervalMs: 60_000,
      },
      serviceName: "pgdms-test",
      serviceVersion: "1",
      instanceId: "1",
      credential: (clientId) => {
        clientIds.push(clientId);
        return { getToken: () => Promise.resolve({ token: "a-token", expiresOnTimestamp: Date.now() + 3_600_000 }) };
      },
      onProblem: (problem) => problems.push(problem),
    });
    metrics.getMeter("x").createCounter("pgdms.retries").add(3, { "pgdms.retry.of": "sync" });
    trace
      .getTracer("x")
      .startSpan("full load", { attributes: { "pgdms.database": "listdb" } })
      .end();
    await sdk.stop();
    await new Promise((resolve) => server.close(resolve));
    expect(problems).toEqual([]);
    const all = received.map(({ body }) => body).join("\n");
    expect(all).toContain("full load");
    expect(all).toContain('"pgdms.database":"listdb"');
    expect(all).toContain("pgdms.retries");
    expect(new Set(received.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer a-token"]));
    expect(new Set(clientIds)).toEqual(new Set(["client"]));
  });
});
