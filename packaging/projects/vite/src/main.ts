/** The entry `.`: the default service. */
import service from "@osbackend/realtime";
import { live } from "./show";

live(service);
