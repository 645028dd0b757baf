import assert from "node:assert/strict";
import { gguf } from "@huggingface/gguf";
import { openGguf } from "../../src/formats/gguf.ts";
import { GGUF_VALUE_TYPES } from "../../src/formats/gguf_layout.ts";
import { float32, writeGguf } from "../../src/formats/gguf_writer.ts";
import { ModelFileError } from "../../src/formats/model_file.ts";
import { quantise } from "../../src/formats/quantisation.ts";
import { TENSOR_TYPE_NAMES } from "../../src/formats/tensor_types.ts";
import { concatenate, uint32, uint64, utf8, withFile } from "../support/files.ts";
import { normalValues, randomInteger, seededRandom } from "../../fixtures/random.ts";

const METADATA = {
  "general.architecture": "llama",
  "general.name": "Zoë 🦙",
  "llama.block_count": 2,
  "llama.rope.freq_base": float32(10000),
  "negative": -3,
  "fraction": 0.5,
  "flag": true,
  "large": 2 ** 40,
  "double": { type: "float64", value: 0.1 } as const,
  ["__proto__"]: "only a key",
  "tokenizer.ggml.tokens": ["<s>", "", "\uFEFF", "▁wörd", "🦙"],
  "tokenizer.ggml.scores": new Float32Array([0, -1, -2.5, 3, 4]),
  "tokenizer.ggml.token_type": new Int32Array([3, 1, 1, -1, 6]),
  "counts": new Uint32Array([1, 4294967295]),
};

/** A tensor of every type, 2 rows of 256 elements each. */
const TENSORS = TENSOR_TYPE_NAMES.map((type, i) => ({
  name: `blk.0.${type}.weight`,
  type,
  shape: [2, 256],
  data: quantise(type, normalValues(seededRandom(i), 512)),
}));

const GOOD_FILE = writeGguf(METADATA, TENSORS);

Deno.test("openGguf() reads back the metadata that writeGguf() wrote", async () => {
  await withFile(GOOD_FILE, async (path) => {
    const file = await openGguf(path);
    assert.equal(file.format, "gguf");
    assert.equal(file.path, path);
    const expected = {
      ...METADATA,
      "llama.rope.freq_base": 10000,
      double: 0.1,
    };
    assert.deepEqual(Object.entries(file.metadata), Object.entries(expected));
    file.close();
  });
});

Deno.test("openGguf() reads back tensors of every type that writeGguf() wrote", async () => {
  await withFile(GOOD_FILE, async (path) => {
    const file = await openGguf(path);
    assert.equal(file.tensors.size, TENSORS.length);
    assert.equal(file.tensorBytes, TENSORS.reduce((sum, { data }) => sum + data.byteLength, 0));
    for (const { name, type, shape, data } of TENSORS) {
      assert.deepEqual(file.tensors.get(name), { name, type, shape, byteLength: data.byteLength });
      assert.deepEqual(await file.readTensor(name), data);
      assert.deepEqual(await file.readTensor(name, 10, 100), data.slice(10, 110));
      assert.deepEqual(await file.readTensor(name, data.byteLength), new Uint8Array(0));
    }
    file.close();
  });
});

Deno.test("readTensor() refuses unknown tensors and ranges outside the tensor", async () => {
  await withFile(GOOD_FILE, async (path) => {
    const file = await openGguf(path);
    const { name, data } = TENSORS[0];
    await assert.rejects(file.readTensor("missing"), /has no tensor "missing"/);
    await assert.rejects(file.readTensor(name, 0, data.byteLength + 1), /within its 2048 bytes/);
    await assert.rejects(file.readTensor(name, data.byteLength + 1), ModelFileError);
    await assert.rejects(file.readTensor(name, -1, 1), ModelFileError);
    await assert.rejects(file.readTensor(name, 0.5, 1), ModelFileError);
    await assert.rejects(file.readTensor(name, 0, NaN), ModelFileError);
    file.close();
  });
});

