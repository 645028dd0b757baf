/** @file Records in the form in which LongBench publishes its data: JSON objects, one a line. */
import { countField, type JsonLine, optionalTextsField, readJsonLines, textField, textsField } from "../json_lines.ts";

/** A question of LongBench. */
export interface LongBenchRecord {
  /** The question, or the dialogue to summarise and the like; empty for tasks that only have a context. */
  readonly input: string;
  readonly context: string;
  readonly answers: readonly string[];
  /** The context's length in words, as the record has it. */
  readonly length: number;
  /** The classes of a classification task, else null. */
  readonly classes: readonly string[] | null;
}

/**
 * Reads `TASK.jsonl`.
 *
 * @throws {Error} naming the file, the line and the field of a malformed record
 */
export async function readRecords(path: string): Promise<LongBenchRecord[]> {
  return (await readJsonLines(path)).map((line) => ({
    input: textField(line, "input"),
    context: textField(line, "context"),
    answers: answersOf(line),
    length: countField(line, "length"),
    classes: optionalTextsField(line, "all_classes"),
  }));
}

/** The field `answers`, which must not be empty: no prediction could be right. */
export function answersOf(line: JsonLine): readonly string[] {
  const answers = textsField(line, "answers");
  if (answers.length === 0) throw new Error(`${line.place}: the field "answers" must hold an answer, but it is empty`);
  return answers;
}
