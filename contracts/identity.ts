import { type DefaultAzureCredential } from "@azure/identity";

/**
 * The managed identity of the process in Azure, or the developer's own login elsewhere. Its library is a third of what a
 * process reads at its start, and is read when the first token is asked for: with connection strings, never.
 * @param clientId of a user-assigned identity
 */
export function azureIdentity(clientId: string | undefined): Pick<DefaultAzureCredential, "getToken"> {
  let loading: Promise<DefaultAzureCredential> | undefined;
  const load = async (): Promise<DefaultAzureCredential> => {
    const library = await import("@azure/identity");
    return new library.DefaultAzureCredential(clientId === undefined ? {} : { managedIdentityClientId: clientId });
  };
  return { getToken: async (...asked) => (await (loading ??= load())).getToken(...asked) };
}
