/** @file The manifests of deploy/kubernetes and deploy/helm: valid by the schemas of what reads them, and of one mind. */
import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import { renderTemplate } from "../support/deploy/helm.ts";
import { checkManifest, type Manifest } from "../support/deploy/kubernetes.ts";

const DEPLOY = new URL("../../deploy/", import.meta.url);

const read = (path: string) => Deno.readTextFile(new URL(path, DEPLOY));
const pathsOf = async (pattern: string) =>
  (await Array.fromAsync(glob(pattern, { cwd: fileURLToPath(DEPLOY) }))).sort();

/** Kustomize's own files, and values for another project's chart. */
const NO_MANIFESTS = /kustomization\.yaml$|gateway\/inferencepool\.yaml$/;

async function chart(changes: object): Promise<Manifest[]> {
  const values = { ...parse(await read("helm/values.yaml")), ...changes };
  const scope = { Values: values, Release: { Name: "prod", Namespace: "llm" } };
  const paths = await pathsOf("helm/templates/*.yaml");
  const rendered = await Promise.all(paths.map(async (path) => renderTemplate(await read(path), scope)));
  return rendered.map((text) => parse(text)).filter((manifest) => manifest !== null);
}

const plain = (await pathsOf("kubernetes/**/*.yaml")).filter((path) => !NO_MANIFESTS.test(path));
const manifests = await Promise.all(plain.map(async (path) => parse(await read(path)) as Manifest));
const deployments = async () => [...manifests, ...await chart({})].filter(({ kind }) => kind === "Deployment");

Deno.test("every manifest says what the schema of its kind allows, and nothing else", () => {
  assert.ok(manifests.length >= 7);
  for (const [at, manifest] of manifests.entries()) assert.doesNotThrow(() => checkManifest(manifest), plain[at]);
});

Deno.test("what the chart makes of its values is valid, whatever is turned on", async () => {
  const bare = await chart({});
  const full = await chart({
    autoscaling: { ...parse(await read("helm/values.yaml")).autoscaling, enabled: true },
    monitoring: { enabled: true },
    runtimeClassName: "nvidia",
    nodeSelector: { gpu: "yes" },
    tolerations: [{ key: "nvidia.com/gpu", operator: "Exists" }],
  });
  assert.deepEqual(bare.map(({ kind }) => kind), ["ConfigMap", "Deployment", "PodDisruptionBudget", "Service"]);
  assert.equal(full.length, 6);
  for (const manifest of [...bare, ...full]) assert.doesNotThrow(() => checkManifest(manifest), manifest.kind);
  const [, { spec }] = full;
  assert.equal(spec.replicas, undefined);
  assert.deepEqual(spec.template.spec.tolerations, [{ key: "nvidia.com/gpu", operator: "Exists" }]);
});

Deno.test("a field that is misspelt, missing or of another kind is found", async () => {
  const [deployment] = await deployments();
  const changed = (change: (container: any) => void) => {
    const copy = structuredClone(deployment);
    change(copy.spec.template.spec.containers[0]);
    return copy;
  };
  assert.throws(() => checkManifest(changed((c) => c.livenesProbe = {})), /no field .*\/livenesProbe/);
  assert.throws(() => checkManifest(changed((c) => c.lifecycle.preStop.sleep = { second: 3 })), /seconds/);
  assert.throws(() => checkManifest(changed((c) => c.ports[0].containerPort = "8000")), /containerPort/);
  assert.throws(() => checkManifest({ ...deployment, specs: {} }), /no field \/specs/);
  assert.throws(() => checkManifest({ ...deployment, kind: "Deploy" }), /no schema for Deploy/);
});

Deno.test("Kustomize and the chart make the same pods", async () => {
  const [kustomized, { spec }] = (await deployments()).map(({ spec }) => ({ spec: spec.template.spec }));
  const named = structuredClone(spec);
  named.containers[0].envFrom[0].configMapRef.name = "ebb";
  named.containers[0].image = "ebb";
  assert.deepEqual(named, kustomized.spec);
});

Deno.test("a pod ends after its requests: the pause and the drain fit into the time that it is given", async () => {
  const listener = await Deno.readTextFile(new URL("../src/routes/listener.ts", DEPLOY));
  const drainSeconds = Number(/drainMilliseconds = ([\d_]+)/.exec(listener)![1].replaceAll("_", "")) / 1000;
  for (const { spec: { template: { spec } } } of await deployments()) {
    const [{ lifecycle }] = spec.containers;
    assert.ok(spec.terminationGracePeriodSeconds >= lifecycle.preStop.sleep.seconds + drainSeconds + 5);
    // A Service that is called ebb would set EBB_PORT.
    assert.equal(spec.enableServiceLinks, false);
  }
});

Deno.test("services, budgets, monitors and the InferencePool choose the pods that are made", async () => {
  const pool = parse(await read("kubernetes/gateway/inferencepool.yaml")).inferencePool;
  for (const set of [manifests, await chart({ monitoring: { enabled: true } })]) {
    const { spec } = set.find(({ kind }) => kind === "Deployment")!;
    const { labels } = spec.template.metadata;
    const [{ containerPort }] = spec.template.spec.containers[0].ports;
    const selectors = set.filter(({ kind }) => ["Service", "PodDisruptionBudget", "PodMonitor"].includes(kind))
      .map(({ spec }) => spec.selector.matchLabels ?? spec.selector);
    assert.equal(selectors.length, 3);
    for (const selector of [...selectors, spec.selector.matchLabels, pool.modelServers.matchLabels]) {
      for (const [label, value] of Object.entries(selector)) assert.equal(labels[label], value);
    }
    assert.deepEqual(pool.targetPorts, [{ number: containerPort }]);
  }
});

Deno.test("kustomizations name files that are there, and patch the deployment that is", async () => {
  const paths = await pathsOf("kubernetes/**/kustomization.yaml");
  assert.ok(paths.length >= 5);
  for (const path of paths) {
    const { resources = [], patches = [] } = parse(await read(path));
    for (const file of resources) await Deno.stat(new URL(`${path}/../${file}`, DEPLOY));
    for (const { target, patch } of patches) {
      const [deployment] = await deployments();
      assert.deepEqual([target.kind, target.name], [deployment.kind, deployment.metadata.name]);
      const [document] = parseAllDocuments(patch);
      const [{ name, env }] = document.toJS().spec.template.spec.containers;
      assert.equal(name, deployment.spec.template.spec.containers[0].name);
      assert.deepEqual(env, [{ name: "EBB_DEVICE", value: "gpu" }]);
    }
  }
});
