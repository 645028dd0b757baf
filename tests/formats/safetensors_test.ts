import assert from "node:assert/strict";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { quantise } from "../../src/formats/quantisation.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { concatenate, uint64, utf8, withDirectory } from "../support/files.ts";
import { normalValues, randomInteger, seededRandom } from "../../fixtures/random.ts";
import { safetensorsFile, writeSafetensors } from "../support/safetensors.ts";

const CONFIG = JSON.stringify({ model_type: "llama", hidden_size: 8 });

const TENSORS = (["F32", "F16", "BF16"] as const).map((type, i) => ({
  name: `model.layers.${i}.weight`,
  type,
  shape: [3, 8],
  data: quantise(type, normalValues(seededRandom(i), 24)),
}));

const GOOD_FILE = writeSafetensors(TENSORS);

const index = (weightMap: unknown) => JSON.stringify({ metadata: { total_size: 192 }, weight_map: weightMap });

Deno.test("openSafetensors() reads config.json and tensors of every type from one file", async () => {
  await withDirectory({ "config.json": CONFIG, "model.safetensors": GOOD_FILE }, async (directory) => {
    const file = await openSafetensors(directory);
    assert.equal(file.format, "safetensors");
    assert.deepEqual(file.metadata, JSON.parse(CONFIG));
    assert.deepEqual([...file.tensors.keys()], TENSORS.map(({ name }) => name));
    assert.equal(file.tensorBytes, 24 * (4 + 2 + 2));
    for (const { name, type, shape, data } of TENSORS) {
      assert.deepEqual(file.tensors.get(name), { name, type, shape, byteLength: data.byteLength });
      assert.deepEqual(await file.readTensor(name), data);
      assert.deepEqual(await file.readTensor(name, 6, 20), data.slice(6, 26));
    }
    file.close();
  });
});

Deno.test("openSafetensors() reads tensors from the shards that the index names", async () => {
  const files = {
    "config.json": CONFIG,
    "model.safetensors.index.json": index({
      [TENSORS[0].name]: "model-00001-of-00002.safetensors",
      [TENSORS[1].name]: "model-00002-of-00002.safetensors",
      [TENSORS[2].name]: "model-00001-of-00002.safetensors",
    }),
    "model-00001-of-00002.safetensors": writeSafetensors([TENSORS[0], TENSORS[2]]),
    "model-00002-of-00002.safetensors": writeSafetensors([TENSORS[1]]),
  };
  await withDirectory(files, async (directory) => {
    const file = await openSafetensors(directory);
    assert.equal(file.tensors.size, 3);
    for (const { name, data } of TENSORS) assert.deepEqual(await file.readTensor(name), data);
    file.close();
  });
});

Deno.test("openSafetensors() reads tensors in any order, with gaps between them", async () => {
  const header = JSON.stringify({
    b: { dtype: "F16", shape: [2], data_offsets: [12, 16] },
    a: { dtype: "F32", shape: [], data_offsets: [4, 8] },
  });
  const data = new Uint8Array(20).map((_, i) => i);
  await withDirectory({ "config.json": CONFIG, "model.safetensors": safetensorsFile(header, data) }, async (path) => {
    const file = await openSafetensors(path);
    assert.deepEqual(await file.readTensor("a"), new Uint8Array([4, 5, 6, 7]));
    assert.deepEqual(await file.readTensor("b"), new Uint8Array([12, 13, 14, 15]));
    file.close();
  });
});

/** A file with one tensor of this description and 64 bytes of data. */
const oneTensor = (info: unknown) => safetensorsFile(JSON.stringify({ x: info }), new Uint8Array(64));