Deno.test("readTensor() serves concurrent readers", async () => {
  await withFile(GOOD_FILE, async (path) => {
    const file = await openGguf(path);
    const read = await Promise.all(TENSORS.map(({ name }) => file.readTensor(name)));
    assert.deepEqual(read, TENSORS.map(({ data }) => data));
    file.close();
  });
});

Deno.test("readTensor() notices that the file has shrunk since it was opened", async () => {
  await withFile(GOOD_FILE, async (path) => {
    const file = await openGguf(path);
    await Deno.truncate(path, GOOD_FILE.length - 300);
    await assert.rejects(file.readTensor(TENSORS.at(-1)!.name), /now ends at byte \d+/);
    file.close();
  });
});

Deno.test("writeGguf() writes what Hugging Face's parser reads", async () => {
  await withFile(GOOD_FILE, async (path) => {
    const { metadata: untyped, tensorInfos } = await gguf(path, { allowLocalFile: true });
    const metadata = untyped as unknown as Record<string, unknown>;
    assert.equal(metadata.version, 3);
    assert.equal(metadata["general.name"], METADATA["general.name"]);
    assert.equal(metadata["llama.rope.freq_base"], 10000);
    assert.deepEqual(metadata["tokenizer.ggml.scores"], [0, -1, -2.5, 3, 4]);
    assert.deepEqual(
      tensorInfos.map(({ name, shape }) => ({ name, shape: shape.map(Number) })),
      TENSORS.map(({ name, shape }) => ({ name, shape: shape.toReversed() })),
    );
  });
});

Deno.test("writeGguf() refuses data that does not fit the shape, naming the tensor", () => {
  const tensor = { name: "x", type: "Q8_0", shape: [2, 32], data: new Uint8Array(67) } as const;
  assert.throws(() => writeGguf({}, [tensor]), /Tensor "x" has 67 bytes.*expected 68/);
});

Deno.test("openGguf() reads version 2 files", async () => {
  const file = GOOD_FILE.slice();
  file.set(uint32(2), 4);
  await withFile(file, async (path) => {
    const model = await openGguf(path);
    assert.equal(model.tensors.size, TENSORS.length);
    model.close();
  });
});

Deno.test("openGguf() reads a header larger than its window, with strings across the window's edges", async () => {
  const tokens = Array.from({ length: 150_000 }, (_, i) => `token-${i}-${"é".repeat(i % 7)}`);
  await withFile(writeGguf({ "tokenizer.ggml.tokens": tokens }, []), async (path) => {
    const file = await openGguf(path);
    assert.deepEqual(file.metadata["tokenizer.ggml.tokens"], tokens);
    file.close();
  });
});

const STORIES = "../shared/models/stories260K.gguf";
const storiesMissing = (() => {
  try {
    return !Deno.statSync(STORIES).isFile;
  } catch {
    return true;
  }
})();

Deno.test({
  name: `openGguf() reads stories260K as Hugging Face's parser does${
    storiesMissing ? ` (skipped: no ${STORIES})` : ""
  }`,
  ignore: storiesMissing,
  async fn() {
    const file = await openGguf(STORIES);
    const oracle = await gguf(STORIES, { allowLocalFile: true });
    for (const [key, value] of Object.entries(file.metadata)) {
      const plain = ArrayBuffer.isView(value) ? Array.from(value as Float32Array) : value;
      assert.deepEqual(plain, (oracle.metadata as unknown as Record<string, unknown>)[key], key);
    }
    assert.equal(file.tensors.size, 48);
    const bytes = await Deno.readFile(STORIES);
    for (const { name, shape, offset } of oracle.tensorInfos) {
      const info = file.tensors.get(name)!;
      assert.deepEqual(info.shape, shape.map(Number).reverse());
      const start = Number(oracle.tensorDataOffset + offset);
      assert.deepEqual(await file.readTensor(name), bytes.slice(start, start + info.byteLength));
    }
    file.close();
  },
});

// Hostile files, put together by hand.

const { uint8, uint32: UINT32, bool, string, array, uint64: UINT64, float32: FLOAT32 } = GGUF_VALUE_TYPES;

