import assert from "node:assert/strict";
import { GREEDY, type SamplingParameters } from "../../../src/contract/sampling.ts";
import { sample, sampleDispatch } from "../../../src/kernels/sampling/sample.ts";
import { decodeResult, encodeSampling, RESULT_WORDS } from "../../../src/kernels/sampling/sampling_record.ts";
import { runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, seededRandom } from "../../../fixtures/random.ts";
import { chiSquare, gumbelMax, logSoftmax, pcg3d, ranking, survivors } from "../../support/sampling_reference.ts";

const stride = (vocabulary: number) => Math.ceil(vocabulary / 32) * 32;

/** Rows of logits in one buffer; the padding holds what must never be drawn. */
function pack(rows: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const width = stride(rows[0].length);
  const packed = new Float32Array(rows.length * width).fill(1e9);
  rows.forEach((row, index) => packed.set(row, index * width));
  return packed;
}

interface Row {
  readonly logits: Float32Array;
  readonly adjusted?: Float32Array;
  readonly parameters: Partial<SamplingParameters>;
  readonly position?: number;
}

/** Samples a batch whose row i has slot `slots[i]`; results are read from block 1 of two. */
async function sampleRows(rows: readonly Row[], slots = rows.map((_, index) => index)) {
  const vocabulary = rows[0].logits.length;
  const width = stride(vocabulary);
  const slotCount = Math.max(...slots) + 1;
  const sampling = new Uint32Array(slotCount * 16);
  rows.forEach(({ parameters }, row) => sampling.set(encodeSampling({ ...GREEDY, ...parameters }, 0), slots[row] * 16));
  const maxRows = rows.length + 1;
  const raw = pack(rows.map(({ logits }) => logits));
  const adjusted = pack(rows.map(({ logits, adjusted }) => adjusted ?? logits));
  const positions = Uint32Array.from(rows, ({ position }) => (position ?? 10) - 1);
  const buffers = await runKernel(
    await testGpu(),
    sample(vocabulary),
    sampleDispatch({ rows: rows.length, vocabulary, stride: width, step: 1, maxRows }),
    [
      raw,
      adjusted,
      Uint32Array.from(slots),
      positions,
      sampling,
      new Uint32Array(slotCount).fill(12345),
      new Uint32Array(2 * maxRows * RESULT_WORDS).fill(777),
      new Uint32Array(slotCount * width),
    ],
  );
  const results = new Uint32Array(buffers[6]);
  const drawn = rows.map((_, row) => decodeResult(results.subarray((maxRows + row) * RESULT_WORDS), 0));
  return { drawn, tokens: new Uint32Array(buffers[5]), results, counts: new Uint32Array(buffers[7]) };
}

/** The ids drawn from `logits` at positions 0, 1, ... */
async function drawMany(logits: Float32Array, parameters: Partial<SamplingParameters>, count: number) {
  const rows = Array.from({ length: count }, (_, position) => ({ logits, parameters, position: position + 1 }));
  return (await sampleRows(rows)).drawn.map(({ id }) => id);
}

Deno.test("sample() takes the largest logit when greedy, the lowest id among equals", async () => {
  const random = seededRandom(1);
  for (const vocabulary of [1, 7, 512, 1000, 2500, 49152]) {
    const logits = normalValues(random, vocabulary, 4);
    const tied = normalValues(random, vocabulary, 4);
    const best = ranking(tied)[0];
    for (const id of [3, 6, 300, 999, 40001]) if (id < vocabulary) tied[id] = tied[best];
    const rows = [{ logits, parameters: {} }, { logits: tied, parameters: {} }, {
      logits,
      parameters: { topK: 1, temperature: 1 },
    }];
    const { drawn } = await sampleRows(rows);
    assert.deepEqual(drawn.map(({ id }) => id), [ranking(logits)[0], ranking(tied)[0], ranking(logits)[0]]);
  }
});

