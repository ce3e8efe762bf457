/** The entry `.`. */
import service from "@osbackend/realtime";
import { live } from "./live.js";

live(service);
