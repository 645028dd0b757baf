/** @file Members of a request that are hardly meant as they are spelt: ignored as other unknown ones are, they would change the answer. */
import { z } from "zod";
import { nearest } from "../../text/nearest.ts";

/** What counts as a slip of the pen. */
interface SlipRule {
  /** Names of other lengths are none. */
  readonly from: number;
  readonly to: number;
  /** At most so many letters are wrong, as a share of what was meant. */
  readonly share: number;
  /** Unknown names of one object that are looked at. */
  readonly most: number;
}

/** Among the fields of a request, where other servers have short ones of their own. */
export const FIELD_SLIPS: SlipRule = { from: 6, to: 40, share: 1 / 4, most: 64 };
/** Among the members of an object within a request, of which there are few. */
const MEMBER_SLIPS: SlipRule = { from: 4, to: 40, share: 1 / 3, most: 16 };

/** The first member of an object that is a slip, and what was probably meant; what is null asks for nothing. */
export function slipOf(
  object: Readonly<Record<string, unknown>>,
  known: readonly string[],
  { from, to, share, most }: SlipRule,
): { readonly name: string; readonly meant: string } | undefined {
  const names = new Set(known);
  let looked = 0;
  for (const name of Object.keys(object)) {
    if (names.has(name) || name.length < from || name.length > to) continue;
    if (++looked > most) return undefined;
    const meant = nearest(name, known, share);
    if (meant !== undefined && object[name] !== null) return { name, meant };
  }
  return undefined;
}

/**
 * An object whose members have these checks, and of which slips are refused. Other members that are not known are let pass.
 *
 * @param error what is expected in its place
 * @param others names of members that have no check here
 */
export function spelledObject<Shape extends z.ZodRawShape>(
  shape: Shape,
  { error, others = [] }: { error?: string; others?: readonly string[] } = {},
) {
  const known = [...Object.keys(shape), ...others];
  return z.looseObject(shape, { error }).superRefine((value, context) => {
    const slip = slipOf(value, known, MEMBER_SLIPS);
    if (slip === undefined) return;
    context.addIssue({ code: "custom", path: [slip.name], message: `did you mean ${slip.meant}?` });
  });
}
