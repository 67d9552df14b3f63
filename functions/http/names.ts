import { ApiError } from "./api-error.ts";

export type NameKind = "service" | "project" | "task";

const lengths: Record<NameKind, number> = { service: 62, project: 57, task: 57 };

/** What a name of this kind may be, in words. */
export const nameRule = (kind: NameKind): string =>
  `a ${kind} name has 2 to ${lengths[kind]} letters, digits, hyphens, periods or underscores, and begins with a letter or a digit`;

export const isName = (kind: NameKind, name: string): boolean =>
  name.length >= 2 && name.length <= lengths[kind] && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name);

/** @throws ApiError (400) with the rule */
export function requireName(kind: NameKind, name: string): string {
  if (isName(kind, name)) return name;
  throw new ApiError("InvalidRequest", {
    detail: `The name "${name.slice(0, 100)}" is not allowed.`,
    remedy: `Choose another one: ${nameRule(kind)}.`,
    details: [{ code: "InvalidName", message: nameRule(kind), target: `${kind}Name` }],
  });
}

const SUBSCRIPTION = /^[A-Za-z0-9-]{1,64}$/;
const RESOURCE_GROUP = /^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$/u;

export const isSubscription = (text: string): boolean => SUBSCRIPTION.test(text);
export const isResourceGroup = (text: string): boolean => RESOURCE_GROUP.test(text);
