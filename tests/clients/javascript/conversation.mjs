// Talks to ccd as JavaScript programs do, about a kind that is already defined. Usage: conversation.mjs KUBECONFIG.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

// The library is installed outside the source tree.
const require = createRequire(path.join(process.env.CLIENT_MODULES, 'package.json'));
const k8s = require('@kubernetes/client-node');

const [kubeconfig] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const core = config.makeApiClient(k8s.CoreV1Api);
const namespace = 'javascript';
const place = { group: 'clients.example.com', version: 'v1', namespace, plural: 'gadgets' };

function gadget(name, colour) {
  return { apiVersion: 'clients.example.com/v1', kind: 'Gadget', metadata: { name, namespace }, spec: { colour } };
}

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}

await core.createNamespace({ body: { metadata: { name: namespace } } });
const created = await custom.createNamespacedCustomObject({ ...place, body: gadget('one', 'red') });
assert.equal(created.spec.replicas, 1);
await refused(409, () => custom.createNamespacedCustomObject({ ...place, body: gadget('one', 'red') }));
await refused(422, () => custom.createNamespacedCustomObject({ ...place, body: gadget('two', 'pink') }));
await refused(404, () => custom.getNamespacedCustomObject({ ...place, name: 'nobody' }));

const read = await objects.read(gadget('one', 'red'));
assert.equal(read.metadata.uid, created.metadata.uid);
const applied = await objects.patch(
  gadget('three', 'blue'), undefined, undefined, 'javascript', true, k8s.PatchStrategy.ServerSideApply,
);
assert.equal(applied.metadata.managedFields[0].operation, 'Apply');

const seen = [];
const list = () => custom.listNamespacedCustomObject(place);
const informer = k8s.makeInformer(config, `/apis/clients.example.com/v1/namespaces/${namespace}/gadgets`, list);
const finished = new Promise((resolve, reject) => {
  informer.on('add', (object) => seen.push(`add ${object.metadata.name}`));
  informer.on('update', (object) => seen.push(`update ${object.metadata.name} ${object.spec.colour}`));
  informer.on('delete', (object) => {
    seen.push(`delete ${object.metadata.name}`);
    resolve();
  });
  informer.on('error', reject);
});
await informer.start();
const change = { ...(await custom.getNamespacedCustomObject({ ...place, name: 'one' })) };
change.spec.colour = 'green';
await custom.replaceNamespacedCustomObject({ ...place, name: 'one', body: change });
await custom.deleteNamespacedCustomObject({ ...place, name: 'three' });
await finished;
await informer.stop();
assert.deepEqual(seen.slice(0, 2).sort(), ['add one', 'add three']);
assert.deepEqual(seen.slice(2), ['update one green', 'delete three']);
console.log('the conversation went well');
process.exit(0);
