import { app } from "@azure/functions";
import { descriptionEndpoint } from "./api-description.ts";
import { deliveryOf } from "./automation/delivery.ts";
import { readConfig } from "./config.ts";
import { openControlPlane } from "./control-plane.ts";
import { endpointsOf } from "./endpoints.ts";
import { openAuth } from "./http/auth.ts";
import { handlerOf } from "./http/handler.ts";
import { invocationLog } from "./http/invocation-log.ts";
import { PORTAL_ROUTE, portalOf } from "./portal.ts";
import { takeReport } from "./reports.ts";
import { takeRequest } from "./requests.ts";
import { startTelemetry } from "./telemetry.ts";
import { watch } from "./watchdog.ts";

/** Registers every function with the runtime. Settings in %…% are resolved by the host. */

const EVERY_MINUTE = "0 */1 * * * *";

const config = readConfig(process.env);
const plane = openControlPlane(config);
const authorize = openAuth(config.auth);

const endpoints = endpointsOf(plane);

for (const endpoint of [...endpoints, descriptionEndpoint]) {
  app.http(endpoint.name, {
    methods: [endpoint.method],
    authLevel: "anonymous", // who may call is decided by `authorize`, not by function keys
    route: endpoint.route,
    handler: handlerOf(endpoint, authorize),
  });
}

app.http("portal", { methods: ["GET", "HEAD"], authLevel: "anonymous", route: PORTAL_ROUTE, handler: portalOf(process.env) });

app.serviceBusQueue("reports", {
  connection: "ServiceBusConnection",
  queueName: "%REPORTS_QUEUE%",
  isSessionsEnabled: true, // the reports of one task in their order
  handler: (message, context) => takeReport(plane, message, invocationLog(context)),
});

app.serviceBusQueue("requests", {
  connection: "ServiceBusConnection",
  queueName: "%REQUESTS_QUEUE%",
  handler: (message, context) => takeRequest(plane, endpoints, deliveryOf(message, context), invocationLog(context)),
});

app.timer("watchdog", {
  schedule: process.env["WATCHDOG_CRON"] ? "%WATCHDOG_CRON%" : EVERY_MINUTE,
  handler: (_timer, context) => watch(plane, invocationLog(context)),
});

let stopTelemetry: (() => Promise<void>) | undefined;
app.hook.appStart(async () => {
  const onProblem = (message: string): void => console.error(`telemetry: ${message}`); // eslint-disable-line no-console -- no invocation whose log it could be
  stopTelemetry = await startTelemetry(process.env, { identityClientId: config.identityClientId, onProblem });
});

app.hook.appTerminate(async () => {
  await plane.bus.close();
  await stopTelemetry?.();
});
