/**
 * @file The thread of a sandbox: it has no permission to read, write, connect or look at its environment, and evaluates one plugin
 * file. What is left to be imported at run time could still be read, so nothing that makes code of text is there.
 */
import "./without_generated_code.ts";
import type { z } from "zod";
import { optionsJsonSchema } from "../choice.ts";
import type { PolicyContext } from "../context.ts";
import { evaluatePlugin } from "../loading/evaluate_plugin.ts";
import type { Allocator, Plugin, Scorer } from "../policy.ts";
import type { AnyPlugin } from "../registry.ts";
import { uniformAllocator } from "../uniform.ts";
import {
  type Answer,
  giveAnswer,
  type OptionDescription,
  type PluginDescription,
  type Question,
  READY,
  type SandboxStart,
  type SharedMemory,
} from "./messages.ts";
import { functionsOf } from "../step_functions.ts";

const thread = self as unknown as { onmessage: (event: MessageEvent<SandboxStart | Question>) => void };

let memory: SharedMemory;
let plugins: readonly AnyPlugin[] = [];
let halves: readonly (Scorer | Allocator)[] = [];
let failure: string | null = null;

thread.onmessage = ({ data }) => {
  if ("bundle" in data) return start(data);
  let answer: Answer;
  try {
    if (failure !== null) throw new Error(failure);
    answer = { ok: true, value: answerTo(data) };
  } catch (error) {
    answer = { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
  giveAnswer(memory, answer);
};

function start({ bundle, memory: shared }: SandboxStart): void {
  memory = shared;
  lockDown();
  try {
    ({ plugins } = evaluatePlugin(bundle));
    halves = [...new Set(plugins.flatMap(halvesOf))].filter((half) => half !== uniformAllocator);
  } catch (error) {
    // Told to whoever asks what there is.
    failure = (error as Error).message;
  }
  const state = new Int32Array(shared.state);
  Atomics.store(state, 0, READY);
  Atomics.notify(state, 0);
}

/** Takes away what makes code of text: in such code, import() reads local files even here. */
function lockDown(): void {
  // Something is an instance of Function still.
  const refuse = function () {
    throw new TypeError("A plugin in the sandbox cannot make code of text");
  };
  refuse.prototype = Function.prototype;
  for (const one of [() => {}, async () => {}, function* () {}, async function* () {}]) {
    Object.defineProperty(Object.getPrototypeOf(one), "constructor", { value: refuse });
  }
  for (const name of ["eval", "Function", "Worker"]) Object.defineProperty(globalThis, name, { value: refuse });
}

function halvesOf(plugin: AnyPlugin): (Scorer | Allocator)[] {
  if (plugin.kind !== "policy") return [plugin];
  const { scorer, allocator } = plugin.recipe;
  return [scorer, allocator].filter((half) => typeof half !== "string");
}

function answerTo(question: Question): unknown {
  if (question.type === "describe") return describe();
  const half = halves[question.half];
  switch (question.type) {
    case "parse":
      return faultOf(half, question.option, question.value);
    case "score": {
      const score = scoreOf(half as Scorer, question.context, question.options);
      return score && functionsOf(score).asData;
    }
    case "host": {
      const score = scoreOf(half as Scorer, question.context, question.options);
      const [inputs, context] = question.given;
      return functionsOf(score!).calls[question.call](inputs, context);
    }
    case "schedule":
      return (half as Allocator).schedule(question.context, optionsOf(half, question.options));
    case "allot":
      // As an array: a typed one would turn what is no number into one.
      return Array.from(
        (half as Allocator).allot(question.layers, question.context, optionsOf(half, question.options)),
      );
  }
}

function scoreOf(scorer: Scorer, context: PolicyContext, options: Readonly<Record<string, unknown>>) {
  return scorer.score(context, optionsOf(scorer, options));
}

/** The options of a half with its defaults; a combination has those of the other as well. */
function optionsOf({ options: schema }: Plugin, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const own = Object.entries(given).filter(([name]) => Object.hasOwn(schema.shape, name));
  return { ...given, ...schema.parse(Object.fromEntries(own)) };
}

/** What is wrong with the value of an option; `null` if nothing. */
function faultOf({ options }: Plugin, option: string, value: unknown): string | null {
  const result = (options.shape[option] as z.ZodType).safeParse(value);
  return result.success ? null : result.error.issues[0].message;
}

function describeOptions(half: Plugin): Record<string, OptionDescription> {
  const schemas = (optionsJsonSchema(half).properties ?? {}) as Record<string, Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(schemas).map(([option, jsonSchema]) => [
      option,
      { jsonSchema, isRequired: faultOf(half, option, undefined) !== null },
    ]),
  );
}

function describe(): PluginDescription {
  const place = (half: Scorer | Allocator | string) =>
    typeof half === "string" ? half : half === uniformAllocator ? half.name : halves.indexOf(half);
  return {
    halves: halves.map((half) => ({
      kind: half.kind,
      name: half.name,
      description: half.description,
      perHead: half.kind === "allocator" && half.perHead,
      options: describeOptions(half),
    })),
    plugins: plugins.map((plugin) => {
      if (plugin.kind !== "policy") return { kind: plugin.kind, half: halves.indexOf(plugin) };
      const { name, description, scorer, allocator, defaults, ownScore } = plugin.recipe;
      return {
        kind: "policy",
        name,
        description,
        scorer: place(scorer),
        allocator: place(allocator),
        defaults,
        ownScore,
      };
    }),
  };
}
