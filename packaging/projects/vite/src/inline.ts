/** The entry `./inline`: no request but for this script. */
import { createClient } from "@osbackend/realtime/inline";
import { live } from "./show";

live(createClient());
