import assert from "node:assert/strict";
import type { Kernel } from "../../../src/gpu/gpu.ts";
import { GREEDY, type SamplingParameters } from "../../../src/contract/sampling.ts";
import {
  biasRow,
  IN_PROMPT,
  penalties,
  penaltiesDispatch,
  promptCounts,
} from "../../../src/kernels/sampling/penalties.ts";
import { Recorder } from "../../../src/gpu/recorder.ts";
import { sample, sampleDispatch } from "../../../src/kernels/sampling/sample.ts";
import {
  adjustsLogits,
  encodeSampling,
  RESULT_WORDS,
  usesBias,
} from "../../../src/kernels/sampling/sampling_record.ts";
import { readBuffer, runKernel, testGpu } from "../../../fixtures/gpu.ts";
import { normalValues, randomInteger, seededRandom } from "../../../fixtures/random.ts";

Deno.test("penalties() equals OpenAI's and CTRL's formulas after the bias", async () => {
  const random = seededRandom(1);
  const settings: SamplingParameters[] = [
    { ...GREEDY, frequencyPenalty: 0.7 },
    { ...GREEDY, presencePenalty: -1.5 },
    { ...GREEDY, repetitionPenalty: 1.3 },
    { ...GREEDY, logitBias: [{ token: 3, bias: -100 }, { token: 0, bias: 2.5 }, { token: 3, bias: 1 }] },
    {
      ...GREEDY,
      frequencyPenalty: -0.2,
      presencePenalty: 0.4,
      repetitionPenalty: 0.8,
      logitBias: [{ token: 5, bias: 7 }],
    },
    { ...GREEDY, allowedTokens: Uint32Array.of(1, 4, 6), logitBias: [{ token: 4, bias: 2 }] },
    GREEDY,
  ];
  for (const vocabulary of [7, 1000, 1100]) {
    const stride = Math.ceil(vocabulary / 32) * 32;
    const rows = settings.length;
    const slots = Uint32Array.from([5, 2, 0, 4, 1, 3, 6]);
    const sampling = new Uint32Array(rows * 16);
    const raw = normalValues(random, rows * stride, 3);
    const prompt = Uint32Array.from({ length: 20 }, () => randomInteger(random, 0, vocabulary - 1));
    const counts = new Uint32Array(rows * stride);
    const bias = new Float32Array(rows * stride);
    settings.forEach((parameters, row) => {
      sampling.set(encodeSampling(parameters), slots[row] * 16);
      counts.set(promptCounts(prompt, stride), slots[row] * stride);
      for (let i = 0; i < 30; i++) counts[slots[row] * stride + randomInteger(random, 0, vocabulary - 1)]++;
      // What slots without a flag hold belongs to nobody and must not be read.
      bias.fill(NaN, slots[row] * stride, (slots[row] + 1) * stride);
      if (usesBias(parameters)) bias.set(biasRow(parameters, stride), slots[row] * stride);
    });
    const buffers = await runKernel(
      await testGpu(),
      penalties,
      penaltiesDispatch({ rows, stride }),
      [raw, slots, sampling, counts, bias, new Float32Array(rows * stride).fill(NaN)],
    );
    const adjusted = new Float32Array(buffers[5]);
    settings.forEach((parameters, row) => {
      for (let token = 0; token < vocabulary; token++) {
        const count = counts[slots[row] * stride + token];
        const generated = count % IN_PROMPT;
        let expected = raw[row * stride + token];
        for (const entry of parameters.logitBias) if (entry.token === token) expected += entry.bias;
        if (parameters.allowedTokens?.includes(token) === false) expected += -1e30;
        const { repetitionPenalty, frequencyPenalty, presencePenalty } = parameters;
        if (count > 0) expected = expected > 0 ? expected / repetitionPenalty : expected * repetitionPenalty;
        expected -= frequencyPenalty * generated + (generated > 0 ? presencePenalty : 0);
        const actual = adjusted[row * stride + token];
        // A handful of f32 roundings, the bias of -100 the largest number among them; no rounding at all when copied.
        const tolerance = adjustsLogits(parameters) ? 2e-6 * (10 + Math.abs(expected)) : 0;
        assert.ok(Math.abs(actual - expected) <= tolerance, `row ${row}, token ${token}: ${actual} for ${expected}`);
      }
    });
  }
});

