import dns from "node:dns";
import { isIP } from "node:net";

/** How the system says that a name cannot be resolved: there is none, or the name server does not answer. */
export type LookupFailure = "ENOTFOUND" | "EAI_AGAIN";

/** What a name stands for at the moment. */
export type NameAnswer = { readonly address: string } | { readonly failure: LookupFailure };

const ERRNO: Record<LookupFailure, number> = { ENOTFOUND: -3008, EAI_AGAIN: -3001 };

type Lookup = (hostname: string, options: dns.LookupAllOptions | dns.LookupOneOptions, callback: LookupCallback) => void;
type LookupCallback = (error: Error | null, address?: string | dns.LookupAddress[], family?: number) => void;

/**
 * Stands between Node and the system's name service: every connection to a name asks `dns.lookup`. Names without an answer go
 * on to the system. @returns what puts the system's own back
 */
export function answerNames(answerOf: (hostname: string) => NameAnswer | undefined): () => void {
  const system = dns.lookup;
  const lookup: Lookup = (hostname, options, callback) => {
    const answer = answerOf(hostname);
    if (answer === undefined) (system as Lookup)(hostname, options, callback);
    else if ("failure" in answer) process.nextTick(callback, lookupError(hostname, answer.failure));
    else {
      const family = isIP(answer.address);
      if (options.all) process.nextTick(callback, null, [{ address: answer.address, family }]);
      else process.nextTick(callback, null, answer.address, family);
    }
  };
  dns.lookup = lookup as typeof dns.lookup;
  return () => {
    dns.lookup = system;
  };
}

const lookupError = (hostname: string, code: LookupFailure): Error =>
  Object.assign(new Error(`getaddrinfo ${code} ${hostname}`), { errno: ERRNO[code], code, syscall: "getaddrinfo", hostname });
