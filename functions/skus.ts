import { SERVICE_SKUS, type ServiceSku } from "../contracts/wire.ts";
import { routes, servicePath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { requireService } from "./find.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";

/** What a service may be sized as: in general, and for one that exists. */
export const skuEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "skus-list", method: "GET", route: routes.skus, handle: () => Promise.resolve(listAll()) },
  { name: "services-skus", method: "GET", route: `${routes.service}/skus`, handle: (call) => listForService(plane, call) },
];

/** The size of a service that says nothing about it: online migrations need Premium. */
export const DEFAULT_SKU = "Premium_4vCores" satisfies ServiceSku["name"];

export const skuOf = (name: ServiceSku["name"]): ServiceSku => SERVICE_SKUS.find((sku) => sku.name === name) ?? SERVICE_SKUS[3];

export const isPremium = (name: ServiceSku["name"]): boolean => skuOf(name).tier === "Premium";

function listAll(): Answer {
  const value = SERVICE_SKUS.map(({ name, tier, size, family }) => ({
    resourceType: "services",
    name,
    tier,
    size,
    family,
    kind: "Cloud",
    locations: [],
    apiVersions: [],
    costs: [],
    capabilities: [],
    restrictions: [],
  }));
  return { status: 200, body: { value } };
}

async function listForService({ store }: ControlPlane, call: Call): Promise<Answer> {
  await requireService(store, servicePath(call.params));
  const value = SERVICE_SKUS.map(({ name, tier, size, family }) => ({
    resourceType: "Microsoft.DataMigration/services",
    sku: { name, tier, size, family },
    capacity: { minimum: 1, maximum: 1, default: 1, scaleType: "none" },
  }));
  return { status: 200, body: { value } };
}
