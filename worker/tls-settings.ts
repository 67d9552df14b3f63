import { type ConnectionReference } from "../contracts/connection.ts";

/** Clients that cannot send encryptConnection and trustServerCertificate say it in the settings. */
export function tlsOf(connection: ConnectionReference, setting: Readonly<Record<string, string>>): ConnectionReference {
  const said = (...names: string[]): boolean | undefined => {
    const text = names.map((name) => setting[name]).find((value) => value !== undefined && value !== "asGiven");
    return text === undefined ? undefined : text === "true";
  };
  return {
    ...connection,
    encryptConnection: said("encryptSource", "encryptTarget", "encryptConnection") ?? connection.encryptConnection,
    trustServerCertificate:
      said("trustSourceCertificate", "trustTargetCertificate", "trustServerCertificate") ?? connection.trustServerCertificate,
  };
}
