/**
 * @file Renders chat templates as Jinja2 does in the environment that transformers makes for them.
 *
 * npm's @huggingface/jinja reads the templates (parse.ts), but does not render them: its texts are plain strings, which do not
 * know what came from a client; its numbers have no integers beyond 2^53 and no `1.0`; it knows no bounds; and where filters
 * meet None, undefined or a tuple it refuses what Jinja2 renders. All of these go through every operation of an interpreter.
 */

import { Arguments } from "./arguments.ts";
import { attribute, item, slice } from "./attributes.ts";
import { Budget, TemplateLimitError } from "./budget.ts";
import { applyFilter } from "./filters.ts";
import { globals } from "./globals.ts";
import { concatenate, operate } from "./operators.ts";
import { NEGATED_TEST_PREFIX, parseTemplate, type TemplateNode, TEST_PREFIX } from "./parse.ts";
import { str } from "./python_text.ts";
import type { TemplateText } from "./template_text.ts";
import { holds } from "./tests.ts";
import {
  areEqual,
  asNumber,
  Dict,
  isNumber,
  isTrue,
  itemsOf,
  Namespace,
  TemplateError,
  type TemplateFunction,
  text,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** A template that is ready to be rendered. */
export class JinjaTemplate {
  readonly #program: TemplateNode;

  /** @throws {Error} when the source is not Jinja */
  constructor(source: string) {
    this.#program = parseTemplate(source);
  }

  /**
   * @throws {TemplateError} when the template refuses the values, fails, or does more than it may; `line` then says where
   */
  render(variables: Iterable<readonly [string, Value]>): TemplateText {
    const rendering = new Rendering(variables);
    try {
      return rendering.run(this.#program);
    } catch (error) {
      throw atLine(error, rendering.line);
    }
  }
}

/** An error with the line of the template that it came from, counted from 1. */
export type LocatedError = TemplateError & { line?: number };

function atLine(error: unknown, line: number | undefined): unknown {
  const located: unknown = error instanceof RangeError
    ? new TemplateLimitError("it nests too deeply", { cause: error })
    : error;
  if (located instanceof TemplateError) (located as LocatedError).line = line;
  return located;
}

/** Variables of one block, and those around it. */
class Scope {
  readonly #variables = new Map<string, Value>();

  constructor(readonly parent?: Scope) {}

  get(name: string): Value | undefined {
    const value = this.#variables.get(name);
    return value === undefined ? this.parent?.get(name) : value;
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["true", true],
  ["false", false],
  ["none", null],
  ["True", true],
  ["False", false],
  ["None", null],
]);

/** How a block ended where it did not reach its end. */
type Leave = "break" | "continue" | undefined;

class Rendering {
  readonly #budget = new Budget();
  readonly #root = new Scope();
  line: number | undefined;

  constructor(variables: Iterable<readonly [string, Value]>) {
    for (const [name, value] of globals(this.#budget)) this.#root.set(name, value);
    for (const [name, value] of variables) this.#root.set(name, value);
  }

  run(program: TemplateNode): TemplateText {
    return this.#capture(program.body, new Scope(this.#root));
  }

  /** What a block prints. */
  #capture(nodes: readonly TemplateNode[], scope: Scope): TemplateText {
    const printed: TemplateText[] = [];
    this.#execute(nodes, scope, printed);
    return concatenate(printed, this.#budget);
  }

  #execute(nodes: readonly TemplateNode[], scope: Scope, printed: TemplateText[]): Leave {
    for (const node of nodes) {
      if (node.line !== undefined) this.line = node.line;
      const leave = this.#executeOne(node, scope, printed);
      if (leave !== undefined) return leave;
    }
  }

  #executeOne(node: TemplateNode, scope: Scope, printed: TemplateText[]): Leave {
    switch (node.type) {
      case "If":
        return this.#execute(isTrue(this.#evaluate(node.test, scope)) ? node.body : node.alternate, scope, printed);
      case "For":
        this.#for(node, scope, printed);
        return;
      case "Set":
        this.#set(node, scope);
        return;
      case "Macro":
        scope.set(node.name.value, this.#macro(node.name.value, node.args, node.body, scope));
        return;
      case "CallStatement": {
        const caller = this.#macro("caller", node.callerArgs ?? [], node.body, scope);
        printed.push(str(this.#call(node.call, scope, [["caller", caller]])));
        return;
      }
      case "FilterStatement":
        printed.push(str(this.#filter(node.filter, this.#capture(node.body, new Scope(scope)), scope)));
        return;
      case "Break":
        return "break";
      case "Continue":
        return "continue";
      default:
        printed.push(str(this.#evaluate(node, scope)));
    }
  }

  #for(node: TemplateNode, scope: Scope, printed: TemplateText[]): void {
    const isFiltered = node.iterable.type === "SelectExpression";
    let items = itemsOf(this.#evaluate(isFiltered ? node.iterable.lhs : node.iterable, scope));
    if (isFiltered) {
      items = items.filter((each) => {
        const inner = new Scope(scope);
        this.#assign(node.loopvar, each, inner);
        return isTrue(this.#evaluate(node.iterable.test, inner));
      });
    }
    if (items.length === 0) {
      this.#execute(node.defaultBlock, new Scope(scope), printed);
      return;
    }
    const outer = scope.get("loop");
    const depth = (outer instanceof Loop ? outer.get("depth") as bigint : 0n) + 1n;
    let last: Value[] | undefined;
    const changed: TemplateFunction = (values) => {
      const isNew = last === undefined || !areEqual(last, values);
      last = values;
      return isNew;
    };
    for (let i = 0; i < items.length; i++) {
      this.#budget.spendSteps(1);
      const inner = new Scope(scope);
      this.#assign(node.loopvar, items[i], inner);
      inner.set("loop", new Loop(items, i, depth, changed));
      if (this.#execute(node.body, inner, printed) === "break") break;
    }
  }

  #set(node: TemplateNode, scope: Scope): void {
    if (node.value) {
      this.#assign(node.assignee, this.#evaluate(node.value, scope), scope);
      return;
    }
    let value: Value = this.#capture(node.body, new Scope(scope));
    let target = node.assignee;
    const filters: TemplateNode[] = [];
    for (; target.type === "FilterExpression"; target = target.operand) filters.unshift(target.filter);
    for (const filter of filters) value = this.#filter(filter, value, scope);
    this.#assign(target, value, scope);
  }

  #assign(target: TemplateNode, value: Value, scope: Scope): void {
    if (target.type === "Identifier") {
      scope.set(target.value, value);
    } else if (target.type === "TupleLiteral") {
      const values = itemsOf(value);
      const expected = target.value.length;
      if (values.length !== expected) {
        throw new TemplateError(
          values.length > expected
            ? `too many values to unpack (expected ${expected})`
            : `not enough values to unpack (expected ${expected}, got ${values.length})`,
        );
      }
      target.value.forEach((part: TemplateNode, i: number) => this.#assign(part, values[i], scope));
    } else if (target.type === "MemberExpression" && !target.computed) {
      const object = this.#evaluate(target.object, scope);
      if (!(object instanceof Namespace)) throw new TemplateError("cannot assign attribute on non-namespace object");
      object.set(target.property.value, value);
    } else {
      throw new TemplateError(`cannot assign to ${target.type}`);
    }
  }

  #macro(
    name: string,
    parameters: readonly TemplateNode[],
    body: readonly TemplateNode[],
    scope: Scope,
  ): TemplateFunction {
    return (positional, named) => {
      const inner = new Scope(scope);
      const { line } = this;
      const left = new Map(named);
      parameters.forEach((parameter, i) => {
        const isDefault = parameter.type === "KeywordArgumentExpression";
        const key: string = isDefault ? parameter.key.value : parameter.value;
        const given = i < positional.length ? positional[i] : left.get(key);
        left.delete(key);
        if (given !== undefined) inner.set(key, given);
        else if (isDefault) inner.set(key, this.#evaluate(parameter.value, inner));
        else inner.set(key, new Undefined(`parameter '${key}' was not provided`));
      });
      inner.set("caller", left.get("caller") ?? new Undefined("'caller' is undefined"));
      left.delete("caller");
      inner.set("varargs", new Tuple(positional.slice(parameters.length)));
      inner.set("kwargs", new Dict([...left].map(([key, value]) => [text(key), value])));
      this.#budget.spendSteps(1);
      const printed = this.#capture(body, inner);
      this.line = line;
      if (positional.length > parameters.length && !uses(body, "varargs")) {
        throw new TemplateError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
      }
      return printed;
    };
  }

  #evaluate(node: TemplateNode, scope: Scope): Value {
    this.#budget.spendSteps(1);
    switch (node.type) {
      case "StringLiteral":
        return node.constant ??= text(node.value);
      case "IntegerLiteral":
        return node.constant ??= BigInt(node.value);
      case "FloatLiteral":
        return node.value;
      case "Identifier": {
        const constant = CONSTANTS.get(node.value);
        if (constant !== undefined) return constant;
        const value = scope.get(node.value);
        return value === undefined ? new Undefined(`'${node.value}' is undefined`) : value;
      }
      case "ArrayLiteral":
        return node.value.map((part: TemplateNode) => this.#evaluate(part, scope));
      case "TupleLiteral":
        return new Tuple(node.value.map((part: TemplateNode) => this.#evaluate(part, scope)));
      case "ObjectLiteral":
        return new Dict(
          [...node.value].map(([key, value]) => [this.#evaluate(key, scope), this.#evaluate(value, scope)] as const),
        );
      case "MemberExpression":
        return this.#member(node, scope);
      case "CallExpression":
        return this.#call(node, scope);
      case "FilterExpression":
        return this.#filter(node.filter, this.#evaluate(node.operand, scope), scope);
      case "UnaryExpression":
        return this.#unary(node, scope);
      case "BinaryExpression":
        return this.#binary(node, scope);
      case "Ternary":
        return this.#evaluate(isTrue(this.#evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
      case "SelectExpression":
        return isTrue(this.#evaluate(node.test, scope))
          ? this.#evaluate(node.lhs, scope)
          : new Undefined("the inline if-expression evaluated to false and no else section was defined.");
      default:
        throw new TemplateError(`${node.type} is not an expression`);
    }
  }

  #member(node: TemplateNode, scope: Scope): Value {
    const object = this.#evaluate(node.object, scope);
    const { property } = node;
    if (property.type === "SliceExpression") {
      const [start, stop, step] = [property.start, property.stop, property.step].map((bound) =>
        bound === undefined ? null : this.#evaluate(bound, scope)
      );
      return slice(object, start, stop, step, this.#budget);
    }
    if (node.computed || property.type === "IntegerLiteral") {
      return item(object, this.#evaluate(property, scope), this.#budget);
    }
    return attribute(object, property.value, this.#budget);
  }

  #call(node: TemplateNode, scope: Scope, extra: readonly [string, Value][] = []): Value {
    const callee = this.#evaluate(node.callee, scope);
    const { positional, named } = this.#arguments(node.args, scope);
    if (callee instanceof Undefined) throw callee.error();
    if (typeof callee !== "function") throw new TemplateError(`'${typeName(callee)}' object is not callable`);
    return callee([...positional], new Map([...named, ...extra]));
  }

  #arguments(nodes: readonly TemplateNode[], scope: Scope): Arguments {
    const positional: Value[] = [];
    const named = new Map<string, Value>();
    for (const node of nodes) {
      switch (node.type) {
        case "KeywordArgumentExpression":
          named.set(node.key.value, this.#evaluate(node.value, scope));
          break;
        case "SpreadExpression":
          positional.push(...itemsOf(this.#evaluate(node.argument, scope)));
          break;
        case "KeywordSpreadExpression": {
          const values = this.#evaluate(node.argument, scope);
          if (!(values instanceof Dict)) throw new TemplateError("argument after ** must be a mapping");
          for (const [key, value] of values.entries()) named.set(str(key).value, value);
          break;
        }
        default:
          positional.push(this.#evaluate(node, scope));
      }
    }
    return new Arguments(positional, named);
  }

  /** A filter, or a test, which parse.ts has made one of. */
  #filter(filter: TemplateNode, value: Value, scope: Scope): Value {
    const name: string = filter.type === "CallExpression" ? filter.callee.value : filter.value;
    const args = filter.type === "CallExpression" ? this.#arguments(filter.args, scope) : new Arguments([]);
    if (name.startsWith(NEGATED_TEST_PREFIX)) {
      return !holds(name.slice(NEGATED_TEST_PREFIX.length), value, args.positional);
    }
    if (name.startsWith(TEST_PREFIX)) return holds(name.slice(TEST_PREFIX.length), value, args.positional);
    return applyFilter(name, value, args, this.#budget);
  }

  #unary(node: TemplateNode, scope: Scope): Value {
    const value = this.#evaluate(node.argument, scope);
    const operator: string = node.operator.value;
    if (operator === "not") return !isTrue(value);
    if (value instanceof Undefined) throw value.error();
    if (!isNumber(value)) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
    return operator === "-" ? -asNumber(value) : asNumber(value);
  }

  #binary(node: TemplateNode, scope: Scope): Value {
    const left = this.#evaluate(node.left, scope);
    const operator: string = node.operator.value;
    if (operator === "and") return isTrue(left) ? this.#evaluate(node.right, scope) : left;
    if (operator === "or") return isTrue(left) ? left : this.#evaluate(node.right, scope);
    return operate(operator, left, this.#evaluate(node.right, scope), this.#budget);
  }
}

/** The variable `loop`: most templates read one of its attributes, if any. */
class Loop extends Namespace {
  readonly #get: (name: string) => Value | undefined;

  constructor(items: readonly Value[], i: number, depth: bigint, changed: TemplateFunction) {
    super();
    this.#get = (name) => loopAttribute(name, items, i, depth, changed);
  }

  override get(name: string): Value | undefined {
    return this.#get(name);
  }
}

function loopAttribute(
  name: string,
  items: readonly Value[],
  i: number,
  depth: bigint,
  changed: TemplateFunction,
): Value | undefined {
  switch (name) {
    case "index":
      return BigInt(i + 1);
    case "index0":
      return BigInt(i);
    case "revindex":
      return BigInt(items.length - i);
    case "revindex0":
      return BigInt(items.length - i - 1);
    case "first":
      return i === 0;
    case "last":
      return i === items.length - 1;
    case "length":
      return BigInt(items.length);
    case "previtem":
      return i === 0 ? new Undefined("there is no previous item") : items[i - 1];
    case "nextitem":
      return i === items.length - 1 ? new Undefined("there is no next item") : items[i + 1];
    case "depth":
      return depth;
    case "depth0":
      return depth - 1n;
    case "cycle":
      return (values) => values[i % values.length];
    case "changed":
      return changed;
  }
}

/** Whether a variable is read anywhere in these nodes. */
function uses(nodes: unknown, name: string): boolean {
  if (Array.isArray(nodes)) return nodes.some((node) => uses(node, name));
  if (nodes instanceof Map) return uses([...nodes].flat(), name);
  if (typeof nodes !== "object" || nodes === null) return false;
  const node = nodes as TemplateNode;
  return (node.type === "Identifier" && node.value === name) || uses(Object.values(node), name);
}
