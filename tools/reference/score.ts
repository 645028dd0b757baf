/**
 * @file Scores the answers that eviction.py gives: reads JSON lines `{metric, answers, reply}`, writes one score a line.
 */
import { scoreReply } from "../../src/eval/tasks/scoring.ts";

for (const line of (await new Response(Deno.stdin.readable).text()).split("\n")) {
  if (line === "") continue;
  const { reply, ...sample } = JSON.parse(line);
  console.log(scoreReply(sample, reply));
}
