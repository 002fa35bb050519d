'use strict';
const $ = id => document.getElementById(id);
const PATH = '/.edge/inspect';
const kept = list => list.flat().filter(one => one !== null && one !== undefined);
// Every text goes in as text: rules, sessions and paths can't become markup.
const h = (name, how, ...inner) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(how || {})) if (value !== null && value !== false) node.setAttribute(key, value);
  node.append(...kept(inner).map(one => one instanceof Node ? one : String(one)));
  return node;
};
const say = (text, bad) => { $('status').textContent = text; $('status').className = bad ? 'bad' : ''; };
const json = value => typeof value === 'string' ? value : JSON.stringify(value);

const ask = async (path, body) => {
  const how = { credentials: 'same-origin', cache: 'no-store', redirect: 'error', headers: { accept: 'application/json' } };
  if (body) { how.method = 'POST'; how.headers['content-type'] = 'application/json'; how.body = JSON.stringify(body); }
  const answer = await fetch(path, how);
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const over = answer.status === 404 || answer.status === 403;
  throw new Error(said.error && said.error !== 'not found' ? said.error : over ? 'Expected a link that is valid now. Ask for one: personalizer inspect.' : 'The edge answered ' + answer.status + '.');
};

const table = (caption, heads, rows, code) => rows.length === 0 ? null : h('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': caption },
  h('table', null, h('caption', null, caption),
    h('thead', null, h('tr', null, heads.map(head => h('th', { scope: 'col' }, head)))),
    h('tbody', null, rows.map(row => h('tr', null, row.map((cell, index) =>
      index === 0 ? h('th', { scope: 'row' }, cell) : h('td', { class: code ? 'code' : null }, cell)))))));
const part = (title, ...inner) => kept([h('h2', null, title), ...inner]);
const word = (good, text) => h('span', { class: good ? 'yes' : 'no' }, text);

const WHY = { host: 'no: it is for another host', method: 'no: it is for other methods', schedule: 'no: its time has not come, or is over' };
const why = (route, reached) => {
  if (route.matched) return word(true, 'matches');
  if (route.why_not === 'when') return word(false, route.blocked_by ? `no: its condition on ${route.blocked_by} doesn't hold` : "no: its condition doesn't hold");
  return word(false, WHY[route.why_not] || (reached ? 'no' : 'not tried: an earlier one matches'));
};
const SOURCES = {
  defaultValue: 'its default value: no rule applies', force: 'a rule forces the value for this visitor', experiment: 'an experiment assigned it',
  override: 'a preview or the query forces it', prerequisite: 'a feature that it depends on says so', cyclicPrerequisite: 'it depends on itself',
  unknownFeature: 'no such feature is defined', broken: 'its definition can\'t be used',
};
const REGIONS = { rule: 'the first region whose condition holds', default: 'no condition holds, or the place is unknown', override: 'X-Geo-Region says so', preview: 'a preview says so' };

const cache = sent => {
  if (sent === 'pass') return 'passed: the answer is not shared';
  if (sent === 'origin') return 'as the origin\'s headers say';
  const shared = sent.shared;
  return `shared for ${shared.ttl === null ? 'as long as the origin says' : shared.ttl + ' s'}`;
};
const request = (title, asked) => [
  h('h3', null, title), h('p', null, h('code', null, `${asked.method} ${asked.url}`), ` at backend ${asked.backend}; cache: ${cache(asked.cache)}`),
  asked.cache.shared ? h('p', null, 'Cache key ', h('code', null, asked.cache.shared.key), '; surrogate keys ', h('code', null, asked.cache.shared.surrogate_keys.join(' '))) : null,
  table('Headers of the request', ['Name', 'Value'], asked.headers, true),
];

