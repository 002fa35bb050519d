// What `cargo xtask bench` compares the service with: GrowthBook's official SDK on Fastly's official SDK for JavaScript. It decides three
// features of a hundred by the same dictionary in the config store, and passes the request on.
import { ConfigStore } from "fastly:config-store";
import { getGeolocationForIpAddress } from "fastly:geolocation";
import { GrowthBookClient } from "@growthbook/growthbook";

let client;

// Read once in a sandbox, as ours reads its rules.
function growthBook() {
  if (!client) {
    const payload = JSON.parse(new ConfigStore("personalizer").get("features"));
    client = new GrowthBookClient().initSync({ payload });
  }
  return client;
}

function visitorOf(request) {
  return /(?:^|; )ep_vid=([^;]+)/.exec(request.headers.get("cookie") ?? "")?.[1];
}

async function answer(event) {
  const country = getGeolocationForIpAddress(event.client.address)?.country_code;
  const context = { attributes: { id: visitorOf(event.request), country } };
  const arms = ["f0", "f1", "f2"].map((key) => `${key}=${growthBook().getFeatureValue(key, "", context)}`);
  const request = new Request(event.request);
  request.headers.set("edge-variant", arms.join(", "));
  const response = await fetch(request, { backend: "origin" });
  // The bench reads it, to see that something was decided.
  const shown = new Response(response.body, response);
  shown.headers.set("edge-variant", arms.join(", "));
  return shown;
}

addEventListener("fetch", (event) => event.respondWith(answer(event)));
