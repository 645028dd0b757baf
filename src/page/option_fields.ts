/** @file Fields of a form for the options of a policy, made from their JSON Schema. */

/** A JSON Schema of an object, as far as `GET /v1/kv/policies` uses it. */
export interface OptionsSchema {
  readonly properties?: Readonly<Record<string, OptionSchema>>;
}

export interface OptionSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
}

/** One field of the form. What is typed into it is a text; an empty one leaves the option to its default. */
export interface OptionField {
  readonly name: string;
  readonly description: string;
  /** What stands for the default, if there is a fixed one. */
  readonly fallback: string;
  readonly kind: "number" | "choice" | "text";
  /** Of a choice. */
  readonly choices: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** Whether only whole numbers are taken. */
  readonly isWhole: boolean;
}

/** The fields of an options' schema, in its order. */
export function optionFields({ properties = {} }: OptionsSchema): OptionField[] {
  return Object.entries(properties).map(([name, schema]) => {
    const { type, description = "", default: fallback, enum: values, minimum, maximum } = schema;
    const choices = values?.map(String) ?? (type === "boolean" ? ["true", "false"] : []);
    const isNumber = type === "number" || type === "integer";
    return {
      name,
      description,
      fallback: fallback === undefined ? "" : String(fallback),
      kind: choices.length > 0 ? "choice" : isNumber ? "number" : "text",
      choices,
      ...minimum !== undefined && { minimum },
      ...maximum !== undefined && { maximum },
      isWhole: type === "integer",
    };
  });
}

/** The options that were typed in, of the types that their schema has; those left empty are not among them. */
export function typedOptions(
  { properties = {} }: OptionsSchema,
  typed: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const given = Object.entries(properties).filter(([name]) => (typed[name] ?? "").trim() !== "");
  return Object.fromEntries(given.map(([name, schema]) => [name, typedValue(schema, typed[name].trim())]));
}

/** What is no number stays a text: the server says what it expected. */
function typedValue({ type, enum: values }: OptionSchema, text: string): unknown {
  if (type === "boolean") return text === "true";
  const named = values?.find((value) => String(value) === text);
  if (named !== undefined) return named;
  if (type !== "number" && type !== "integer") return text;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}
