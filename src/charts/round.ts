/** @file Coordinates as they are written in SVG. */

/** To a tenth of a pixel. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