const text = (content: string) => concatenate(uint64(utf8(content).length), utf8(content));
const entry = (key: string, type: number, ...value: Uint8Array[]) => concatenate(text(key), uint32(type), ...value);
const tensorInfo = (name: string, dimensions: (number | bigint)[], type: number, offset: number | bigint) =>
  concatenate(text(name), uint32(dimensions.length), ...dimensions.map(uint64), uint32(type), uint64(offset));

/** A file with these metadata entries and tensor descriptions, and 1024 bytes of data; counts can be made to lie. */
function hostileFile(
  { metadata = [], tensors = [], metadataCount = metadata.length, tensorCount = tensors.length, version = 3 }: {
    metadata?: Uint8Array[];
    tensors?: Uint8Array[];
    metadataCount?: number | bigint;
    tensorCount?: number | bigint;
    version?: number;
  },
): Uint8Array {
  const header = concatenate(
    utf8("GGUF"),
    uint32(version),
    uint64(tensorCount),
    uint64(metadataCount),
    ...metadata,
    ...tensors,
  );
  return concatenate(header, new Uint8Array(32 - header.length % 32), new Uint8Array(1024));
}

const F32 = 0;
const HUGE = 2n ** 60n;
const REFUSED: Record<string, [file: Uint8Array, message: RegExp]> = {
  "an empty file": [new Uint8Array(0), /magic goes on for 4 bytes/],
  "another magic": [utf8("GGML".repeat(20)), /magic is 0x4c4d4747: expected 0x46554747/],
  "version 1": [hostileFile({ version: 1 }), /version is 1: expected 2 or 3/],
  "version 4": [hostileFile({ version: 4 }), /version is 4: expected 2 or 3/],
  "a big-endian file": [hostileFile({ version: 3 << 24 }), /version is big-endian/],
  "2^60 tensors": [hostileFile({ tensorCount: HUGE }), /tensor count claims 1152921504606846976 items/],
  "2^64 - 1 metadata entries": [hostileFile({ metadataCount: 2n ** 64n - 1n }), /metadata count claims 1844674/],
  "a metadata count that only just does not fit": [
    hostileFile({ metadataCount: 90 }),
    /metadata count claims 90 items: expected at most \d\d,/,
  ],
  "a key of 2^60 bytes": [
    hostileFile({ metadata: [uint64(HUGE)] }),
    /key of metadata entry 0 of 1 claims 1152921504606846976/,
  ],
  "an unknown value type": [hostileFile({ metadata: [entry("k", 13)] }), /metadata "k" has value type 13/],
  "a string of 2^40 bytes": [
    hostileFile({ metadata: [entry("k", string, uint64(2 ** 40))] }),
    /metadata "k" claims 1099511627776 items/,
  ],
  "an array of 2^60 bytes": [
    hostileFile({ metadata: [entry("k", array, uint32(uint8), uint64(HUGE))] }),
    /metadata "k" claims 1152921504606846976 items/,
  ],
  "an array of 2^60 strings": [
    hostileFile({ metadata: [entry("k", array, uint32(string), uint64(HUGE))] }),
    /metadata "k" claims 1152921504606846976 items/,
  ],
  "an array whose element type is unknown": [
    hostileFile({ metadata: [entry("k", array, uint32(99), uint64(1))] }),
    /metadata "k" has value type 99/,
  ],
  "arrays nested a thousand deep": [
    hostileFile({
      metadata: [
        entry("k", array, ...Array.from({ length: 1000 }, () => concatenate(uint32(array), uint64(1)))),
      ],
    }),
    /metadata "k" is an array of arrays/,
  ],
  "a boolean of 2": [hostileFile({ metadata: [entry("k", bool, new Uint8Array([2]))] }), /metadata "k" is 2/],
  "a key twice": [
    hostileFile({ metadata: [entry("k", UINT32, uint32(1)), entry("k", UINT32, uint32(2))] }),
    /metadata "k" appears twice/,
  ],
  "an alignment of 0": [
    hostileFile({ metadata: [entry("general.alignment", UINT32, uint32(0))] }),
    /"general.alignment" is 0: expected a power of two/,
  ],
  "an alignment of 24": [
    hostileFile({ metadata: [entry("general.alignment", UINT32, uint32(24))] }),
    /"general.alignment" is 24: expected a power of two/,
  ],
  "an alignment of one half": [
    hostileFile({ metadata: [entry("general.alignment", FLOAT32, uint32(0x3f000000))] }),
    /"general.alignment" is 0.5: expected a power of two/,
  ],
  "an alignment of 2^63": [
    hostileFile({ metadata: [entry("general.alignment", UINT64, uint64(2n ** 63n))] }),
    /"general.alignment" is 9223372036854775808: expected a power of two/,
  ],
  "an alignment that is text": [
    hostileFile({ metadata: [entry("general.alignment", string, text("32"))] }),
    /"general.alignment" is "32": expected a power of two/,
  ],
  "one part of several": [
    hostileFile({ metadata: [entry("split.count", UINT32, uint32(3))] }),
    /"split.count" is 3: expected a name that ends in -00001-of-00003\.gguf/,
  ],
  "no dimensions": [hostileFile({ tensors: [tensorInfo("x", [], F32, 0)] }), /tensor "x" has 0 dimensions/],
  "five dimensions": [
    hostileFile({ tensors: [tensorInfo("x", [1, 1, 1, 1, 1], F32, 0)] }),
    /tensor "x" has 5 dimensions: expected 1 to 4/,
  ],
  "a dimension of 0": [
    hostileFile({ tensors: [tensorInfo("x", [8, 0], F32, 0)] }),
    /tensor "x" has the shape \[0, 8\]: expected positive/,
  ],
  "a dimension of 2^63": [
    hostileFile({ tensors: [tensorInfo("x", [2n ** 63n], F32, 0)] }),
    /tensor "x" has the shape \[9223372036854775808\]/,
  ],
  "dimensions whose product overflows": [
    hostileFile({ tensors: [tensorInfo("x", [2 ** 32, 2 ** 32, 1, 1], F32, 0)] }),
    /tensor "x" has the shape .*fewer than 2\^51 elements/,
  ],
  "an unsupported tensor type": [
    hostileFile({ tensors: [tensorInfo("x", [256], 10, 0)] }),
    /tensor "x" has type 10 \(Q2_K\): expected one of F32, F16/,
  ],
  "an unknown tensor type": [
    hostileFile({ tensors: [tensorInfo("x", [256], 1000, 0)] }),
    /tensor "x" has type 1000 \(unknown\)/,
  ],
  "rows that are not whole blocks": [
    hostileFile({ tensors: [tensorInfo("x", [33, 2], 8, 0)] }),
    /tensor "x" has the shape \[2, 33\] and type Q8_0: expected rows of a multiple of 32/,
  ],
  "an offset that is not aligned": [
    hostileFile({ tensors: [tensorInfo("x", [8], F32, 4)] }),
    /tensor "x" has offset 4: expected a multiple of the alignment, 32/,
  ],
  "an offset of 2^63": [
    hostileFile({ tensors: [tensorInfo("x", [8], F32, 2n ** 63n)] }),
    /tensor "x" has offset 9223372036854775808/,
  ],
  "a tensor beyond the end": [
    hostileFile({ tensors: [tensorInfo("x", [8], F32, 1024)] }),
    /tensor "x" lies at bytes \d+ to \d+, but the file has \d+ bytes/,
  ],
  "a tensor larger than the file": [
    hostileFile({ tensors: [tensorInfo("x", [2 ** 40], F32, 0)] }),
    /tensor "x" lies at bytes/,
  ],
  "tensors that overlap": [
    hostileFile({ tensors: [tensorInfo("a", [16], F32, 0), tensorInfo("b", [8], F32, 32)] }),
    /tensor "b" starts at byte \d+, inside tensor "a"/,
  ],
  "two tensors in the same place": [
    hostileFile({ tensors: [tensorInfo("a", [8], F32, 0), tensorInfo("b", [8], F32, 0)] }),
    /tensor "b" starts at byte \d+, inside tensor "a"/,
  ],
  "a tensor twice": [
    hostileFile({ tensors: [tensorInfo("x", [8], F32, 0), tensorInfo("x", [8], F32, 32)] }),
    /tensor "x" appears twice/,
  ],
  "a name of a megabyte with control characters, without repeating it": [
    hostileFile({ tensors: [tensorInfo("\u001b[2J\n".repeat(200_000), [0], F32, 0)] }),
    /^.{1,800}$/,
  ],
};

