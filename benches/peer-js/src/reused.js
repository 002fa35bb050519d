// The same, a sandbox for many requests. Without this Fastly's SDK takes a new one for each.
import { setReusableSandboxOptions } from "fastly:experimental";
import "./index.js";

setReusableSandboxOptions({ maxRequests: 0 });
