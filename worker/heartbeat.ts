import { type ServiceBusSender } from "@azure/service-bus";
import { type Heartbeat, HEARTBEAT_INTERVAL_MS, heartbeatSession } from "../contracts/reports.ts";
import { type Logger } from "./log.ts";

export interface HeartbeatOptions {
  readonly sender: ServiceBusSender;
  readonly log: Logger;
  readonly describe: () => Omit<Heartbeat, "version" | "type" | "sentAt" | "rssBytes">;
}

/** Tells the control plane that this worker is alive and what it runs. A heartbeat that cannot be sent is not made up for. */
export function startHeartbeat({ sender, log, describe }: HeartbeatOptions): { beat(): Promise<void>; stop(): void } {
  const beat = async (): Promise<void> => {
    const body: Heartbeat = {
      version: 1,
      type: "heartbeat",
      ...describe(),
      sentAt: new Date().toISOString(),
      rssBytes: process.memoryUsage.rss(),
    };
    try {
      await sender.sendMessages({
        body,
        sessionId: heartbeatSession(body.workerId),
        contentType: "application/json",
        subject: "heartbeat",
      });
    } catch (thrown) {
      log.warn({ event: "heartbeat.failed", err: thrown }, "a heartbeat was not accepted");
    }
  };
  const timer = setInterval(() => void beat(), HEARTBEAT_INTERVAL_MS);
  void beat();
  return {
    beat,
    stop: () => {
      clearInterval(timer);
    },
  };
}
