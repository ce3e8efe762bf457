/** What both Node peers share: the port they are told, the check of a token, and the line that says they are up. */
import jwt from "jsonwebtoken";

const secret = process.env.JWT_SECRET;
if (!secret) throw new Error("set JWT_SECRET: the bench gives every server the same one");

export const port = Number(process.env.PORT ?? 0);

/** Same demands as our server: HS256 only, not expired, with a subject. Throws otherwise. */
export function verify(token) {
  const claims = jwt.verify(token, secret, { algorithms: ["HS256"] });
  if (typeof claims.sub !== "string") throw new Error("token without sub");
  return claims;
}

export function announce(server) {
  console.log(`listening on ${server.address().port}`);
}
