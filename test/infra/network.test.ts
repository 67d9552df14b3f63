import { describe, expect, test } from "vitest";
import { literalText, nodesOfType, propertiesOf } from "../../scripts/bicep-lint/bicep-file.ts";
import { declarationsOf, valueOf } from "../../scripts/bicep-lint/declarations.ts";
import { parsedTemplate } from "./templates.ts";

const rules = parsedTemplate("modules/worker-security-group.bicep");
const network = parsedTemplate("modules/network.bicep");

/** Service tag to ports, as the template lists them. */
const services = new Map(
  nodesOfType(rules.root, "object")
    .map((object) => propertiesOf(object))
    .filter((properties) => properties.has("tag"))
    .map((properties) => [
      literalText(properties.get("tag")),
      nodesOfType(properties.get("ports") ?? rules.root, "string").map((port) => literalText(port)),
    ]),
);

describe("the rules of the worker's subnet", () => {
  test.each(["ServiceBus", "Storage", "AzureMonitor"])("leave 443 to %s open, as the classic service asked", (tag) => {
    expect(services.get(tag)).toContain("443");
  });

  test.each(["AzureKeyVault", "AzureActiveDirectory", "MicrosoftContainerRegistry", "AzureFrontDoor.FirstParty", "AzureContainerRegistry"])(
    "leave 443 to %s open, which secrets, tokens and images need",
    (tag) => {
      expect(services.get(tag)).toEqual(["443"]);
    },
  );

  test("let 5432 out to the databases that the parameter names, and to no other", () => {
    expect(rules.source).toContain("destinationAddressPrefix: database.addressPrefix");
    expect([...services.values()].flat()).not.toContain("5432");
  });

  test("never share a priority in one direction", () => {
    const fixed = nodesOfType(rules.root, "object")
      .map((object) => propertiesOf(object))
      .filter((properties) => properties.has("direction"))
      .map((properties) => `${properties.get("direction")?.text ?? ""} ${properties.get("priority")?.text ?? ""}`);
    expect(new Set(fixed).size).toBe(fixed.length);
    // 100 + 10 for each service stays below the first database, at 300; a database stays below the closing rule, at 4000.
    expect(100 + (services.size - 1) * 10).toBeLessThan(300);
  });
});

describe("the virtual network", () => {
  const subnets = nodesOfType(network.root, "object")
    .map((object) => propertiesOf(object))
    .filter((properties) => properties.get("properties")?.text.includes("addressPrefix:") && properties.has("name"));

  test("has no egress but its own: every subnet says so", () => {
    expect(subnets).toHaveLength(4);
    for (const subnet of subnets) expect(subnet.get("properties")?.text).toContain("defaultOutboundAccess: false");
  });

  test("sends workers and Functions through the NAT gateway, and tells its address", () => {
    const behindNat = subnets.filter((subnet) => subnet.get("properties")?.text.includes("natGateway:"));
    expect(behindNat.map((subnet) => subnet.get("name")?.text)).toEqual(["'snet-functions'", "'snet-worker-${pool.name}'"]);
    const output = declarationsOf(network).find(({ kind, name }) => kind === "output" && name === "outboundIpAddress");
    expect(output && valueOf(output)?.text).toBe("publicIp.properties.ipAddress");
  });

  test("names no subnet with an underscore, which the Functions plan refuses", () => {
    for (const subnet of subnets) expect(subnet.get("name")?.text).not.toContain("_");
  });
});

test("each private endpoint has a DNS zone of its own, since a zone is made once for a network", () => {
  const zones = nodesOfType(parsedTemplate("main.bicep").root, "object")
    .map((object) => propertiesOf(object).get("zone")?.text)
    .filter((zone) => zone !== undefined);
  expect(zones).toHaveLength(6);
  expect(new Set(zones).size).toBe(6);
  const groups = nodesOfType(parsedTemplate("main.bicep").root, "object").flatMap(
    (object) => literalText(propertiesOf(object).get("groupId")) ?? [],
  );
  expect(groups).toEqual(["blob", "table", "namespace", "vault", "registry", "sites"]);
});
