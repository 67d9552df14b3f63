import { type ConnectionInfo } from "../contracts/connection.ts";
import { type ConnectionView } from "../contracts/wire.ts";

/**
 * A connection as answers and rows have it. The password is left out, and so is `additionalSettings`: it is free text in
 * which people write passwords.
 */
export function connectionView({ password: _password, additionalSettings: _settings, ...connection }: ConnectionInfo): ConnectionView {
  const given = Object.fromEntries(Object.entries(connection).filter(([, value]) => value !== null)) as Omit<ConnectionView, "type">;
  return { ...given, type: "PostgreSqlConnectionInfo" };
}
