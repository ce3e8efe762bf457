/** Programs that a project is built and served with. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";

/** Runs a program to its end; gives what it wrote to stdout. Fails with all that it wrote. */
export async function run(
  program: string,
  arguments_: string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string | undefined> },
): Promise<string> {
  const child = spawn(program, arguments_, options(cwd, env));
  let written = "";
  let all = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    written += chunk;
    all += chunk;
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    all += chunk;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ${arguments_.join(" ")} in ${cwd} ended with ${code}:\n${all}`);
  return written;
}

/** A program that runs until `stop`, or ends by itself. */
export interface Service {
  /** What `ready` found in its output. */
  found: string[];
  /** Resolves when its output matches; rejects when it ends before that. */
  wrote(what: RegExp): Promise<string[]>;
  /** Its exit status, when it has ended. */
  ended(): Promise<number | null>;
  stop(): Promise<void>;
}

/** Starts a program, and waits until it has written what `ready` matches. */
export async function serve(
  program: string,
  arguments_: string[],
  { cwd, env = {}, ready }: { cwd: string; env?: Record<string, string | undefined>; ready: RegExp },
): Promise<Service> {
  // In a group of its own: programs that npm scripts start have children.
  const child = spawn(program, arguments_, { ...options(cwd, env), detached: true });
  let written = "";
  const looks = new Set<() => void>();
  const told = () => {
    for (const look of looks) look();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours, which some write to pipes as well
      written += chunk.toString().replaceAll(/\u001b\[[0-9;]*m/g, "");
      told();
    });
  }
  const end = new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", reject);
  });
  // Whoever waits is told below; where nobody does it is no failure.
  end.then(told, told);
  const wrote = (what: RegExp) =>
    new Promise<string[]>((resolve, reject) => {
      const look = () => {
        const match = what.exec(written);
        if (match) resolve([...match]);
        else if (child.exitCode !== null)
          reject(new Error(`${program} ended with ${child.exitCode}:\n${written}`));
        else return;
        looks.delete(look);
      };
      looks.add(look);
      child.on("error", reject);
      look();
    });
  try {
    return { found: await wrote(ready), wrote, ended: () => end, stop: () => stop(child) };
  } catch (error) {
    await stop(child);
    throw error;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
  await gone;
}

function options(cwd: string, env: Record<string, string | undefined>): SpawnOptions {
  const clean: NodeJS.ProcessEnv = { ...process.env };
  // What vitest and npm say of themselves is none of a user's project's business.
  for (const name of Object.keys(clean)) if (/^(npm_|VITEST|NODE_ENV$|TEST$)/.test(name)) delete clean[name];
  return {
    cwd,
    env: { ...clean, NEXT_TELEMETRY_DISABLED: "1", NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  };
}
