/** @file RULER's metrics: which of the right strings occur in a prediction, upper and lower case alike. */

/** `string_match_all`: the share, in [0, 1], of the answers that occur. For all tasks but question answering. */
export function stringMatchAll(prediction: string, answers: readonly string[]): number {
  return answers.filter((answer) => occurs(answer, prediction)).length / answers.length;
}

/** `string_match_part`: 1 if any of the answers occurs, else 0. For question answering. */
export function stringMatchPart(prediction: string, answers: readonly string[]): number {
  return answers.some((answer) => occurs(answer, prediction)) ? 1 : 0;
}

function occurs(answer: string, prediction: string): boolean {
  return prediction.toLowerCase().includes(answer.toLowerCase());
}