for (const [what, [content, message]] of Object.entries(REFUSED)) {
  Deno.test(`openGguf() refuses ${what}`, async () => {
    await withFile(content, async (path) => {
      await assert.rejects(openGguf(path), (error: Error) => {
        assert(error instanceof ModelFileError, String(error.stack));
        assert(error.message.startsWith(`${path}: `), error.message);
        assert.match(error.message, message);
        return true;
      });
    });
  });
}

Deno.test("openGguf() refuses a header of more than 64 MiB, however large the file", async () => {
  await withFile(
    hostileFile({ metadata: [entry("k", array, uint32(uint8), uint64(2 ** 30))] }),
    async (path) => {
      await Deno.truncate(path, 2 ** 31); // Sparse: takes no space.
      await assert.rejects(openGguf(path), /metadata "k" claims 1073741824 items: expected at most .* 67108864 bytes/);
    },
  );
});

Deno.test("openGguf() refuses what is not a regular file", async () => {
  await assert.rejects(openGguf("/dev/zero"), /\/dev\/zero is not a regular file/);
  await assert.rejects(openGguf("no/such/file.gguf"), /no\/such\/file.gguf does not exist/);
});

/** Opens the file and reads every tensor; true if all went well, false if it was refused. */
async function isReadable(path: string): Promise<boolean> {
  try {
    const file = await openGguf(path);
    try {
      for (const name of file.tensors.keys()) await file.readTensor(name);
    } finally {
      file.close();
    }
    return true;
  } catch (error) {
    assert(error instanceof ModelFileError, String((error as Error).stack));
    return false;
  }
}

