/** @file Marks of points, which tell series apart without their colours. */
import { round } from "./round.ts";

/** The corners of each, within a square from -1 to 1; a circle has none. */
const CORNERS = {
  circle: null,
  square: [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
  triangle: [[0, -1.1], [1.05, 0.8], [-1.05, 0.8]],
  wedge: [[0, 1.1], [1.05, -0.8], [-1.05, -0.8]],
  diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  plus: cross([[0.35, 0.35], [0.35, 1.15], [-0.35, 1.15]]),
  cross: cross([[0.5, 0], [1.15, 0.65], [0.65, 1.15]]),
} as const;

/** The shape of a mark. */
export type Mark = keyof typeof CORNERS;

/** A quarter's corners, and those of the three quarters that it turns into. */
function cross(quarter: readonly (readonly [number, number])[]): [number, number][] {
  return [0, 1, 2, 3].flatMap((turns) =>
    quarter.map(([x, y]): [number, number] => {
      for (let i = 0; i < turns; i++) [x, y] = [-y, x];
      return [x, y];
    })
  );
}

/** Around each mark, so that those that lie on one another can be told apart. */
const EDGE = 'stroke="#fff" stroke-width="1" paint-order="stroke"';

/** A mark around a point, `size` pixels from its middle to its side, with a white edge. */
export function drawMark(mark: Mark, x: number, y: number, size: number, colour: string): string {
  const corners = CORNERS[mark];
  if (corners === null) return `<circle cx="${round(x)}" cy="${round(y)}" r="${size}" ${EDGE} fill="${colour}"/>`;
  const path = corners.map(([across, down]) => `${round(x + size * across)} ${round(y + size * down)}`).join("L");
  return `<path d="M${path}Z" ${EDGE} fill="${colour}"/>`;
}
