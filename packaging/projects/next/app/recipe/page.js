/** The recipe of docs/RECIPES.md as it is: the test writes `realtime.jsx` from there before it builds. */
import { Live } from "../live";
import { Realtime } from "./realtime";

export default function Page() {
  return (
    <Realtime user="ann">
      <Live />
    </Realtime>
  );
}
