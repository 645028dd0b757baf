/**
 * @file The thread that follows texts through their grammars: compiling one takes tens of milliseconds, and saying what may come
 * next takes one or more for each token. The engine waits for neither.
 */
import { type CompiledGrammar, GrammarEngine } from "./matcher.ts";
import { type Continuation, GuidedText, type GuidedTextOptions } from "./guided_text.ts";
import { type PackedVocabulary, unpackVocabulary } from "./packed_vocabulary.ts";
import { TokenSpeller } from "./token_speller.ts";

/** A text is known by the id that it was begun with. */
export type ToGrammarWorker =
  /** Comes first. */
  | { readonly type: "start"; readonly vocabulary: PackedVocabulary }
  /** Begins a text, again if need be. */
  | ({ readonly type: "begin"; readonly id: number; readonly grammar: string } & GuidedTextOptions)
  | { readonly type: "advance"; readonly id: number; readonly token: number }
  | { readonly type: "end"; readonly id: number };

/** What became of a text that was begun or advanced. */
export type FromGrammarWorker =
  | ({ readonly type: "next"; readonly id: number } & Continuation)
  | { readonly type: "failed"; readonly id: number; readonly message: string };

/** Compiled grammars that are kept. */
const MOST_GRAMMARS = 64;

const thread = self as unknown as {
  postMessage(message: FromGrammarWorker): void;
  onmessage: ((event: MessageEvent<ToGrammarWorker>) => void) | null;
};

interface Loaded {
  readonly engine: GrammarEngine;
  readonly speller: TokenSpeller;
}

let loaded: Promise<Loaded>;
/** The one used last comes last. */
const grammars = new Map<string, CompiledGrammar>();
const texts = new Map<number, GuidedText>();
/** Messages are answered one after the other. */
let answered: Promise<void> = Promise.resolve();

thread.onmessage = ({ data }) => {
  if (data.type === "start") {
    loaded = load(data.vocabulary);
    // A failure to load is reported with each text.
    loaded.catch(() => {});
    return;
  }
  answered = answered.then(() => answer(data));
};

async function answer(message: Exclude<ToGrammarWorker, { type: "start" }>): Promise<void> {
  const { id } = message;
  try {
    switch (message.type) {
      case "begin": {
        end(id);
        const { engine, speller } = await loaded;
        const matcher = await engine.match(await compiled(engine, message.grammar));
        const text = new GuidedText(matcher, speller, message);
        texts.set(id, text);
        return thread.postMessage({ type: "next", id, ...await text.begin() });
      }
      case "advance": {
        const text = texts.get(id);
        if (text === undefined) throw new Error("The text has ended");
        return thread.postMessage({ type: "next", id, ...await text.advance(message.token) });
      }
      case "end":
        return end(id);
      default:
        message satisfies never;
    }
  } catch (error) {
    end(id);
    thread.postMessage({ type: "failed", id, message: (error as Error).message });
  }
}

function end(id: number): void {
  texts.get(id)?.dispose();
  texts.delete(id);
}

async function compiled(engine: GrammarEngine, grammar: string): Promise<CompiledGrammar> {
  const known = grammars.get(grammar) ?? await engine.compile(grammar);
  grammars.delete(grammar);
  grammars.set(grammar, known);
  if (grammars.size > MOST_GRAMMARS) {
    const [[oldest, unused]] = grammars;
    grammars.delete(oldest);
    // Texts that follow it keep what they need.
    unused.dispose();
  }
  return known;
}

async function load(vocabulary: PackedVocabulary): Promise<Loaded> {
  const tokens = unpackVocabulary(vocabulary);
  return { engine: await GrammarEngine.create(tokens), speller: new TokenSpeller(tokens) };
}
