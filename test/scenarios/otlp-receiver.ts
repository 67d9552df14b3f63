import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { z } from "zod";

/** A small OpenTelemetry collector in memory: what the real exporters send over HTTP with JSON. */

const Value = z.union([
  z.object({ stringValue: z.string() }).transform(({ stringValue }) => stringValue),
  z.object({ intValue: z.coerce.number() }).transform(({ intValue }) => intValue),
  z.object({ doubleValue: z.number() }).transform(({ doubleValue }) => doubleValue),
  z.object({ boolValue: z.boolean() }).transform(({ boolValue }) => boolValue),
  z
    .object({ arrayValue: z.object({ values: z.array(z.object({ stringValue: z.string() })) }) })
    .transform(({ arrayValue }) => arrayValue.values.map(({ stringValue }) => stringValue).join(",")),
]);
const Attributes = z
  .array(z.object({ key: z.string(), value: Value }))
  .default([])
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, value])));
const Resource = z.object({ attributes: Attributes });

const Span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes: Attributes,
  links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
  status: z.object({ code: z.number().default(0) }),
});
const Traces = z.object({
  resourceSpans: z.array(z.object({ resource: Resource, scopeSpans: z.array(z.object({ spans: z.array(Span) })) })),
});

const Point = z.object({
  attributes: Attributes,
  asInt: z.coerce.number().optional(),
  asDouble: z.number().optional(),
  count: z.coerce.number().optional(),
  max: z.number().optional(),
});
const Points = z.object({ dataPoints: z.array(Point) });
const Metric = z.object({
  name: z.string(),
  unit: z.string(),
  gauge: Points.optional(),
  sum: Points.optional(),
  histogram: Points.optional(),
});
const Metrics = z.object({
  resourceMetrics: z.array(z.object({ resource: Resource, scopeMetrics: z.array(z.object({ metrics: z.array(Metric) })) })),
});

export type ReceivedSpan = z.infer<typeof Span> & { readonly service: string };
interface ReceivedPoint {
  readonly service: string;
  readonly metric: string;
  readonly unit: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Value of a gauge or a sum, number of a histogram's values. */
  readonly value: number;
}

export interface OtlpReceiver {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  readonly points: readonly ReceivedPoint[];
  stop(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const points: ReceivedPoint[] = [];
  const take = async (request: IncomingMessage): Promise<void> => {
    const body: unknown = JSON.parse(await text(request));
    if (request.url === "/v1/traces") spans.push(...spansIn(body));
    else points.push(...pointsIn(body));
  };
  const server = createServer((request, response) => {
    take(request).then(
      () => response.writeHead(200, { "content-type": "application/json" }).end("{}"),
      (error: unknown) => response.writeHead(400).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    points,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const serviceOf = ({ attributes }: z.infer<typeof Resource>): string => String(attributes["service.name"]);

const spansIn = (body: unknown): ReceivedSpan[] =>
  Traces.parse(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, service: serviceOf(resource) }))),
  );

const pointsIn = (body: unknown): ReceivedPoint[] =>
  Metrics.parse(body).resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap(({ name, unit, gauge, sum, histogram }) =>
        (gauge ?? sum ?? histogram ?? { dataPoints: [] }).dataPoints.map((point) => ({
          service: serviceOf(resource),
          metric: name,
          unit,
          attributes: point.attributes,
          value: point.asDouble ?? point.asInt ?? point.count ?? Number.NaN,
        })),
      ),
    ),
  );