Deno.test("penalties() sees in each step what sample() generated in the steps before, within one submit", async () => {
  const gpu = await testGpu();
  const [vocabulary, stride, steps] = [40, 64, 12];
  const logits = normalValues(seededRandom(2), stride);
  const parameters = { ...GREEDY, frequencyPenalty: 0.5, presencePenalty: 0.3 };
  const upload = (data: ArrayBufferView<ArrayBuffer>) => gpu.upload("test", data);
  const [raw, adjusted, slots, positions] = [logits, new Float32Array(stride), Uint32Array.of(1), new Uint32Array(1)]
    .map(
      upload,
    );
  const sampling = upload(Uint32Array.of(...new Uint32Array(16), ...encodeSampling(parameters)));
  const [counts, bias, tokens] = [new Uint32Array(2 * stride), new Float32Array(2 * stride), new Uint32Array(2)].map(
    upload,
  );
  const results = upload(new Uint32Array(steps * RESULT_WORDS));
  const bind = (kernel: Kernel, buffers: GPUBuffer[]) => {
    const pipeline = gpu.pipeline(kernel);
    return { pipeline, group: gpu.bind(pipeline, buffers) };
  };
  const adjust = bind(penalties, [raw, slots, sampling, counts, bias, adjusted]);
  const draw = bind(sample(vocabulary), [raw, adjusted, slots, positions, sampling, tokens, results, counts]);
  const recorder = new Recorder(gpu);
  for (let step = 0; step < steps; step++) {
    recorder.dispatch(adjust, penaltiesDispatch({ rows: 1, stride }));
    recorder.dispatch(draw, sampleDispatch({ rows: 1, vocabulary, stride, step, maxRows: 1 }));
  }
  recorder.submit();
  const words = new Uint32Array(await readBuffer(gpu, results));
  const actual = Array.from({ length: steps }, (_, step) => words[step * RESULT_WORDS]);
  const seen = new Array(vocabulary).fill(0);
  const expected = actual.map(() => {
    const scores = seen.map((count, token) => logits[token] - 0.5 * count - (count > 0 ? 0.3 : 0));
    const best = scores.indexOf(Math.max(...scores));
    seen[best]++;
    return best;
  });
  assert.deepEqual(actual, expected);
  assert.ok(new Set(actual).size > 3, "the penalties changed nothing");
  for (const buffer of [raw, adjusted, slots, positions, sampling, counts, bias, tokens, results]) {
    gpu.destroyBuffer(buffer);
  }
});

Deno.test("promptCounts() flags the prompt's tokens and counts none as generated", () => {
  assert.deepEqual([...promptCounts(Uint32Array.from([1, 3, 3]), 5)], [0, IN_PROMPT, 0, IN_PROMPT, 0]);
});

Deno.test("adjustsLogits() is true exactly for what changes logits", () => {
  assert.equal(adjustsLogits({ ...GREEDY, temperature: 1, topK: 5, topP: 0.5, minP: 0.1, seed: 9 }), false);
  assert.equal(adjustsLogits({ ...GREEDY, repetitionPenalty: 1.1 }), true);
  assert.equal(adjustsLogits({ ...GREEDY, frequencyPenalty: 0.1 }), true);
  assert.equal(adjustsLogits({ ...GREEDY, presencePenalty: 0.1 }), true);
  assert.equal(adjustsLogits({ ...GREEDY, logitBias: [{ token: 1, bias: 1 }] }), true);
});

Deno.test("a top_k beyond 32 bits keeps all tokens, and is no other number modulo 2^32", () => {
  const topK = (value: number) => encodeSampling({ ...GREEDY, temperature: 1, topK: value })[1];
  assert.deepEqual([2 ** 32, 2 ** 32 + 1, 2 ** 53].map(topK), Array(3).fill(0xffffffff));
  assert.deepEqual([0, 1, 5].map(topK), [0xffffffff, 1, 5]);
});
