/**
 * @file RULER's `qa_1` (SQuAD) and `qa_2` (HotpotQA): questions on a few documents, hidden among others. Sizes are
 * documents.
 */
import { stringMatchPart } from "../../metrics/string_match.ts";
import { repeated } from "../prose.ts";
import { pickDifferent, shuffled } from "../random.ts";
import type { RulerTask } from "./task.ts";

/** A data set of questions with the documents that answer them. */
export interface QuestionSet {
  readonly documents: readonly string[];
  readonly questions: readonly {
    readonly question: string;
    readonly answers: readonly string[];
    /** Indices of the documents that are always there. */
    readonly own: readonly number[];
    /** Indices of documents on the same subject, which are taken before others. */
    readonly related: readonly number[];
  }[];
}

const INSTRUCTION =
  "Answer the question based on the given documents. Only give me the answer and do not output any other words.";

export function questionAnswering({ documents, questions }: QuestionSet): RulerTask {
  const all = [...documents.keys()];
  return {
    maxNewTokens: 32,
    metric: stringMatchPart,
    smallestSize: 1,
    questions: questions.length,
    build(random, size, index) {
      const { question, answers, own, related } = questions[index];
      const chosen = size < documents.length ? withOthers(Math.max(0, size - own.length)) : repeated(all, size);
      function withOthers(wanted: number): number[] {
        if (wanted <= related.length) return [...own, ...pickDifferent(random, related, wanted)];
        const taken = new Set([...own, ...related]);
        const rest = all.filter((document) => !taken.has(document));
        return [...taken, ...pickDifferent(random, rest, Math.min(rest.length, wanted - related.length))];
      }
      const text = shuffled(random, chosen).map((document, i) => `Document ${i + 1}:\n${documents[document]}`);
      return {
        context: `${INSTRUCTION}\n\nThe following are given documents.\n\n${text.join("\n\n")}`,
        question: `\n\n${INSTRUCTION}\n\nQuestion: ${question}`,
        answerPrefix: " Answer:",
        answers,
      };
    },
  };
}
