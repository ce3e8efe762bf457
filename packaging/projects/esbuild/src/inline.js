/** The entry `./inline`: one file is all there is. */
import service from "@osbackend/realtime/inline";
import { live } from "./live.js";

live(service);