const REFUSED_FILES: Record<string, [file: Uint8Array, message: RegExp]> = {
  "an empty file": [new Uint8Array(0), /has 0 bytes: expected a header length/],
  "a header length of 2^63": [concatenate(uint64(2n ** 63n), utf8("{}")), /header length is 9223372036854775808/],
  "a header longer than the file": [concatenate(uint64(3), utf8("{}")), /header length is 3: expected at most/],
  "a header that is not JSON": [safetensorsFile("{"), /header is not valid JSON/],
  "a header that is not UTF-8": [concatenate(uint64(1), new Uint8Array([0xff])), /header is not valid JSON/],
  "a header that is an array": [safetensorsFile("[1]"), /header is \[1\]: expected a JSON object/],
  "a header that is null": [safetensorsFile("null"), /header is null: expected a JSON object/],
  "a header of arrays nested 100,000 deep": [
    safetensorsFile(`{"x":{"dtype":"F32","shape":${"[".repeat(1e5)}${"]".repeat(1e5)},"data_offsets":[0,4]}}`),
    /tensor "x" has shape \[object\]/,
  ],
  "a tensor that is a number": [oneTensor(3), /tensor "x" is 3: expected an object/],
  "a tensor without dtype": [oneTensor({ shape: [1], data_offsets: [0, 4] }), /tensor "x" has dtype missing/],
  "an unsupported dtype": [
    oneTensor({ dtype: "F8_E4M3", shape: [4], data_offsets: [0, 4] }),
    /tensor "x" has dtype "F8_E4M3": expected one of F32, F16, BF16/,
  ],
  "a quantised GGUF type as dtype": [
    oneTensor({ dtype: "Q8_0", shape: [32], data_offsets: [0, 34] }),
    /tensor "x" has dtype "Q8_0"/,
  ],
  "a shape that is text": [oneTensor({ dtype: "F32", shape: "4", data_offsets: [0, 4] }), /tensor "x" has shape "4"/],
  "a dimension of 0": [oneTensor({ dtype: "F32", shape: [4, 0], data_offsets: [0, 0] }), /has shape \[4, 0\]/],
  "a negative dimension": [oneTensor({ dtype: "F32", shape: [-1, -4], data_offsets: [0, 16] }), /has shape \[-1, -4\]/],
  "a fractional dimension": [oneTensor({ dtype: "F32", shape: [0.5, 8], data_offsets: [0, 16] }), /has shape \[0\.5/],
  "a shape whose product overflows": [
    oneTensor({ dtype: "F32", shape: [2 ** 50, 2 ** 50], data_offsets: [0, 16] }),
    /tensor "x" has data_offsets \[0, 16\], 16 bytes: expected/,
  ],
  "data_offsets missing": [oneTensor({ dtype: "F32", shape: [1] }), /tensor "x" has data_offsets missing/],
  "data_offsets of three numbers": [
    oneTensor({ dtype: "F32", shape: [1], data_offsets: [0, 4, 8] }),
    /tensor "x" has data_offsets \[0, 4, 8\]: expected two whole numbers/,
  ],
  "negative data_offsets": [
    oneTensor({ dtype: "F32", shape: [1], data_offsets: [-4, 0] }),
    /tensor "x" has data_offsets \[-4, 0\]/,
  ],
  "data_offsets in the wrong order": [
    oneTensor({ dtype: "F32", shape: [1], data_offsets: [4, 0] }),
    /tensor "x" has data_offsets \[4, 0\], -4 bytes: expected 4/,
  ],
  "a shape that does not fit the bytes": [
    oneTensor({ dtype: "F16", shape: [3], data_offsets: [0, 4] }),
    /tensor "x" has data_offsets \[0, 4\], 4 bytes: expected 6 for F16 \[3\]/,
  ],
  "a tensor beyond the end": [
    oneTensor({ dtype: "F32", shape: [16], data_offsets: [4, 68] }),
    /tensor "x" lies at bytes \d+ to \d+, but the file has \d+ bytes/,
  ],
  "tensors that overlap": [
    safetensorsFile(
      JSON.stringify({
        a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
        b: { dtype: "F32", shape: [1], data_offsets: [4, 8] },
      }),
      new Uint8Array(8),
    ),
    /tensor "b" starts at byte \d+, inside tensor "a"/,
  ],
};

for (const [what, [content, message]] of Object.entries(REFUSED_FILES)) {
  Deno.test(`openSafetensors() refuses ${what}`, async () => {
    await withDirectory({ "config.json": CONFIG, "model.safetensors": content }, async (directory) => {
      await assert.rejects(openSafetensors(directory), (error: Error) => {
        assert(error instanceof ModelFileError, String(error.stack));
        assert(error.message.startsWith(`${directory}/model.safetensors`), error.message);
        assert.match(error.message, message);
        return true;
      });
    });
  });
}

const SHARD = "model-00001-of-00001.safetensors";
const REFUSED_DIRECTORIES: Record<string, [files: Record<string, Uint8Array | string>, message: RegExp]> = {
  "no config.json": [{ "model.safetensors": GOOD_FILE }, /config.json does not exist/],
  "a config.json that is not JSON": [
    { "config.json": "nonsense", "model.safetensors": GOOD_FILE },
    /config.json is not valid JSON/,
  ],
  "a config.json that is a list": [{ "config.json": "[]", "model.safetensors": GOOD_FILE }, /config.json is \[\]/],
  "no weights": [{ "config.json": CONFIG }, /has no weights: expected model.safetensors, or/],
  "an index without a weight map": [
    { "config.json": CONFIG, "model.safetensors.index.json": "{}" },
    /index.json: weight_map is missing: expected an object/,
  ],
  "a missing shard": [
    { "config.json": CONFIG, "model.safetensors.index.json": index({ x: SHARD }) },
    /has no file "model-00001-of-00001.safetensors", which its index lists/,
  ],
  "an index that names a tensor that its shard does not have": [
    { "config.json": CONFIG, "model.safetensors.index.json": index({ absent: SHARD }), [SHARD]: GOOD_FILE },
    /weight_map puts tensor "absent" in model-00001-of-00001.safetensors, which does not have it/,
  ],
  ...Object.fromEntries(
    [
      "../secret.safetensors",
      "new\nline.safetensors",
      "/etc/x.safetensors",
      "a\\b.safetensors",
      "..",
      "model.bin",
      "",
      7,
      null,
      ["a"],
    ].map(
      (shard) => [
        `the shard name ${JSON.stringify(shard)}`,
        [
          { "config.json": CONFIG, "model.safetensors.index.json": index({ x: shard }) },
          /weight_map puts tensor "x" in .*: expected the name of a .safetensors file beside the index/,
        ],
      ],
    ),
  ),
};

for (const [what, [files, message]] of Object.entries(REFUSED_DIRECTORIES)) {
  Deno.test(`openSafetensors() refuses a directory with ${what}`, async () => {
    await withDirectory(files, async (directory) => {
      await assert.rejects(openSafetensors(directory), (error: Error) => {
        assert(error instanceof ModelFileError, String(error.stack));
        assert.match(error.message, message);
        return true;
      });
    });
  });
}

Deno.test("openSafetensors() does not mistake a tensor named __proto__ for anything else", async () => {
  const header = '{"__proto__": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}';
  const files = { "config.json": CONFIG, "model.safetensors": safetensorsFile(header, new Uint8Array(4)) };
  await withDirectory(files, async (directory) => {
    const file = await openSafetensors(directory);
    assert.deepEqual([...file.tensors.keys()], ["__proto__"]);
    file.close();
  });
});

Deno.test("openSafetensors() reads or refuses truncated and damaged files, and does nothing else", async () => {
  const random = seededRandom(5);
  const headerLength = GOOD_FILE.length - 192;
  await withDirectory({ "config.json": CONFIG }, async (directory) => {
    const isReadable = async (content: Uint8Array) => {
      await Deno.writeFile(`${directory}/model.safetensors`, content);
      try {
        const file = await openSafetensors(directory);
        for (const name of file.tensors.keys()) await file.readTensor(name);
        file.close();
        return true;
      } catch (error) {
        assert(error instanceof ModelFileError, String((error as Error).stack));
        return false;
      }
    };
    assert(await isReadable(GOOD_FILE));
    for (let length = 0; length < GOOD_FILE.length; length += 3) {
      assert.equal(await isReadable(GOOD_FILE.subarray(0, length)), false, `cut to ${length} bytes`);
    }
    let refused = 0;
    for (let i = 0; i < 300; i++) {
      const damaged = GOOD_FILE.slice();
      damaged[randomInteger(random, 0, headerLength - 1)] = randomInteger(random, 0, 255);
      if (!await isReadable(damaged)) refused++;
    }
    // Names are about a third of the header, and only there can a byte change unnoticed.
    assert(refused > 100, `${refused} of 300`);
  });
});
