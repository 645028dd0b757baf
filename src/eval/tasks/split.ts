/** @file Training and evaluation, kept apart. */
import { hash } from "./random.ts";

/** Which half of the names, numbers and combinations a sample is made of; the two halves share none. */
export type Split = "training" | "evaluation";

/** The split that a name, a combination or a number belongs to: one in five is kept for evaluation. */
export function splitOf(name: string): Split {
  return hash(`split ${name}`) % 5 === 0 ? "evaluation" : "training";
}
