import { commandEndpoints } from "./commands.ts";
import { type ControlPlane } from "./control-plane.ts";
import { healthEndpoints } from "./health.ts";
import { type Endpoint } from "./http/endpoint.ts";
import { nameCheckEndpoints } from "./name-checks.ts";
import { operationEndpoints } from "./operations.ts";
import { projectEndpoints } from "./projects.ts";
import { serviceStateEndpoints } from "./service-state.ts";
import { serviceEndpoints } from "./services.ts";
import { skuEndpoints } from "./skus.ts";
import { taskEndpoints } from "./tasks.ts";
import { unusedResourceEndpoints } from "./unused-resources.ts";

/** Every route of the REST API. */
export const endpointsOf = (plane: ControlPlane): Endpoint[] => [
  ...serviceEndpoints(plane),
  ...serviceStateEndpoints(plane),
  ...skuEndpoints(plane),
  ...nameCheckEndpoints(plane),
  ...operationEndpoints(plane),
  ...projectEndpoints(plane),
  ...taskEndpoints(plane),
  ...commandEndpoints(plane),
  ...unusedResourceEndpoints(plane),
  ...healthEndpoints(plane),
];
