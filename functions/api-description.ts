import openapi from "../docs/openapi.json" with { type: "json" };
import { type Endpoint } from "./http/endpoint.ts";

/** The description of the REST API (OpenAPI 3.1), as `npm run docs` made it of the schemas. */
export const descriptionEndpoint: Endpoint = {
  name: "openapi",
  method: "GET",
  route: "openapi.json",
  needsApiVersion: false,
  handle: () => Promise.resolve({ status: 200, body: openapi }),
};
