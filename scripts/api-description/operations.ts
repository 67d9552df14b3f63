/** What each operation of the REST API takes and answers, by the names of the schemas. The routes themselves come from functions/. */

export interface OperationDescription {
  readonly summary: string;
  readonly group: "Services" | "Projects" | "Tasks" | "Provider";
  /** Schema of the request's body; several: one of them. */
  readonly request?: string | readonly string[];
  /** Schema of the answer's body by status; null: it has none. `[X]`: a page of X. */
  readonly answers: Readonly<Record<number, string | readonly [string] | null>>;
  readonly query?: readonly QueryParameter[];
}

export type QueryParameter = "$expand" | "taskType" | "deleteRunningTasks" | "$skipToken";

const deletion = { answers: { 200: null, 204: null }, query: ["deleteRunningTasks"] } as const;
const page = (of: string) => ({ answers: { 200: [of] }, query: ["$skipToken"] }) as const;

export const operations: Readonly<Record<string, OperationDescription>> = {
  "services-list": { summary: "Lists the services of a subscription", group: "Services", ...page("Service") },
  "services-list-by-group": { summary: "Lists the services of a resource group", group: "Services", ...page("Service") },
  "services-get": { summary: "Shows a service", group: "Services", answers: { 200: "Service" } },
  "services-put": {
    summary: "Makes a service, or changes it",
    group: "Services",
    request: "ServiceRequest",
    answers: { 200: "Service", 201: "Service" },
  },
  "services-patch": { summary: "Changes parts of a service", group: "Services", request: "ServicePatch", answers: { 200: "Service" } },
  "services-delete": { summary: "Deletes a service with its projects and tasks", group: "Services", ...deletion },
  "services-start": { summary: "Starts a service", group: "Services", answers: { 200: null, 202: null } },
  "services-stop": { summary: "Stops a service; its tasks stay queued", group: "Services", answers: { 200: null, 202: null } },
  "services-check-status": { summary: "Tells whether a service has workers", group: "Services", answers: { 200: "ServiceStatus" } },
  "services-skus": { summary: "Lists the sizes that a service can have", group: "Services", answers: { 200: ["AvailableSku"] } },
  "name-check-service": {
    summary: "Tells whether a service's name is free",
    group: "Services",
    request: "NameCheckRequest",
    answers: { 200: "NameCheck" },
  },
  "name-check-child": {
    summary: "Tells whether a project's name is free; a task's, with service%2Fprojects%2Fproject as the service's name",
    group: "Projects",
    request: "NameCheckRequest",
    answers: { 200: "NameCheck" },
  },
  "name-check-task": {
    summary: "Tells whether a task's name is free",
    group: "Tasks",
    request: "NameCheckRequest",
    answers: { 200: "NameCheck" },
  },
  "projects-list": { summary: "Lists the projects of a service", group: "Projects", ...page("Project") },
  "projects-get": { summary: "Shows a project", group: "Projects", answers: { 200: "Project" } },
  "projects-put": {
    summary: "Makes a project, or changes it",
    group: "Projects",
    request: "ProjectRequest",
    answers: { 200: "Project", 201: "Project" },
  },
  "projects-patch": { summary: "Changes parts of a project", group: "Projects", request: "ProjectPatch", answers: { 200: "Project" } },
  "projects-delete": { summary: "Deletes a project with its tasks", group: "Projects", ...deletion },
  "tasks-list": { summary: "Lists the tasks of a project", group: "Tasks", answers: { 200: ["Task"] }, query: ["taskType", "$skipToken"] },
  "tasks-get": {
    summary: "Shows a task, with its output and its commands if asked",
    group: "Tasks",
    answers: { 200: "Task" },
    query: ["$expand"],
  },
  "tasks-put": { summary: "Makes a task, which starts it", group: "Tasks", request: "TaskRequest", answers: { 200: "Task", 201: "Task" } },
  "tasks-patch": { summary: "Changes what the caller keeps with a task", group: "Tasks", request: "TaskPatch", answers: { 200: "Task" } },
  "tasks-delete": { summary: "Deletes a task", group: "Tasks", ...deletion },
  "tasks-cancel": { summary: "Cancels a task", group: "Tasks", answers: { 200: "Task" } },
  "tasks-command": {
    summary: "Cuts a database over, loads tables anew, or restarts a migration that has failed",
    group: "Tasks",
    request: ["CommandRequest", "RestartRequest"],
    answers: { 200: "CommandView" },
  },
  "operation-statuses": { summary: "Tells how an asynchronous operation stands", group: "Provider", answers: { 200: "OperationStatus" } },
  "operation-results": { summary: "Answers the result of an asynchronous operation", group: "Provider", answers: { 200: null } },
  "operations-list": { summary: "Lists the operations of the provider", group: "Provider", answers: { 200: ["ProviderOperation"] } },
  "usages-list": { summary: "Tells how many services there are", group: "Provider", answers: { 200: ["Usage"] } },
  "skus-list": { summary: "Lists all sizes of services", group: "Provider", answers: { 200: ["ResourceSku"] } },
  health: { summary: "Tells whether the control plane can work", group: "Provider", answers: { 200: "Health", 503: "Health" } },
};

/** Resources of other databases' migrations, which clients may ask for and never find. */
export const isUnused = (operationId: string): boolean => /^(service-tasks|files)-/.test(operationId);
