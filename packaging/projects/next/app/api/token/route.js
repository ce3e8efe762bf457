/** The route handler of the recipe; `token.js` is written from there. Its tokens live for three seconds. */
import { cookies } from "next/headers";
import { tokenFor } from "../../recipe/token";

export const GET = async () => tokenFor((await cookies()).get("user")?.value, process.env.JWT_SECRET, 3);