Deno.test("sample() treats NaN as -infinity and never leaves the vocabulary", async () => {
  const logits = (values: number[]) => Float32Array.from(values);
  const row = (values: number[], temperature: number) => ({
    logits: logits(values),
    parameters: { temperature, topP: 0.9, topK: 4 },
  });
  const cases: [number[], number[]][] = [
    [[NaN, NaN, NaN, NaN, NaN], [0, 1, 2, 3, 4]],
    [[NaN, -5, NaN, -80, NaN], [1]],
    [[-Infinity, -Infinity, -3, -Infinity, NaN], [2]],
    [[-Infinity, -Infinity, -Infinity, -Infinity, -Infinity], [0, 1, 2, 3, 4]],
    [[1, Infinity, 3, NaN, -Infinity], [1]],
    [[3e38, 0, -3e38, 2, 1], [0]],
    [[-0, 0, -0, -200, NaN], [0, 1, 2]],
  ];
  for (const temperature of [0, 0.7, 1e-5]) {
    const { drawn } = await sampleRows(cases.map(([values]) => row(values, temperature)));
    drawn.forEach(({ id, logprob }, index) => {
      const expected = temperature === 0 ? cases[index][1].slice(0, 1) : cases[index][1];
      assert.ok(expected.includes(id), `[${cases[index][0]}] at temperature ${temperature} drew ${id}`);
      assert.ok(Number.isFinite(logprob));
    });
  }
});

Deno.test("sample() draws what min-p, top-k and top-p leave, and all of it", async () => {
  const random = seededRandom(2);
  const filters: Partial<SamplingParameters>[] = [
    { topK: 5 },
    { topP: 0.6 },
    { minP: 0.2 },
    { topK: 6, topP: 0.7 },
    { minP: 0.1, topK: 9, topP: 0.9 },
    { topK: 3, minP: 0.9 },
    { topP: 0 },
  ];
  for (const vocabulary of [1, 7, 512, 1000]) {
    // A few likely tokens on a long tail, so that the survivors can all be seen in 400 draws.
    const logits = normalValues(random, vocabulary);
    for (let i = 0; i < vocabulary; i += Math.ceil(vocabulary / 12)) logits[i] = 8 + normalValues(random, 1, 0.7)[0];
    for (const filter of filters) {
      const parameters = { ...GREEDY, temperature: 1.3, seed: 5, ...filter };
      const drawn = new Set(await drawMany(logits, parameters, 400));
      const expected = survivors(logits, parameters);
      const message = `vocabulary ${vocabulary}, ${JSON.stringify(filter)}`;
      assert.deepEqual([...drawn].sort((a, b) => a - b), [...expected].sort((a, b) => a - b), message);
    }
  }
});

Deno.test("sample() cuts top-p where the mass of more likely tokens reaches it, on what top-k left", async () => {
  const logits = Float32Array.from([0.1, 0.4, 0.2, 0.3], Math.log);
  const cases: [Partial<SamplingParameters>, number[]][] = [
    [{ topP: 0.399 }, [1]],
    [{ topP: 0.401 }, [1, 3]],
    [{ topP: 0.699 }, [1, 3]],
    [{ topP: 0.701 }, [1, 2, 3]],
    [{ topP: 0.899 }, [1, 2, 3]],
    [{ topP: 0.901 }, [0, 1, 2, 3]],
    // Of 0.9: 0.7 / 0.9 = 0.778.
    [{ topK: 3, topP: 0.776 }, [1, 3]],
    [{ topK: 3, topP: 0.78 }, [1, 2, 3]],
    [{ minP: 0.6, topP: 0.57 }, [1]],
    [{ minP: 0.6, topP: 0.573 }, [1, 3]],
  ];
  for (const [filter, expected] of cases) {
    const drawn = new Set(await drawMany(logits, { temperature: 1, seed: 2, ...filter }, 200));
    assert.deepEqual([...drawn].sort((a, b) => a - b), expected, JSON.stringify(filter));
  }
});

