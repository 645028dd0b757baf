/**
 * @file English words to make keys, word lists and filler of. RULER takes its words from the Python package wonderwords;
 * these are of the same kind.
 */
import { adjectives, animals, colors } from "unique-names-generator";

export const ADJECTIVES: readonly string[] = adjectives;
export const NOUNS: readonly string[] = [...new Set([...animals, ...colors])];

/** Different words: about 1,600. */
export const WORDS: readonly string[] = [...new Set([...ADJECTIVES, ...NOUNS])];
