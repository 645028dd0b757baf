/** @file Who waits for admission: by priority, and within one in the order of arrival. */
import type { GenerationRequest } from "../contract/generation.ts";

/** A line of whatever a request is at work in. */
export class WaitingLine<Member extends { readonly request: Pick<GenerationRequest, "priority"> }> {
  #members: Member[] = [];

  get length(): number {
    return this.#members.length;
  }

  /** Who is next. */
  get first(): Member | undefined {
    return this.#members.at(0);
  }

  /** Lines up behind all whose priority is the same or comes before. */
  add(member: Member): void {
    const { priority = 0 } = member.request;
    const behind = this.#members.findLastIndex(({ request }) => (request.priority ?? 0) <= priority);
    this.#members.splice(behind + 1, 0, member);
  }

  /** Whoever is not in line is none the worse. */
  remove(member: Member): void {
    this.#members = this.#members.filter((other) => other !== member);
  }
}
