// A client of the sidecar in ten lines: npm install @grpc/grpc-js @grpc/proto-loader google-proto-files
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const options = { keepCase: true, enums: String, includeDirs: ['proto', 'node_modules/google-proto-files'] };
const { bandit } = grpc.loadPackageDefinition(loader.loadSync('bandit/v1/bandit.proto', options));
const client = new bandit.v1.BanditService('127.0.0.1:50051', grpc.credentials.createInsecure());
const call = (method, request) => promisify(client[method]).call(client, request, { deadline: Date.now() + 200 });
const choice = await call('Choose', { placement: 'home-hero', unit: 'visitor-7', categories: { interest: 'mens' } });
console.log('show', choice.arm, choice.payload);
console.log('learned:', await call('Reward', { decision_id: choice.decision_id, event: 'click' }));