Deno.test("sample() keeps every token that equals the last one of top-k and top-p", async () => {
  const logits = new Float32Array(40).fill(-4);
  for (const id of [3, 11, 17, 30, 39]) logits[id] = 2;
  for (const filter of [{ topK: 2 }, { topP: 0.3 }]) {
    const drawn = new Set(await drawMany(logits, { temperature: 1, seed: 1, ...filter }, 200));
    assert.deepEqual([...drawn].sort((a, b) => a - b), [3, 11, 17, 30, 39]);
  }
});

Deno.test("sample() equals a Gumbel-max draw in f64 over the reference's survivors", async () => {
  const random = seededRandom(3);
  const filters: Partial<SamplingParameters>[] = [
    {},
    { topK: 40 },
    { topP: 0.95 },
    { minP: 0.05 },
    { topK: 400, topP: 0.9 },
    { minP: 0.001, topK: 1000, topP: 0.99 },
  ];
  for (const vocabulary of [1, 7, 512, 1000, 2500, 49152]) {
    const rows = filters.flatMap((filter) =>
      [0.3, 1, 2].map((temperature) => ({
        logits: normalValues(random, vocabulary, 3),
        parameters: { ...GREEDY, temperature, seed: Math.floor(random() * 2 ** 32), ...filter },
        position: 1 + Math.floor(random() * 40000),
      }))
    );
    const { drawn } = await sampleRows(rows);
    let decided = 0;
    rows.forEach(({ logits, parameters, position }, row) => {
      // The units of 2^-31 and f32's exp may move a limit by 1e-5; a token between both sets may be kept or not.
      const fewest = survivors(logits, parameters, -2e-5);
      const most = survivors(logits, parameters, 2e-5);
      assert.ok(most.has(drawn[row].id), `row ${row} of vocabulary ${vocabulary} drew ${drawn[row].id}`);
      const draws = [fewest, most].map((set) =>
        gumbelMax(logits, set, parameters.temperature, parameters.seed, position)
      );
      // Scores near 20 in f32, and a logarithm with an absolute error of up to 2^-21.
      if (draws[0].token !== draws[1].token || draws[1].margin < 1e-4) return;
      decided++;
      assert.equal(drawn[row].id, draws[0].token, `row ${row} of vocabulary ${vocabulary}`);
    });
    assert.ok(decided >= 0.8 * rows.length, `only ${decided} of ${rows.length} draws were clear`);
  }
});

Deno.test("sample() draws tokens as often as the softmax says", async () => {
  const logits = Float32Array.from([0, 1, 2, -1, 0.5, 1.5, -2]);
  const draws = 4096;
  // 6 degrees of freedom: a fair draw exceeds 27.9 once in 10,000 times, and the draws are the same in every run.
  for (const [temperature, seed] of [[1, 0], [0.5, 1], [3, 0xffffffff]]) {
    const probabilities = Array.from(logSoftmax(logits.map((x) => x / temperature)), Math.exp);
    const observed = new Array(7).fill(0);
    for (const id of await drawMany(logits, { temperature, seed }, draws)) observed[id]++;
    assert.ok(chiSquare(observed, probabilities) < 27.9, `position: ${observed}`);
    const rows = Array.from(
      { length: draws },
      (_, i) => ({ logits, parameters: { temperature, seed: seed + i >>> 0 } }),
    );
    observed.fill(0);
    for (const { id } of (await sampleRows(rows)).drawn) observed[id]++;
    assert.ok(chiSquare(observed, probabilities) < 27.9, `seed: ${observed}`);
  }
});

