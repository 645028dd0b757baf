/** @file Arguments of a call by position or by name, as Python binds them. */

import { TemplateText } from "./template_text.ts";
import { TemplateError, typeName, Undefined, type Value } from "./values.ts";

/** The arguments of one call of a filter, method or function. */
export class Arguments {
  constructor(
    readonly positional: readonly Value[],
    readonly named: ReadonlyMap<string, Value> = new Map(),
  ) {}

  /** The argument at a place or of a name; undefined where it was not given. */
  get(place: number, name: string): Value | undefined {
    return this.positional[place] ?? (place < this.positional.length ? null : this.named.get(name));
  }

  /** The same, or `missing` where the argument was not given; None is a value. */
  valueOr(place: number, name: string, missing: Value): Value {
    const value = this.get(place, name);
    return value === undefined ? missing : value;
  }

  text(place: number, name: string, missing?: string): TemplateText {
    const value = this.get(place, name) ?? (missing === undefined ? null : new TemplateText(missing));
    if (value instanceof TemplateText) return value;
    if (value instanceof Undefined) throw value.error();
    throw new TemplateError(`${name} must be str, not ${typeName(value)}`);
  }

  integer(place: number, name: string, missing: bigint): bigint {
    const value = this.get(place, name) ?? missing;
    if (typeof value === "bigint") return value;
    if (typeof value === "boolean") return BigInt(value);
    throw new TemplateError(`${name}: '${typeName(value)}' object cannot be interpreted as an integer`);
  }
}
