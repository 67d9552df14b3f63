/**
 * What is done to the text of a dump: whole lines that pg_dump writes by itself are left out. The SQL is never parsed.
 */

/** Extensions that belong to a platform: it installs what it needs on the target. Also those that we would bring along. */
export const PLATFORM_EXTENSIONS = [
  "azure",
  "azure_storage",
  "azure_ai",
  "pgaadauth",
  "pg_availability",
  "rdsutils",
  "aws_commons",
  "aws_s3",
  "aws_lambda",
  "apg_plan_mgmt",
  "google_vacuum_mgmt",
  "google_columnar_engine",
];

export const isPlatformExtension = (name: string): boolean => PLATFORM_EXTENSIONS.includes(name);

/** psql's own commands (\restrict, \unrestrict, \connect); pg_dump writes them alone on their line. */
const META_COMMAND = /^\\(?:un)?restrict\b.*\n?/gm;

/** Comments of extensions come with CREATE EXTENSION, and only the extension's owner may set them: on Azure that is not the user. */
const EXTENSION_COMMENT = /^-- Name: EXTENSION .*; Type: COMMENT; .*\n--\n\nCOMMENT ON EXTENSION .*;\n/gm;

/** The comment that initdb gives; only the schema's owner may set it, and it is there already. */
const PUBLIC_COMMENT = /^COMMENT ON SCHEMA "?public"? IS 'standard public schema';\n/gm;

const TRANSACTION_TIMEOUT = /^SET transaction_timeout = 0;\n/gm;

const platformExtension = new RegExp(`^CREATE EXTENSION IF NOT EXISTS "?(?:${PLATFORM_EXTENSIONS.join("|")})"? WITH SCHEMA .*;\\n`, "gm");

/**
 * Makes a plain-text dump fit for one simple query on a target of the given version (server_version_num). Lines inside
 * function bodies that look exactly like pg_dump's own would be hit as well; no real function holds such lines.
 */
export function cleanDump(text: string, targetVersionNum: number): string {
  const clean = text.replace(META_COMMAND, "").replace(EXTENSION_COMMENT, "").replace(PUBLIC_COMMENT, "").replace(platformExtension, "");
  return targetVersionNum >= 170_000 ? clean : clean.replace(TRANSACTION_TIMEOUT, "");
}
