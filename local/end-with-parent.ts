import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { Socket } from "node:net";

/**
 * A shell that outlives us for a moment: it blocks on its standard input, whose other end only our process holds. When we are
 * gone, for whatever reason, the pipe closes and the shell stops the server and removes its temporary folder.
 */
const guardScript = `
cat > /dev/null
kill -INT "$1" 2> /dev/null
[ -n "$2" ] || exit 0
tries=0
while kill -0 "$1" 2> /dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$1" 2> /dev/null
rm -rf "$2"
`;

/**
 * Makes sure that a server started by us ends when our process ends: normally, by a signal that nobody handles, by a crash, and
 * even by SIGKILL (no exit hook and no signal handler would see that one). The server gets SIGINT.
 *
 * `removeFolder` is deleted once the server is gone. Returns a function that calls the guard off; call it when the server has ended
 * by itself, so that its process id is never signalled after another process got it.
 */
export function endWithParent(pid: number, removeFolder = ""): () => void {
  const guard = spawn("/bin/sh", ["-c", guardScript, "pgdms-guard", String(pid), removeFolder], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true, // Ctrl-C in a terminal goes to the whole process group: the guard must survive it
    cwd: "/",
  });
  guard.on("error", () => {}); // no /bin/sh: the server still ends by stop()
  guard.stdin.on("error", () => {});
  letUsExit(guard);
  return () => guard.kill("SIGKILL");
}

/**
 * The shell forks a guard and then becomes the program, so there is no moment without one. The guard reads from our pipe: a line
 * calls it off, the pipe's end means that we are gone.
 */
const guardedScript = `
{
  read -r word <&3 && exit 0
  kill -INT "$$"
  tries=0
  while kill -0 "$$" && [ "$tries" -lt 150 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$$"
} > /dev/null 2>&1 &
exec 3<&-
exec "$@"
`;

/**
 * Starts a program that ends when our process ends, SIGKILL included, also when that comes in the moment of its start. It gets
 * SIGINT, and SIGKILL when it is still there after 15 s. Its process id is the child's; in a process group of its own, since
 * Ctrl-C in a terminal must reach us first.
 */
export function spawnGuarded(program: string, args: readonly string[], options: Pick<SpawnOptions, "env" | "cwd">): ChildProcess {
  const child = spawn("/bin/sh", ["-c", guardedScript, "pgdms-guard", program, ...args], {
    ...options,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    detached: true,
  });
  const guard = child.stdio[3];
  if (guard instanceof Socket) {
    guard.on("error", () => {});
    child.once("exit", () => guard.end("off\n"));
  }
  return child;
}

/** A running child must not keep our process from ending: neither the child itself nor the pipes to it. */
export function letUsExit(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  for (const pipe of child.stdio) if (pipe instanceof Socket) pipe.unref();
}
