// OpenFeature's providers for browsers and for servers, against the local edge.
const assert = require('node:assert');
const { createRequire } = require('node:module');
const path = require('node:path');

const { EDGE, KEY, WEB, SERVER } = process.env;
const of = (modules) => createRequire(path.join(modules, 'x.cjs'));

async function web() {
  const load = of(WEB);
  const { OpenFeature, ProviderEvents } = load('@openfeature/web-sdk');
  const { OFREPWebProvider } = load('@openfeature/ofrep-web-provider');
  const statuses = [];
  let cookie = 'ep_vid=0123456789abcdef0123456789abcdef';
  // What a browser would add by itself.
  const fetchImplementation = async (input, options) => {
    const request = new Request(input, options);
    request.headers.set('cookie', cookie);
    request.headers.set('user-agent', 'Mozilla/5.0 Firefox/145.0');
    const answer = await fetch(request);
    statuses.push(answer.status);
    return answer;
  };
  const changes = [];
  OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, (details) => changes.push(details.flagsChanged));
  const provider = new OFREPWebProvider({ baseUrl: EDGE, fetchImplementation, pollInterval: 300 });
  await OpenFeature.setContext({ targetingKey: 'somebody else', country: 'FR', plan: 'pro' });
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient();
  assert.equal(client.getStringValue('place', 'x'), 'states');
  assert.equal(client.getStringValue('plan', 'x'), 'paid');
  assert.equal(client.getNumberValue('price', 0), 9.5);
  assert.deepEqual(client.getObjectValue('look', {}), { color: 'red' });
  assert.equal(client.getStringValue('unset', 'of the code'), 'of the code');
  assert.equal(client.getStringValue('no such', 'of the code'), 'of the code');
  const banner = client.getBooleanDetails('banner', false);
  assert.deepEqual([banner.reason, banner.variant], ['SPLIT', banner.value ? '1' : '0']);
  assert.equal(banner.flagMetadata.experiment, 'banner');

  // Polling finds nothing new, until the visitor is another: then the answer differs, under the same targeting key.
  const until = async (holds) => {
    for (let tries = 0; !holds(); tries++) {
      assert(tries < 100, JSON.stringify({ statuses, changes }));
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  await until(() => statuses.includes(304));
  const other = banner.value;
  for (let number = 1; number < 50 && client.getBooleanValue('banner', false) === other; number++) {
    cookie = `ep_vid=${number.toString(16).padStart(32, '0')}`;
    const seen = statuses.length;
    await until(() => statuses.length > seen + 1);
  }
  assert.notEqual(client.getBooleanValue('banner', false), other);
  await OpenFeature.close();
}

async function server() {
  const load = of(SERVER);
  const { OpenFeature } = load('@openfeature/server-sdk');
  const { OFREPProvider } = load('@openfeature/ofrep-provider');
  const client = async (key) => {
    const headers = [['Authorization', `Bearer ${key}`]];
    await OpenFeature.setProviderAndWait(key, new OFREPProvider({ baseUrl: EDGE, headers }));
    return OpenFeature.getClient(key);
  };
  const known = await client(KEY);
  assert.equal(await known.getStringValue('place', 'x', { targetingKey: 'a', country: 'US' }), 'states');
  assert.equal(await known.getStringValue('place', 'x', { targetingKey: 'a', country: 'FR' }), 'elsewhere');
  const shown = new Set();
  for (let number = 0; number < 40; number++) {
    shown.add(await known.getBooleanValue('banner', false, { targetingKey: `user-${number}` }));
  }
  assert.equal(shown.size, 2);
  const details = (flag, context) => known.getStringDetails(flag, 'of the code', context);
  assert.equal((await details('no such', { targetingKey: 'a' })).errorCode, 'FLAG_NOT_FOUND');
  assert.equal((await details('place', {})).errorCode, 'TARGETING_KEY_MISSING');
  const stranger = await client('a-key-of-nobody-in-particular');
  assert.equal(await stranger.getStringValue('place', 'of the code', { targetingKey: 'a', country: 'US' }), 'of the code');
  await OpenFeature.close();
}

web().then(server).then(() => {
  console.log('The providers of npm agree.');
  process.exit(0);
}, (error) => {
  console.error(error);
  process.exit(1);
});
