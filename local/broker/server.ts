import { listenAmqp } from "./amqp.ts";
import { type BrokerConfig } from "./config.ts";
import { startHealthEndpoint } from "./health.ts";
import { FileJournal, noJournal } from "./journal.ts";
import { linkHandlers } from "./links.ts";
import { Namespace } from "./namespace.ts";

export interface BrokerOptions {
  /** 0 takes a free port. */
  readonly port: number;
  readonly host?: string;
  readonly config: BrokerConfig;
  /** Where messages outlive the broker. Without it they are in memory only. */
  readonly dataDir?: string | undefined;
  /** Shorter (or longer) locks for all entities, for tests that wait for one to end. */
  readonly lockDurationOverrideMs?: number | undefined;
  /** Answers `GET /health` there, as the emulator does. */
  readonly healthPort?: number | undefined;
}

export interface Broker {
  readonly port: number;
  readonly healthPort: number | undefined;
  readonly connectionString: string;
  /** Drops all connections, writes down what is not yet written, and stops. */
  stop(): Promise<void>;
}

/**
 * Starts a Service Bus broker on this machine, for the unmodified `@azure/service-bus` client.
 * @throws Error when a port is taken or the journal in `dataDir` is damaged
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { port, host = "127.0.0.1", config, dataDir, healthPort, lockDurationOverrideMs } = options;
  // The port first: a second broker that is started by mistake must fail before it touches the journal of the first.
  const server = await listenAmqp({ host, port });
  let namespace: Namespace | undefined;
  try {
    const journal = dataDir === undefined ? noJournal : new FileJournal(dataDir);
    namespace = new Namespace(config, journal, lockDurationOverrideMs);
    server.serve(linkHandlers(namespace, () => journal.flush()));
    const health = healthPort === undefined ? undefined : await startHealthEndpoint(healthPort, host);
    return {
      port: server.port,
      healthPort: health?.port,
      connectionString: connectionStringFor(server.port, host),
      async stop() {
        health?.close();
        await server.close();
        namespace?.stop();
      },
    };
  } catch (error) {
    await server.close();
    namespace?.stop();
    throw error;
  }
}

/** The client compares the value `true` in this case only; with another spelling it would speak TLS to a plain port. */
export function connectionStringFor(port: number, host = "127.0.0.1"): string {
  return `Endpoint=sb://${host}:${port};SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true;`;
}
