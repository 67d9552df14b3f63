import { type ControlPlane } from "./control-plane.ts";
import { type Endpoint } from "./http/endpoint.ts";
import { messageOf } from "./log.ts";

/** Whether the control plane can work: it answers 503 when its tables do not. Says nothing that is worth hiding. */
export const healthEndpoints = ({ store }: ControlPlane): Endpoint[] => [
  {
    name: "health",
    method: "GET",
    route: "health",
    right: "anyone",
    needsApiVersion: false,
    handle: async ({ log }) => {
      try {
        await store.services.get({ partitionKey: "health", rowKey: "health" });
        return { status: 200, body: { status: "Healthy" } };
      } catch (error) {
        log.error({ event: "tables.unreadable", error: messageOf(error) }, "the tables cannot be read");
        return { status: 503, body: { status: "Unhealthy", reason: "The tables cannot be read." } };
      }
    },
  },
];
