/** As much of Supabase's auth server (GoTrue) as a client needs to sign in, refresh and sign out, on a port of its own. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { onTestFinished } from "vitest";
import WebSocket from "ws";

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

export class AuthServer {
  /** How long the next sessions last, in seconds. */
  lifetime = 3_600;
  /** Its clock, which a device's may differ from. */
  now: () => number = () => Date.now();
  /** Whether refresh tokens are good. */
  refuses = false;
  /** Every access token that was given, in order, as `user n`. */
  readonly given: string[] = [];
  readonly #server = createServer((request, answer) => {
    this.#answer(request.url ?? "", request).then(([status, body]) => {
      answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });

  static async start(): Promise<AuthServer> {
    const auth = new AuthServer();
    auth.#server.listen(0, "127.0.0.1");
    await once(auth.#server, "listening");
    onTestFinished(() => {
      auth.#server.close();
      auth.#server.closeAllConnections();
    });
    return auth;
  }

  /** A client of the real library. */
  client(): SupabaseClient {
    const { port } = this.#server.address() as AddressInfo;
    return createClient(`http://127.0.0.1:${port}`, "anon-key", {
      // Each has a session of its own; what is refreshed is what is asked for.
      auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
      // Node 20 has none; the library wants one at once.
      realtime: { transport: WebSocket as never },
    });
  }

  async #answer(url: string, request: AsyncIterable<Buffer>): Promise<[number, object]> {
    const body = await text(request as never);
    if (url.startsWith("/auth/v1/logout")) return [204, {}];
    if (!url.startsWith("/auth/v1/token")) return [404, { message: url }];
    const { email, refresh_token } = JSON.parse(body) as Record<string, string>;
    if (email === undefined && this.refuses)
      return [400, { code: "refresh_token_not_found", message: "Refresh Token Not Found" }];
    return [200, this.#session(email?.split("@")[0] ?? refresh_token?.split(" ")[0] ?? "")];
  }

  #session(sub: string): object {
    const n = this.given.length + 1;
    const exp = Math.floor(this.now() / 1_000) + this.lifetime;
    const access_token = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, exp, n })}.c2lnbmF0dXJl`;
    this.given.push(`${sub} ${n}`);
    return {
      access_token,
      token_type: "bearer",
      expires_in: this.lifetime,
      expires_at: exp,
      refresh_token: `${sub} ${n}`,
      user: {
        id: sub,
        aud: "authenticated",
        email: `${sub}@example.com`,
        app_metadata: {},
        user_metadata: {},
      },
    };
  }
}

/** A token as `user n`. */
export function named(token: string | null | undefined): string | undefined {
  if (!token) return undefined;
  const { sub, n } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
  return `${sub} ${n}`;
}
