// Calls a sidecar with @grpc/grpc-js and prints what came of it as JSON:
//   node client.mjs TARGET PROTO_FOLDER [CA_FILE]
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const WAIT_MS = 20_000;
const CONCURRENT = 300;
const HEALTH = '/grpc.health.v1.Health';

const [target, protos, ca] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const includeDirs = [protos, join(here, 'node_modules', 'google-proto-files')];
const options = { keepCase: true, enums: String, defaults: true, includeDirs };
const { bandit } = grpc.loadPackageDefinition(loader.loadSync('bandit/v1/bandit.proto', options));
const credentials = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
const client = new bandit.v1.BanditService(target, credentials);
const plain = new grpc.Client(target, credentials);
const same = (bytes) => bytes;

const soon = (ms = WAIT_MS) => ({ deadline: Date.now() + ms });

function outcome(error, value) {
  if (!error) return { code: 0, value };
  const details = error.metadata?.get('grpc-status-details-bin')[0];
  return { code: error.code, message: error.details, details: details?.toString('base64') };
}

const call = (method, request, options = soon()) =>
  new Promise((resolve) => {
    client[method](request, new grpc.Metadata(), options, (error, value) => resolve(outcome(error, value)));
  });

const raw = (path, bytes = Buffer.alloc(0)) =>
  new Promise((resolve) => {
    plain.makeUnaryRequest(path, same, same, bytes, new grpc.Metadata(), soon(), (error, value) =>
      resolve(outcome(error, value?.toString('base64'))),
    );
  });

const watch = (ms) =>
  new Promise((resolve) => {
    const seen = [];
    const request = Buffer.alloc(0);
    const stream = plain.makeServerStreamRequest(`${HEALTH}/Watch`, same, same, request, new grpc.Metadata(), soon(ms));
    stream.on('data', (bytes) => seen.push(bytes.toString('base64')));
    stream.on('error', (error) => resolve({ code: error.code, seen }));
    stream.on('end', () => resolve({ code: 0, seen }));
  });

const cancelled = () =>
  new Promise((resolve) => {
    const started = client.Choose({ placement: 'hero' }, (error) => resolve(error?.code ?? 0));
    started.cancel();
  });

const hero = { placement: 'hero', categories: { platform: 'web' }, numbers: { history: 3 }, arms: ['a'] };
const choose = await call('Choose', hero);
const results = {
  choose,
  reward: await call('Reward', { decision_id: choose.value?.decision_id, event: 'click' }),
  batch: await call('ChooseBatch', { requests: Array(256).fill(hero) }),
  refused: await call('Choose', { placement: 'nöwhere' }),
  too_large: await call('Choose', { placement: 'hero', unit: 'u'.repeat(2_000_000) }),
  expired: await call('Choose', hero, { deadline: Date.now() - 1 }),
  cancelled: await cancelled(),
  concurrent: await Promise.all(Array.from({ length: CONCURRENT }, () => call('Choose', hero))),
  unknown: await raw('/bandit.v1.BanditService/Guess'),
  health: await raw(`${HEALTH}/Check`),
  watch: await watch(200),
};
results.concurrent = results.concurrent.map(({ code, message }) => (code ? `${code}: ${message}` : code));
results.batch = { code: results.batch.code, arms: results.batch.value?.results.map((each) => each.response?.arm) };
client.close();
plain.close();
console.log(JSON.stringify(results));