const HEADER_LENGTH = GOOD_FILE.length - TENSORS.reduce((sum, { data }) => sum + Math.ceil(data.length / 32) * 32, 0);
const LAST_DATA_END = GOOD_FILE.length - (32 - TENSORS.at(-1)!.data.length % 32) % 32;

Deno.test("openGguf() refuses a file truncated anywhere", async () => {
  const random = seededRandom(11);
  await withFile(GOOD_FILE, async (path) => {
    assert(await isReadable(path));
    const cuts = [
      ...Array.from({ length: 40 }, (_, i) => i),
      ...Array.from({ length: 200 }, () => randomInteger(random, 0, HEADER_LENGTH)),
      ...Array.from({ length: 60 }, () => randomInteger(random, HEADER_LENGTH, LAST_DATA_END - 1)),
      LAST_DATA_END - 1,
    ];
    for (const length of cuts) {
      await Deno.writeFile(path, GOOD_FILE.subarray(0, length));
      assert.equal(await isReadable(path), false, `cut to ${length} bytes`);
    }
  });
});

Deno.test("openGguf() reads or refuses a header with damaged bytes, and does nothing else", async () => {
  const random = seededRandom(12);
  await withFile(GOOD_FILE, async (path) => {
    let refused = 0;
    for (let i = 0; i < 600; i++) {
      const damaged = GOOD_FILE.slice();
      for (let flips = randomInteger(random, 1, 4); flips > 0; flips--) {
        damaged[randomInteger(random, 0, HEADER_LENGTH - 1)] = randomInteger(random, 0, 255);
      }
      await Deno.writeFile(path, damaged);
      if (!await isReadable(path)) refused++;
    }
    // Most of the header is lengths, types and offsets, whose damage must show; the rest is text and padding.
    assert(refused > 200, `${refused} of 600`);
  });
});
