/** @file Parts of a body as a template should write them: numbers and keys are the client's, to the letter. */
import { jsonMembers, type JsonValue, parseJson } from "../../text/json_text.ts";
import { HttpError } from "../errors.ts";

/** Members of a request, by the names that chat completions give them. */
export type TemplateMembers = Pick<LosslessMembers, "value">;

/** Members of a request's body with their numbers and the order of their keys as they were sent. */
export class LosslessMembers {
  #members: Map<string, string> | undefined;

  /** @param body a valid JSON object */
  constructor(readonly body: string) {}

  /**
   * @param name of a member that there is
   * @throws {HttpError} 400 if the member nests too deeply or has a number that is too long
   */
  value(name: string): JsonValue {
    try {
      return parseJson((this.#members ??= jsonMembers(this.body)).get(name)!);
    } catch (error) {
      throw new HttpError(400, `${name} cannot be read: ${(error as Error).message}`, { param: name });
    }
  }
}
