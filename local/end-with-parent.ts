import { spawn, type ChildProcess } from "node:child_process";
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

/** A running child must not keep our process from ending: neither the child itself nor the pipes to it. */
export function letUsExit(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  for (const pipe of [child.stdin, child.stdout, child.stderr]) if (pipe instanceof Socket) pipe.unref();
}
