import { useSyncExternalStore } from "react";

/**
 * Where the page is, kept behind the `#` of its address: the server then needs to know one path only, under whatever
 * prefix it serves it, and a reload stays where the user was.
 */
export type Route =
  | { readonly page: "services" }
  | { readonly page: "service"; readonly resourceGroup: string; readonly service: string }
  | { readonly page: "newMigration"; readonly resourceGroup: string; readonly service: string; readonly project?: string }
  | {
      readonly page: "migration";
      readonly resourceGroup: string;
      readonly service: string;
      readonly project: string;
      readonly task: string;
      readonly database?: string;
      readonly view?: "report";
    };

/** The address (with its `#`) of a route. */
export function hrefOf(route: Route): string {
  switch (route.page) {
    case "services":
      return "#/";
    case "service":
      return hash("groups", route.resourceGroup, "services", route.service);
    case "newMigration":
      return hash("groups", route.resourceGroup, "services", route.service, "new", ...(route.project ? [route.project] : []));
    case "migration": {
      const task = ["groups", route.resourceGroup, "services", route.service, "projects", route.project, "tasks", route.task];
      if (route.database === undefined) return hash(...task);
      return hash(...task, "databases", route.database, ...(route.view ? [route.view] : []));
    }
  }
}

const hash = (...segments: string[]): string => `#/${segments.map(encodeURIComponent).join("/")}`;

/** Reads an address; anything unknown leads to the list of services. */
export function parseRoute(address: string): Route {
  const segments = decode(address);
  const [groups, resourceGroup, services, service, next, project, tasks, task, databases, database, view] = segments;
  if (groups !== "groups" || services !== "services" || !resourceGroup || !service) return { page: "services" };
  if (next === undefined) return { page: "service", resourceGroup, service };
  if (next === "new") return { page: "newMigration", resourceGroup, service, ...(project ? { project } : {}) };
  if (next !== "projects" || !project || tasks !== "tasks" || !task) return { page: "service", resourceGroup, service };
  return {
    page: "migration",
    resourceGroup,
    service,
    project,
    task,
    ...(databases === "databases" && database ? { database } : {}),
    ...(view === "report" ? { view } : {}),
  };
}

function decode(address: string): string[] {
  try {
    return address
      .replace(/^#?\/?/, "")
      .split("/")
      .filter((segment) => segment !== "")
      .map(decodeURIComponent);
  } catch {
    return []; // a hand-made address with a broken escape
  }
}

export function goTo(route: Route): void {
  window.location.hash = hrefOf(route);
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
}

/** The hash of the page's address; parse it with `parseRoute`. */
export const useAddress = (): string => useSyncExternalStore(subscribe, () => window.location.hash);
