/** @file Every PromQL expression of deploy/ reads metrics that a server has, by labels that these have. */
import assert from "node:assert/strict";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { BLOCK_ROWS } from "../../src/cache/block.ts";
import { startApp } from "../routes/harness.ts";
import { groupingsOf, selectorsOf } from "../support/deploy/promql.ts";
import { TOKEN } from "../support/fake_text.ts";

const DEPLOY = new URL("../../deploy/", import.meta.url);

/** What Prometheus itself adds. */
const TARGET_LABELS = ["job", "instance", "namespace", "pod"];

/** The labels of every metric that a server shows which has answered, refused and failed requests. */
async function labelsOfMetrics(): Promise<Map<string, Set<string>>> {
  const metrics = new Map([["up", new Set(TARGET_LABELS)]]);
  const apps = [startApp({ tokens: [TOKEN.one, TOKEN.two, TOKEN.end] }), startApp({ tokens: [], failure: "Lost" })];
  for (const { app, post } of apps) {
    await post("/v1/completions", { prompt: "abc" });
    const text = await (await app.request("/metrics")).text();
    for (const [, name, labels] of text.matchAll(/^([\w:]+)\{(.*)\} /gm)) {
      const known = metrics.get(name) ?? new Set(TARGET_LABELS);
      for (const [, label] of labels.matchAll(/(\w+)="/g)) known.add(label);
      metrics.set(name, known);
    }
  }
  return metrics;
}

const metrics = await labelsOfMetrics();
const rules: any[] = parse(await Deno.readTextFile(new URL("prometheus/rules.yaml", DEPLOY))).groups
  .flatMap((group: any) => group.rules);
for (const { record, expr } of rules.filter(({ record }) => record !== undefined)) {
  metrics.set(record, new Set([...groupingsOf(expr), ...TARGET_LABELS]));
}

function check(expression: string, where: string): void {
  const selectors = selectorsOf(expression);
  assert.ok(selectors.length > 0, where);
  const known = new Set<string>();
  for (const { metric, labels } of selectors) {
    const its = metrics.get(metric);
    assert.ok(its !== undefined, `${where}: no server has ${metric}`);
    for (const label of labels) assert.ok(its.has(label), `${where}: ${metric} has no label ${label}`);
    its.forEach((label) => known.add(label));
  }
  for (const label of groupingsOf(expression)) assert.ok(known.has(label), `${where}: nothing has a label ${label}`);
}

Deno.test("the rules read metrics that there are", () => {
  assert.ok(rules.length >= 8);
  for (const { record, alert, expr } of rules) check(expr, record ?? alert);
});

Deno.test("the board's panels read metrics that there are, lie beside each other, and have names of their own", async () => {
  const { panels, templating } = JSON.parse(await Deno.readTextFile(new URL("grafana/ebb.json", DEPLOY)));
  const cells = new Set<string>();
  for (const { title, targets = [], gridPos: { x, y, w, h } } of panels) {
    for (const { expr } of targets) {
      check(expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$(model|instance)\b/g, ".*"), title);
    }
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert.ok(!cells.has(`${column},${line}`) && column < 24, `${title} covers another panel`);
        cells.add(`${column},${line}`);
      }
    }
  }
  for (const what of ["id", "title"]) {
    assert.equal(new Set(panels.map((panel: any) => panel[what])).size, panels.length, what);
  }
  for (const { type, query } of templating.list) {
    if (type === "query") {
      check(/^label_values\((.*), \w+\)$/.exec(query.query)![1].replace("$model", ".*"), query.refId);
    }
  }
});

Deno.test("the board's arithmetic knows how many rows a block has", async () => {
  const { panels } = JSON.parse(await Deno.readTextFile(new URL("grafana/ebb.json", DEPLOY)));
  const perBlock = panels.flatMap(({ targets = [] }: any) => targets).map(({ expr }: any) => expr)
    .filter((expr: string) => expr.includes("ebb_kv_block_bytes"));
  assert.ok(perBlock.length > 0);
  for (const expr of perBlock) assert.match(expr, new RegExp(`ebb_kv_block_bytes\\{[^}]*\\}\\)\\) / ${BLOCK_ROWS}$`));
});

Deno.test("autoscalers read metrics that there are", async () => {
  const paths = await Array.fromAsync(glob("**/scaled-object.yaml", { cwd: fileURLToPath(DEPLOY) }));
  const queries = await Promise.all(paths.map(async (path) => {
    const text = await Deno.readTextFile(new URL(path, DEPLOY));
    return [...text.matchAll(/^ +query: (.*)$/gm)].map(([, query]) => query.replaceAll(/\{\{ [\w.]+ \}\}/g, "x"));
  }));
  assert.equal(queries.flat().length, 4);
  for (const query of queries.flat()) check(query, query);
});

Deno.test("the endpoint picker of the Gateway API Inference Extension finds what it reads by default", async () => {
  const values = await Deno.readTextFile(new URL("kubernetes/gateway/inferencepool.yaml", DEPLOY));
  // The defaults of its flags, in version 1.1 and later.
  const read = ["vllm:num_requests_waiting", "vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"];
  for (const metric of [...read, "vllm:cache_config_info"]) assert.ok(metrics.has(metric), metric);
  for (const label of ["block_size", "num_gpu_blocks"]) assert.ok(metrics.get("vllm:cache_config_info")!.has(label));
  for (const [metric] of values.matchAll(/vllm:\w+/g)) assert.ok(metrics.has(metric), metric);
  assert.deepEqual(parse(values).inferenceExtension.flags, [{ name: "lora-info-metric", value: "" }]);
});

Deno.test("an expression with a wrong name, label or sign is found", () => {
  assert.throws(() => check("sum(ebb_num_request_waiting)", "it"), /no server has ebb_num_request_waiting/);
  assert.throws(() => check('ebb_kv_blocks{layer="1"}', "it"), /ebb_kv_blocks has no label layer/);
  assert.throws(() => check("sum by (layr) (ebb_kv_blocks_used)", "it"), /no.* label layr/);
  assert.throws(() => check("sum(ebb_kv_blocks", "it"), SyntaxError);
});