const show = said => {
  const out = $('answer');
  out.replaceChildren();
  if (said.refused) return out.append(...part('Refused', h('p', null, `The request is refused: ${said.refused[0]} (${said.refused[1]}).`)));
  if (said.reserved) return out.append(...part('The edge\'s own', h('p', null, 'The path is the edge\'s own: no rule touches it.')));
  const visitor = said.visitor, plan = said.plan, region = said.region;
  const matched = said.routes.find(route => route.matched);
  out.append(...part('In short', h('ul', null,
    h('li', null, 'Route: ', h('strong', null, matched ? matched.id : 'none, the request passes through')),
    region ? h('li', null, 'Region: ', h('strong', null, region.id), ` (${REGIONS[region.reason] || region.reason})`) : null,
    h('li', null, 'Rules: ', h('strong', null, said.revision || 'at bare names'), said.role ? ` (${said.role})` : '',
      said.canary ? `; canary ${said.canary.revision} at ${said.canary.percent} %: ${said.canary.within ? 'inside' : 'outside'}` : ''),
    h('li', null, 'As of ', h('strong', null, said.time)))));
  if (visitor) out.append(...part('Visitor', table('What is known', ['Fact', 'Value'], [
    ['Country', visitor.country ?? 'unknown'], ['Subdivision', visitor.subdivision ?? 'unknown'], ['Continent', visitor.continent ?? 'unknown'],
    ['Language', visitor.language ?? 'none'], ['Device', visitor.device ?? 'not asked'], ['May be identified', visitor.may_be_identified ? 'yes' : 'no'],
    ['Takes part in experiments', visitor.may_be_bucketed ? 'yes' : 'no'], ['Known by', visitor.unit ?? 'nothing'],
    ['Session', visitor.session === 'none' ? 'not asked' : visitor.session],
  ])));
  let reached = true;
  out.append(...part('Routes', table('Routes whose path matches, in the order in which they are tried', ['Route', 'Why'],
    said.routes.map(route => { const row = [route.id, why(route, reached)]; reached = reached && !route.matched; return row; })) || h('p', null, 'No route has this path.')));
  if (region && region.considered.length) out.append(...part('Region', table('Regions in the order in which they are tried', ['Region', 'Why'],
    region.considered.map(one => [one.id, one.holds ? word(true, 'holds') : word(false, `no: ${one.blocked_by}`)]))));
  out.append(...part('Features and experiments',
    table('What the visitor gets', ['Key', 'Value', 'Why'], said.shown.map(one => [one.key, h('code', null, json(one.value)),
      (SOURCES[one.source] || one.source) + (one.experiment ? `: variation ${one.variation} of ${one.experiment}` : '')])) || h('p', null, 'The route asks for none.'),
    said.steps.length ? [h('h3', null, 'Step by step'), h('ol', null, said.steps.map(step => h('li', { class: 'code' }, step)))] : null));
  if (!plan) return undefined;
  const variant = Object.entries(plan.variant);
  out.append(...part('Variant', table('What shaped the request or the answer', ['Dimension', 'Value'], variant, true) || h('p', null, 'None: everybody gets the same.')));
  if (plan.asks) out.append(h('h2', null, 'To the origin'), ...request('The request', plan.asks).filter(Boolean));
  if (plan.falls_back_to) out.append(...request(plan.answers ? 'Without that body' : `On ${plan.fails_on.join(', ')} or no answer`, plan.falls_back_to).filter(Boolean));
  if (plan.answers) out.append(...part('The edge answers', h('p', null, `Status ${plan.answers.status}`), table('Headers of the answer', ['Name', 'Value'], plan.answers.headers, true),
    plan.answers.kv ? h('p', null, 'The body is made of ', h('code', null, plan.answers.kv), ' in the KV store rules.') : h('p', null, h('code', null, plan.answers.body.slice(0, 4000)))));
  else out.append(...part('On the answer', table('Headers that the edge adds', ['Name', 'Value'], plan.adds, true), plan.rewrites_body ? h('p', null, 'The body is rewritten, where its type fits.') : null));
  const took = [['Rules', said.timings.rules_us + ' µs'], ['All together', said.timings.total_us + ' µs']];
  if (visitor && visitor.session !== 'none') took.push(['Session, KV store', visitor.session_kv_ms + ' ms'], ['Session, central API', visitor.session_api_ms === null ? 'not asked' : visitor.session_api_ms + ' ms']);
  out.append(...part('Timings', table('How long this answer took the edge', ['Step', 'Time'], took)));
  if (plan.codes.length || said.faults.length) out.append(...part('Faults', h('ul', null, [...plan.codes, ...said.faults].map(fault => h('li', { class: 'bad' }, fault)))));
  return undefined;
};

const value = id => $(id).value.trim();
const moment = () => value('at') && new Date(value('at'));
const said = () => {
  const query = new URLSearchParams({ url: $('url').value });
  if (document.querySelector('[name=who]:checked').value === 'me') query.set('me', '1');
  else query.append('header', 'User-Agent: ' + navigator.userAgent);
  for (const name of ['country', 'subdivision', 'device', 'network', 'language', 'consent', 'user', 'revision']) if (value(name)) query.set(name, value(name));
  if (moment()) query.set('at', moment().toISOString());
  return query;
};

const explain = async event => {
  if (event) event.preventDefault();
  say('Asking the edge…');
  try {
    show(await ask('/.edge/explain?' + said()));
    say('Explained.');
    if (event) $('answer').focus();
  } catch (error) { $('answer').replaceChildren(); say(error.message, true); }
};

