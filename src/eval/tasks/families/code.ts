/** @file Code: complete a call of a function that was defined far above, with its own parameters in their order. */
import { factCount } from "../document.ts";
import type { TaskContext, TaskPlan } from "../task.ts";
import { OBJECTS, PARAMETERS, VERBS } from "../words.ts";

export function code({ random, entities, length, depth }: TaskContext): TaskPlan {
  const names = new Set<string>();
  const definition = () => {
    let name = "";
    do name = `${random.pick(VERBS)}_${entities.thing().replace(" ", "_")}`; while (names.has(name));
    names.add(name);
    const parameters = random.shuffled(PARAMETERS).slice(0, random.between(2, 3));
    return { name, call: `${name}(${parameters.join(", ")})` };
  };
  const definitions = Array.from({ length: factCount(length, 80, 2, 40) }, definition);
  const statement = () => `  ${random.pick(OBJECTS)} = ${random.pick(PARAMETERS)} + ${random.between(1, 99)}`;
  return {
    opening: "# Read the program.",
    passages: definitions.map(({ call }, i) => ({
      text: `def ${call}:\n${statement()}\n  return ${random.pick(PARAMETERS)}`,
      depth: i === 0 ? depth : undefined,
    })),
    filler: statement,
    separator: "\n",
    questions: definitions.map(({ name, call }) => ({
      text: `Complete the call: ${name}`,
      answers: [call],
      reply: call,
      answerPrefix: name,
    })),
  };
}