Deno.test("the hash is uniform and uncorrelated over neighbouring seeds, draws and tokens", () => {
  const side = 40;
  const cells = new Map<string, number[]>();
  for (let seed = 0; seed < side; seed++) {
    for (let draw = 0; draw < side; draw++) {
      for (let token = 0; token < side; token++) {
        const octant = pcg3d(seed, draw, token) >>> 29;
        const pairs = {
          value: 8 * octant + (pcg3d(seed, draw, token) & 7),
          seed: 8 * octant + (pcg3d(seed + 1, draw, token) >>> 29),
          draw: 8 * octant + (pcg3d(seed, draw + 1, token) >>> 29),
          token: 8 * octant + (pcg3d(seed, draw, token + 1) >>> 29),
          swapped: 8 * octant + (pcg3d(draw, seed, token + 64) >>> 29),
        };
        for (const [name, cell] of Object.entries(pairs)) {
          if (!cells.has(name)) cells.set(name, new Array(64).fill(0));
          cells.get(name)![cell]++;
        }
      }
    }
  }
  for (const [name, observed] of cells) {
    // 63 degrees of freedom: exceeded once in 10,000 times.
    assert.ok(chiSquare(observed, new Array(64).fill(1 / 64)) < 113.5, `${name}: ${observed}`);
  }
});

Deno.test("sample() draws the same token for a sequence whatever its row, slot and batch", async () => {
  const random = seededRandom(4);
  const rows = Array.from({ length: 6 }, (_, index) => ({
    logits: normalValues(random, 512, 2),
    parameters: { temperature: 1, topP: 0.9, seed: 100 + index },
    position: 50 + index,
  }));
  const { drawn } = await sampleRows(rows);
  const order = [4, 0, 5, 2];
  const again = await sampleRows(order.map((row) => rows[row]), [3, 1, 6, 2]);
  assert.deepEqual(again.drawn, order.map((row) => drawn[row]));
  assert.deepEqual([...again.tokens], [12345, drawn[0].id, drawn[2].id, drawn[4].id, 12345, 12345, drawn[5].id]);
});

Deno.test("sample() reports the log-probability under the raw logits and writes nothing else", async () => {
  const random = seededRandom(5);
  for (const vocabulary of [1, 7, 512, 49152]) {
    const rows = [0, 1, 30].map((offset, index) => ({
      logits: normalValues(random, vocabulary, 5).map((x) => x + offset),
      adjusted: normalValues(random, vocabulary, 5),
      parameters: { temperature: index, topK: 10, seed: 3, presencePenalty: index === 1 ? 1 : 0 },
    }));
    const { drawn, results, counts } = await sampleRows(rows);
    rows.forEach(({ logits, adjusted }, row) => {
      const { id, logprob } = drawn[row];
      if (row === 0) assert.equal(id, ranking(adjusted)[0]);
      // Differences of logits up to 60 carry 4e-6; exp and the sum add less.
      assert.ok(Math.abs(logprob! - logSoftmax(logits)[id]) < 1e-5, `${logprob} for ${logSoftmax(logits)[id]}`);
    });
    assert.equal(results.filter((word) => word !== 777).length, 2 * rows.length);
    // Only the slot with a penalty is counted.
    const width = stride(vocabulary);
    const expected = new Uint32Array(rows.length * width);
    expected[width + drawn[1].id] = 1;
    assert.deepEqual(counts, expected);
  }
});

Deno.test("encodeSampling() refuses more alternatives than a result record holds", () => {
  assert.throws(() => encodeSampling(GREEDY, 21), /top_logprobs is 21: expected a whole number from 0 to 20/);
  assert.throws(() => encodeSampling(GREEDY, 1.5), RangeError);
  assert.equal(encodeSampling(GREEDY, 20).byteLength, 64);
});

Deno.test("decodeResult() reports log-probabilities only where they were asked for", () => {
  const words = new Uint32Array(RESULT_WORDS);
  words.set([42, ...new Uint32Array(Float32Array.of(-0.5).buffer)]);
  assert.deepEqual(decodeResult(words), { id: 42 });
  assert.deepEqual(decodeResult(words, 0), { id: 42, logprob: -0.5, topLogprobs: [] });
});