const choice = (kind, key, options) => {
  const id = `${kind}:${key}`;
  return h('p', { 'data-key': key.toLowerCase() }, h('label', { for: id }, key),
    h('select', { id, 'data-kind': kind, 'data-name': key }, h('option', { value: '' }, 'as it is'), options.map(([value, text]) => h('option', { value }, text))));
};
const options = (id, list) => $(id).append(...list.map(one => h('option', { value: one }, one)));

let named;
const names = async () => {
  const chosen = value('revision');
  if (named === chosen) return;
  const all = await ask(`${PATH}?names=1&revision=${encodeURIComponent(chosen)}`);
  if (named === undefined) {
    options('languages', all.languages);
    options('revisions', all.revisions);
    options('user', all.users);
    $('until').textContent = all.expires ? `Open until ${new Date(all.expires).toLocaleTimeString()}.` : '';
  }
  named = chosen;
  $('region').replaceChildren(h('option', { value: '' }, 'as it is'), ...all.regions.map(id => h('option', { value: id }, id)));
  $('features').replaceChildren(...all.features.map(one => choice('features', one.key, one.values.map(value => [JSON.stringify(value), json(value)]))));
  $('experiments').replaceChildren(...all.experiments.map(one => choice('experiments', one.key, one.variations.map((key, index) => [String(index), `${index}${key === String(index) ? '' : ': ' + key}`]))));
  $('preview').hidden = !all.can_preview;
  for (const id of ['ask', 'leave']) $(id).hidden = false;
};

const link = async event => {
  event.preventDefault();
  const wanted = { url: $('url').value, features: {}, experiments: {}, as: {}, ttl: Number($('ttl').value) };
  for (const select of document.querySelectorAll('select[data-kind]')) if (select.value) wanted[select.dataset.kind][select.dataset.name] = JSON.parse(select.value);
  for (const id of ['region', 'revision']) if (value(id)) wanted[id] = value(id);
  for (const id of ['country', 'subdivision']) if (value(id)) wanted.as[id] = value(id).toUpperCase();
  for (const id of ['device', 'user']) if (value(id)) wanted.as[id] = value(id);
  if (moment()) wanted.as.at = Math.floor(moment().getTime() / 1000);
  const out = $('link');
  try {
    const made = await ask(PATH, { preview: wanted });
    const field = h('input', { id: 'made', readonly: '', value: made.link });
    const copy = h('button', { type: 'button' }, 'Copy');
    copy.addEventListener('click', async () => {
      try { await navigator.clipboard.writeText(made.link); } catch { field.select(); document.execCommand('copy'); }
      copy.textContent = 'Copied';
    });
    const off = new URL(made.link);
    off.searchParams.set('edge_preview', 'off');
    out.replaceChildren(h('p', null, `It shows ${made.shows.join(', ')} until ${new Date(made.expires).toLocaleTimeString()}.`), h('p', null, h('label', { for: 'made' }, 'Link'), field),
      h('p', null, copy, ' ', h('a', { href: made.link, target: '_blank', rel: 'noopener noreferrer' }, 'Open the preview'), ' ', h('a', { href: off.href, target: '_blank', rel: 'noopener noreferrer' }, 'End the preview')));
  } catch (error) { out.replaceChildren(h('p', { class: 'bad' }, error.message)); }
};

const find = () => {
  const wanted = value('find').toLowerCase();
  for (const row of document.querySelectorAll('#preview [data-key]')) row.hidden = !row.dataset.key.includes(wanted);
};

const start = async () => {
  const brought = new URLSearchParams(location.hash.slice(1));
  // The token leaves the address bar, and with it the history, before anything is sent.
  history.replaceState(null, '', PATH);
  const page = brought.get('url');
  $('url').value = page || location.origin + '/';
  try {
    if (brought.get('token')) await ask(PATH, { token: brought.get('token') });
    await names();
    await explain();
  } catch (error) { say(error.message, true); }
};

$('ask').addEventListener('submit', event => explain(event).then(names).catch(error => say(error.message, true)));
$('preview').addEventListener('submit', link);
$('find').addEventListener('input', find);
$('end').addEventListener('click', async () => {
  try { await ask(PATH, { end: true }); } catch { /* It is over by itself soon. */ }
  for (const id of ['ask', 'preview', 'leave']) $(id).hidden = true;
  $('answer').replaceChildren();
  say('Closed.');
});
addEventListener('hashchange', start);
start();
