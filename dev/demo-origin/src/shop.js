// The demo shop's own script: asks for consent where the edge says that it comes first, says what was looked at where the edge says that
// it may, and lets a person be somebody else on the local edge. Nothing of it is the product's.
(() => {
  const CHOICE = "consent"; // the cookie that rules/settings.json reads
  const $ = (selector, root = document) => root.querySelector(selector);
  const make = (name, attributes, ...inside) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.append(...inside);
    return element;
  };
  const cookie = (name) => document.cookie.split("; ").find((pair) => pair.startsWith(name + "="))?.slice(name.length + 1);
  const keep = (value) => {
    const age = value ? 15552000 : 0;
    document.cookie = `${CHOICE}=${value}; Path=/; Max-Age=${age}; SameSite=Lax`;
  };

  // A product page says that it was looked at, where the edge allows it.
  const seen = () => {
    const [to, product] = [$("main").dataset.seen, $("article[data-sku]")];
    if (to && product) navigator.sendBeacon(to, new URLSearchParams({ sku: product.dataset.sku }));
  };

  // The same page again, as it is for who has chosen: in place, nothing is loaded anew but what differs.
  const renew = async () => {
    const answer = await fetch(location.href, { cache: "reload" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["main", "nav"]) $(part).replaceWith($(part, page));
    seen();
  };

  const ask = () => {
    $("#consent")?.remove();
    const choose = async (value) => {
      keep(value);
      banner.remove();
      await renew();
      Object.assign($("main"), { tabIndex: -1 }).focus();
    };
    const button = (text, value) => make("button", { type: "button", value, onclick: () => choose(value) }, text);
    const words = "May this shop remember you, to show what you looked at and what you might also like?";
    const buttons = make("div", {}, button("Accept", "yes"), button("Decline", "no"));
    const banner = make("section", { id: "consent", ariaLabel: "Cookies" }, make("p", {}, words), buttons);
    document.body.prepend(banner);
    return banner;
  };

  // The strip of the local edge: /.local/ is nowhere else.
  const PLACES = {
    "": "as the address says", "US-NY": "New York", "US-CA": "California", FR: "France", DE: "Germany", GB: "United Kingdom",
    JP: "Japan", AU: "Australia", BR: "Brazil", ZA: "South Africa",
  };
  const RETURNING = "00000000000000000000000000000001";
  const list = (names) => Object.fromEntries(names.map((name) => [name, name || "as the browser says"]));
  const strip = (who) => {
    const place = who.country ? [who.country, who.subdivision].filter(Boolean).join("-") : "";
    const fields = {
      place: [{ ...PLACES, ...(place in PLACES ? {} : { [place]: place }) }, place],
      device: [list(["", "mobile", "tablet", "desktop", "tv", "bot"]), who.device || ""],
      language: [list(["", "en", "fr", "de", "ja"]), who.language || ""],
      consent: [{ "": "not asked yet", yes: "accepted", no: "declined" }, cookie(CHOICE) || ""],
      visitor: [{ "": "the same", new: "a new one", [RETURNING]: "one with a cart" }, ""],
    };
    const form = make("form", {});
    for (const [name, [options, value]] of Object.entries(fields)) {
      const select = make("select", { name });
      for (const [key, text] of Object.entries(options)) select.append(new Option(text, key, false, key === value));
      form.append(make("label", {}, name[0].toUpperCase() + name.slice(1) + " ", select));
    }
    form.append(make("button", {}, "Be this visitor"), make("a", { href: "/.local/" }, "All countries"));
    form.onsubmit = async (event) => {
      event.preventDefault();
      const { place, device, language, consent, visitor } = Object.fromEntries(new FormData(form));
      const [country, subdivision = ""] = place.split("-");
      const to = new URLSearchParams({ country, subdivision, device, language, visitor });
      await fetch(`/.local/be?${to}`, { redirect: "manual" });
      keep(consent);
      location.reload();
    };
    const known = who.visitor ? `visitor ${who.visitor.slice(0, 4)}…${who.visitor.slice(-4)}` : "nobody the edge knows";
    const words = `Local edge: you are ${known}, ${PLACES[place] ? (place ? `in ${PLACES[place]}` : "from nowhere known") : place}. Be somebody else`;
    document.body.append(make("details", { id: "somebody" }, make("summary", {}, words), form));
  };

  const cookies = make("button", { type: "button", onclick: () => $("button", ask()).focus() }, "Cookies");
  $("footer")?.append(" ", cookies);
  if (document.body.classList.contains("ask") && !cookie(CHOICE)) ask();
  seen();
  fetch("/.local/who").then((answer) => (answer.ok ? answer.json().then(strip) : undefined)).catch(() => undefined);
})();
