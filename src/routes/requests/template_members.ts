/** @file What chat templates are given of a request as it was written: with its numbers and the order of its keys. */
import { jsonMembers, type JsonValue, parseJson } from "../../text/json_text.ts";
import { HttpError } from "../errors.ts";

/** Members of a request by the names that chat completions give them. */
export interface TemplateMembers {
  /** @throws {HttpError} 400 if the member nests too deeply or has a number that is too long */
  value(name: string): JsonValue;
}

/** Members of a request's body. */
export class BodyMembers implements TemplateMembers {
  #members: Map<string, string> | undefined;

  /** @param body a valid JSON object */
  constructor(readonly body: string) {}

  value(name: string): JsonValue {
    try {
      return parseJson((this.#members ??= jsonMembers(this.body)).get(name)!);
    } catch (error) {
      throw new HttpError(400, `${name} cannot be read: ${(error as Error).message}`, { param: name });
    }
  }
}
