/** @file Whether a prediction names the right class, as LongBench's `classification_score` has it. */

/**
 * The right class's share of the classes that the prediction mentions, in [0, 1]. A class that is a part of the right
 * one's name does not count as mentioned.
 */
export function classification(prediction: string, answer: string, classes: readonly string[]): number {
  const mentioned = classes.filter((name) => prediction.includes(name));
  // The original removes from the list that it walks through, so the class after a removed one is not looked at. The
  // published scores contain this.
  for (let i = 0; i < mentioned.length; i++) {
    if (mentioned[i] === answer || !answer.includes(mentioned[i])) continue;
    mentioned.splice(mentioned.indexOf(mentioned[i]), 1);
  }
  return mentioned.includes(answer) ? 1 / mentioned.length : 0;
}
