/** @file Numbers between two bounds, as grammars of their digits. */
import { characters, choice, type Expression, repeat, sequence, text } from "./expression.ts";
import { INTEGER } from "./json_text.ts";
import { UnsupportedGrammarError } from "./unsupported.ts";

/** Bounds of numbers; each is allowed itself unless it is said to be open. */
export interface NumberRange {
  readonly least: number;
  readonly most: number;
  readonly leastIsOpen: boolean;
  readonly mostIsOpen: boolean;
}

/** The largest magnitude of whole numbers that are generated; all of their doubles are exact. */
const LARGEST = 10 ** 15 - 1;
/** Beyond this, digits behind the point could round a number up to the next whole one. */
const LARGEST_WITH_FRACTION = 2 ** 30;
const FRACTION_DIGITS = 6;

const digits = (least: number, most: number) => repeat(characters([[0x30, 0x39]]), least, most);

/** Whole numbers within bounds, of at most 15 digits. @throws {UnsupportedGrammarError} if there are none */
export function integersIn({ least, most, leastIsOpen, mostIsOpen }: NumberRange): Expression {
  const first = leastIsOpen && Number.isInteger(least) ? least + 1 : Math.ceil(least);
  const last = mostIsOpen && Number.isInteger(most) ? most - 1 : Math.floor(most);
  if (first <= -LARGEST && last >= LARGEST) return INTEGER;
  const options = integerOptions(Math.max(first, -LARGEST), Math.min(last, LARGEST));
  if (options.length > 0) return choice(...options);
  throw new UnsupportedGrammarError(`integers from ${first} to ${last}: there are none of at most 15 digits`);
}

/**
 * Numbers within bounds. Those with a fraction have at most six digits behind the point.
 *
 * @throws {UnsupportedGrammarError} if there are none of them
 */
export function numbersIn(range: NumberRange): Expression {
  const options: Expression[] = [];
  const { least, most, leastIsOpen, mostIsOpen } = range;
  try {
    options.push(integersIn(range));
  } catch {
    // A range between two whole numbers.
  }
  // Numbers with a fraction, counted in millionths, without their sign.
  const unit = 10 ** FRACTION_DIGITS;
  const millionths = (from: number, fromIsOpen: boolean, to: number, toIsOpen: boolean) => {
    if (from > LARGEST_WITH_FRACTION || to < 0) return [];
    const low = Math.max(0, from);
    const high = Math.min(to, LARGEST_WITH_FRACTION);
    const first = exactly(low, unit)
      ? Math.round(low * unit) + (fromIsOpen && from >= 0 ? 1 : 0)
      : Math.ceil(low * unit);
    const last = exactly(high, unit)
      ? Math.round(high * unit) - (toIsOpen && to === high ? 1 : 0)
      : Math.floor(high * unit);
    return fractions(first, last);
  };
  options.push(...millionths(least, leastIsOpen, most, mostIsOpen));
  const negative = millionths(-most, mostIsOpen, -least, leastIsOpen);
  if (negative.length > 0) options.push(sequence(text("-"), choice(...negative)));
  if (options.length > 0) return choice(...options);
  throw new UnsupportedGrammarError(`numbers from ${least} to ${most}: there are none of six digits behind the point`);
}

/** Whether a bound is the double of a decimal with six digits: then that decimal is neither above nor below it. */
function exactly(value: number, unit: number): boolean {
  return Number(value.toFixed(FRACTION_DIGITS)) === value && value * unit <= Number.MAX_SAFE_INTEGER;
}

function integerOptions(first: number, last: number): Expression[] {
  if (first > last) return [];
  const options: Expression[] = [];
  if (first < 0) {
    options.push(
      ...digitsBetween(String(Math.max(1, -last)), String(-first)).map((option) => sequence(text("-"), option)),
    );
  }
  if (last >= 0) options.push(...digitsBetween(String(Math.max(0, first)), String(last)));
  return options;
}

/** Decimals of six digits from `first` to `last` millionths; trailing zeros may be left out only where all digits may follow. */
function fractions(first: number, last: number): Expression[] {
  if (first > last) return [];
  const [low, high] = [first, last].map((value) => {
    const written = String(value).padStart(FRACTION_DIGITS + 1, "0");
    return { whole: Number(written.slice(0, -FRACTION_DIGITS)), fraction: written.slice(-FRACTION_DIGITS) };
  });
  const zeros = "0".repeat(FRACTION_DIGITS);
  const nines = "9".repeat(FRACTION_DIGITS);
  const at = (whole: number, from: string, to: string) =>
    from === zeros && to === nines
      ? [sequence(text(`${whole}.`), digits(1, FRACTION_DIGITS))]
      : sameLength(from, to).map((option) => sequence(text(`${whole}.`), option));
  if (low.whole === high.whole) return at(low.whole, low.fraction, high.fraction);
  const between = digitsBetween(String(low.whole + 1), String(high.whole - 1));
  return [
    ...at(low.whole, low.fraction, nines),
    ...(low.whole + 1 > high.whole - 1
      ? []
      : between.map((whole) => sequence(whole, text("."), digits(1, FRACTION_DIGITS)))),
    ...at(high.whole, zeros, high.fraction),
  ];
}

/** Numbers from `first` to `last`, written without leading zeros. */
function digitsBetween(first: string, last: string): Expression[] {
  if (first.length === last.length) return sameLength(first, last);
  if (first.length > last.length) return [];
  const options = sameLength(first, "9".repeat(first.length));
  for (let length = first.length + 1; length < last.length; length++) {
    options.push(sequence(characters([[0x31, 0x39]]), digits(length - 1, length - 1)));
  }
  return [...options, ...sameLength(`1${"0".repeat(last.length - 1)}`, last)];
}

/** Runs of digits from `first` to `last`, all of the same length. */
function sameLength(first: string, last: string): Expression[] {
  if (first > last) return [];
  if (first === last) return [text(first)];
  const rest = first.length - 1;
  const [low, high] = [Number(first[0]), Number(last[0])];
  if (low === high) {
    return sameLength(first.slice(1), last.slice(1)).map((option) => sequence(text(first[0]), option));
  }
  if (rest === 0) return [characters([[0x30 + low, 0x30 + high]])];
  const zeros = "0".repeat(rest);
  const nines = "9".repeat(rest);
  const from = first.slice(1) === zeros ? low : low + 1;
  const to = last.slice(1) === nines ? high : high - 1;
  const options: Expression[] = [];
  if (from > low) options.push(sequence(text(first[0]), choice(...sameLength(first.slice(1), nines))));
  if (from <= to) options.push(sequence(characters([[0x30 + from, 0x30 + to]]), digits(rest, rest)));
  if (to < high) options.push(sequence(text(last[0]), choice(...sameLength(zeros, last.slice(1)))));
  return options;
}
