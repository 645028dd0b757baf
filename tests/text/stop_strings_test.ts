import assert from "node:assert/strict";
import { StopStringFilter } from "../../src/text/stop_strings.ts";
import { randomInteger, seededRandom } from "../../fixtures/random.ts";

interface Outcome {
  readonly text: string;
  readonly matched?: string;
}

function filter(stops: readonly string[], pieces: readonly string[], include = false): Outcome {
  const stopFilter = new StopStringFilter(stops, { include });
  let text = "";
  let matched: string | undefined;
  for (const piece of pieces) {
    const result = stopFilter.push(piece);
    text += result.text;
    matched = result.matched;
    assert.equal(result.stopped, matched !== undefined);
  }
  return { text: text + stopFilter.flush(), matched };
}

/** The rule in its plainest form: the first character at which stop strings end; the longest of those. */
function expected(stops: readonly string[], text: string, include: boolean): Outcome {
  for (let end = 1; end <= text.length; end++) {
    const matched = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (matched !== undefined) return { text: text.slice(0, include ? end : end - matched.length), matched };
  }
  return { text, matched: undefined };
}

Deno.test("The outcome does not depend on how the text is cut", () => {
  const random = seededRandom(3);
  const letters = (low: number, high: number) =>
    Array.from({ length: randomInteger(random, low, high) }, () => "ab😀\n"[randomInteger(random, 0, 1)]).join("");
  for (let round = 0; round < 5000; round++) {
    const stops = Array.from({ length: randomInteger(random, 0, 3) }, () => letters(1, 5));
    const text = letters(0, 16);
    const pieces: string[] = [];
    for (let at = 0; at < text.length;) {
      const length = randomInteger(random, 0, 4);
      pieces.push(text.slice(at, at + length));
      at += length;
    }
    const include = random() < 0.5;
    assert.deepEqual(filter(stops, pieces, include), expected(stops, text, include), JSON.stringify({ stops, pieces }));
  }
});

Deno.test("A tail that may become a stop string is held back, and let go when it does not", () => {
  const stopFilter = new StopStringFilter(["\n\nUser:"]);
  assert.deepEqual(stopFilter.push("Hi.\n"), { text: "Hi.", stopped: false });
  assert.deepEqual(stopFilter.push("\nUse"), { text: "", stopped: false });
  assert.deepEqual(stopFilter.push("d"), { text: "\n\nUsed", stopped: false });
  assert.deepEqual(stopFilter.push("\n"), { text: "", stopped: false });
  assert.equal(stopFilter.flush(), "\n");
});

Deno.test("The stop string and everything after it is dropped", () => {
  const stopFilter = new StopStringFilter(["END"]);
  assert.deepEqual(stopFilter.push("one EN"), { text: "one ", stopped: false });
  assert.deepEqual(stopFilter.push("D two"), { text: "", stopped: true, matched: "END" });
  assert.deepEqual(stopFilter.push("three"), { text: "", stopped: true, matched: "END" });
  assert.equal(stopFilter.flush(), "");
});

Deno.test("The stop string is passed on where it is asked for", () => {
  assert.deepEqual(filter(["END"], ["one E", "ND two"], true), { text: "one END", matched: "END" });
});

Deno.test("Without stop strings everything passes at once", () => {
  assert.deepEqual(new StopStringFilter([]).push("text"), { text: "text", stopped: false });
});

Deno.test("An empty stop string is refused", () => {
  assert.throws(() => new StopStringFilter(["a", ""]), RangeError);
});

Deno.test("A stop string that ends in what is passed counts for nothing, one that ends behind it does", () => {
  const random = seededRandom(4);
  const letters = (low: number, high: number) =>
    Array.from({ length: randomInteger(random, low, high) }, () => "ab"[randomInteger(random, 0, 1)]).join("");
  for (let round = 0; round < 3000; round++) {
    const stops = Array.from({ length: randomInteger(random, 1, 3) }, () => letters(1, 5));
    const [passed, pushed] = [letters(0, 8), letters(0, 8)];
    const cut = randomInteger(random, 0, passed.length);
    const stopFilter = new StopStringFilter(stops);
    const pieces = [stopFilter.pass(passed.slice(0, cut)), stopFilter.pass(passed.slice(cut)), stopFilter.push(pushed)];
    const text = pieces.map((piece) => piece.text).join("") + stopFilter.flush();

    const whole = passed + pushed;
    let [expectedText, expectedStop]: [string, string | undefined] = [whole, undefined];
    for (let end = passed.length + 1; end <= whole.length && expectedStop === undefined; end++) {
      expectedStop = stops.filter((stop) => whole.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
      if (expectedStop !== undefined) expectedText = whole.slice(0, end - expectedStop.length);
    }
    // What has been passed on cannot be taken back: at most the beginning of a stop string is held.
    assert.deepEqual([text, pieces[2].matched], [expectedText, expectedStop], `${stops} in ${passed}|${pushed}`);
  }
});
