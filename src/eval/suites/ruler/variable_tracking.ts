/**
 * @file RULER's `vt`: a chain of assignments, `VAR ABCDE = 12345`, `VAR FGHIJ = VAR ABCDE` and so on, among repeated
 * sentences; all variables that get the value are asked for. A solved example stands before it. Sizes are lines.
 */
import { largestFitting } from "../fit.ts";
import { stringMatchAll } from "../../metrics/string_match.ts";
import { drawNew, pick, pickDifferent, type Random, randomInteger, seededRandom } from "../random.ts";
import type { CountTokens } from "../sample.ts";
import { NOISE } from "./noise.ts";
import type { RulerTask } from "./task.ts";

const VARIABLES = 5;
const EXAMPLE_TOKENS = 500;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

export function variableTracking(countTokens: CountTokens): RulerTask {
  const exampleLines = largestFitting(
    VARIABLES,
    (lines) => countTokens(solved(seededRandom("example"), lines, new Set())) <= EXAMPLE_TOKENS,
  ) ?? VARIABLES;
  return {
    maxNewTokens: 30,
    metric: stringMatchAll,
    smallestSize: VARIABLES,
    build(random, size) {
      const used = new Set<string>();
      const example = solved(random, exampleLines, used);
      const { variables, context, question, answerPrefix } = problem(random, size, 5, used);
      return { context: example + context, question, answerPrefix, answers: variables };
    },
  };
}

/** An example with its answer; its names have three letters, so that they are none of the problem's. */
function solved(random: Random, lines: number, used: Set<string>): string {
  const { variables, context, question, answerPrefix } = problem(random, lines, 3, used);
  return `${context}${question}${answerPrefix} ${variables.join(" ")}\n\n`;
}

function problem(random: Random, lines: number, letters: number, used: Set<string>) {
  const name = () => Array.from({ length: letters }, () => pick(random, LETTERS)).join("");
  const variables = Array.from({ length: VARIABLES }, () => drawNew(used, name));
  const value = drawNew(used, () => String(randomInteger(random, 10000, 99998)));
  // RULER writes a space after the name that is assigned.
  const chain = variables.map((variable, i) => `VAR ${variable} = ${i === 0 ? value : `VAR ${variables[i - 1]} `}`);
  const text: string[] = Array(lines).fill(NOISE);
  const places = pickDifferent(random, [...text.keys()], VARIABLES).sort((a, b) => a - b);
  for (const [i, place] of places.entries()) text.splice(place + i, 0, chain[i]);
  return {
    variables,
    context: "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n" +
      text.join("\n"),
    question: `\nQuestion: Find all variables that are assigned the value ${value} in the text above.`,
    answerPrefix: " Answer: According to the chain(s) of variable assignment in the text above, " +
      `${VARIABLES} variables are assigned the value ${value}, they are: `,
  };
}
