/** What the compiler and the editor say of a mistake (against the published declarations): short, and with the right name. */
import { join } from "node:path";
import ts from "typescript";
import { beforeAll, expect, test } from "vitest";

const SOURCE = `
import service, { createClient } from "@osbackend/realtime";
interface MyEvents { order_placed: { orderId: string; total: number } }
const client = createClient<MyEvents>();
client.on("order_placd", () => {});
client.joinRoom("shop:1").on("metric_udpate", () => {});
client.emit("shop:1", "oder_placed", { orderId: "1", total: 1 });
client.emit("shop:1", "nothing_like_it", {});
client.on("order_placed", (order: { sku: string }) => order.sku);
client.emit("shop:1", "order_placed", { orderId: "1" });
service.emit("shop:1", "presence_join", {});
client.on("|", () => {});
client.joinRoom("shop:1").on("ord|", () => {});
client.emit("shop:1", "|", {});
service.on("|", () => {});
`;

let service: ts.LanguageService;
const text = SOURCE.replaceAll("|", "");

// Within the package, so that its name resolves; nothing is written there.
const file = join(import.meta.dirname, "../.pages/mistakes.ts");

beforeAll(() => {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
  };
  service = ts.createLanguageService({
    getScriptFileNames: () => [file],
    getScriptVersion: () => "1",
    getScriptSnapshot: (name) => {
      const content = name === file ? text : ts.sys.readFile(name);
      return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content);
    },
    getCurrentDirectory: () => import.meta.dirname,
    getCompilationSettings: () => options,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: (name) => name === file || ts.sys.fileExists(name),
    readFile: ts.sys.readFile,
    directoryExists: ts.sys.directoryExists,
  });
}, 60_000);

/** The first line of what is said of the line with this text, and the lines below it. */
function said(of: string): string[] {
  const line = text.split("\n").findIndex((other) => other.includes(of));
  const found = service
    .getSemanticDiagnostics(file)
    .find(({ start = 0 }) => text.slice(0, start).split("\n").length - 1 === line);
  return ts.flattenDiagnosticMessageText(found?.messageText, "\n").split("\n");
}

test("a wrong name: the compiler names the one that was meant, else all there are", {
  timeout: 60_000,
}, () => {
  const mistake = (given: string, meant: string) =>
    `Argument of type '"${given}"' is not assignable to parameter of type '"${meant}"'.`;
  expect(said('"order_placd"')).toEqual([mistake("order_placd", "order_placed")]);
  expect(said('"metric_udpate"')).toEqual([mistake("metric_udpate", "metric_update")]);
  expect(said('"oder_placed"')).toEqual([mistake("oder_placed", "order_placed")]);
  const [all] = said('"nothing_like_it"');
  for (const name of ["metric_update", "clip_played", "order_placed"]) expect(all).toContain(`"${name}"`);
  expect(said('"presence_join"')).toEqual([
    mistake(
      "presence_join",
      "is a name of the system (docs/PROTOCOL.md, section 4): choose another for your event",
    ),
  ]);
});

test("a wrong payload: the field is named", { timeout: 60_000 }, () => {
  expect(said("{ sku: string }").at(-1)?.trim()).toBe(
    "Property 'sku' is missing in type '{ orderId: string; total: number; }' but required in type '{ sku: string; }'.",
  );
  expect(said('{ orderId: "1" })').at(-1)?.trim()).toBe(
    "Property 'total' is missing in type '{ orderId: string; }' but required in type '{ orderId: string; total: number; }'.",
  );
});

test("an editor completes the names, in a client of any kind", { timeout: 60_000 }, () => {
  const before: number[] = [];
  for (const [index, part] of SOURCE.split("|").entries())
    before.push((before[index - 1] ?? 0) + part.length);
  const [any, room, emit, open] = before.map((at) =>
    service.getCompletionsAtPosition(file, at, {})?.entries.map((entry) => entry.name),
  );
  expect(any).toEqual(expect.arrayContaining(["order_placed", "metric_update", "protocol_error", "*"]));
  expect(room).toEqual(expect.arrayContaining(["order_placed", "presence_join", "*"]));
  expect(room).not.toContain("draining");
  expect(emit).toContain("order_placed");
  expect(emit).not.toContain("presence_join");
  expect(open).toContain("metric_update");
});
