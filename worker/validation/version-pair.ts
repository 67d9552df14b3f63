import type pg from "pg";
import { reported, type ReportedError } from "../../contracts/errors.ts";
import { versionNum } from "../postgres/connect.ts";
import { type End, type FindingDraft, type PairCheck } from "./check.ts";
import { majorOf, versionText } from "./end.ts";

function compareVersions(source: number, target: number): FindingDraft[] {
  if (majorOf(target) >= majorOf(source)) return [];
  return [{ detail: `Source ${versionText(source)}, target ${versionText(target)}.` }];
}

/** The target's major version is the source's, or later. */
export const versionPair: PairCheck = {
  kind: "TargetVersionLower",
  scope: "both",
  alsoOnResume: true,
  run: ({ source, target }) => Promise.resolve(compareVersions(source.versionNum, target.versionNum)),
};

/** The same for the connect task, which knows only the connections. */
export async function versionFinding(source: pg.Client, target: End): Promise<ReportedError[]> {
  return compareVersions(await versionNum(source), target.versionNum).map(({ detail }) => reported("TargetVersionLower", { detail }));
}
