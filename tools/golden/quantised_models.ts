/**
 * @file Writes tests/golden/quantised_models.json: what `llama_model_quantize` of llama.cpp's own library makes of the models in
 * fixtures/quantised_models.ts.
 *
 *     mkdir -p /tmp/golden && cd /tmp/golden
 *     npm install --ignore-scripts --omit=optional @node-llama-cpp/linux-x64@3.22.1
 *     cd -
 *     deno run -A tools/golden/quantised_models.ts /tmp/golden
 */
import { digest, LAYERED_MODELS, QUANTISED_MODELS, typesByMatrix } from "../../fixtures/quantised_models.ts";
import { tinyGguf, type TinyModelOptions } from "../../fixtures/tiny_model.ts";
import { FILE_TYPES } from "../../src/conversion/file_types.ts";
import type { ModelFile } from "../../src/formats/model_file.ts";
import { openModel } from "../../src/formats/open.ts";

const [directory] = Deno.args;
if (directory === undefined) {
  console.error("Usage: deno run -A tools/golden/quantised_models.ts DIRECTORY, which holds node_modules");
  Deno.exit(2);
}
const folder = `${directory}/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64`;
// The struct of parameters is known to be smaller; only its second member is set.
const PARAMETERS = { struct: Array.from({ length: 24 }, () => "u64" as const) };
const { symbols } = Deno.dlopen(`${folder}/libllama.v0.5.0.so`, {
  llama_model_quantize_default_params: { parameters: [], result: PARAMETERS },
  llama_model_quantize: { parameters: ["buffer", "buffer", "buffer"], result: "u32" },
});
const text = (value: string) => new TextEncoder().encode(`${value}\0`);

async function quantised<Result>(
  options: TinyModelOptions,
  number: number,
  action: (file: ModelFile) => Result | Promise<Result>,
): Promise<Result> {
  const place = await Deno.makeTempDir();
  const [from, to] = [`${place}/from.gguf`, `${place}/to.gguf`];
  try {
    await Deno.writeFile(from, tinyGguf(options));
    const parameters = symbols.llama_model_quantize_default_params();
    new DataView(parameters.buffer).setInt32(4, number, true);
    if (symbols.llama_model_quantize(text(from), text(to), parameters) !== 0) throw new Error("llama.cpp refused");
    const file = await openModel(to);
    return await Promise.resolve(action(file)).finally(() => file.close());
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

async function each<Result>(
  models: Readonly<Record<string, TinyModelOptions>>,
  action: (file: ModelFile) => Result | Promise<Result>,
): Promise<Record<string, Record<string, Result>>> {
  const all: Record<string, Record<string, Result>> = {};
  for (const [name, options] of Object.entries(models)) {
    all[name] = {};
    for (const [type, { number }] of Object.entries(FILE_TYPES)) {
      all[name][type] = await quantised(options, number, action);
    }
  }
  return all;
}

const golden = {
  digests: await each(QUANTISED_MODELS, digest),
  types: await each(LAYERED_MODELS, ({ tensors }) => typesByMatrix([...tensors.values()])),
};
const path = new URL("../../tests/golden/quantised_models.json", import.meta.url);
await Deno.writeTextFile(path, `${JSON.stringify(golden)}\n`);
