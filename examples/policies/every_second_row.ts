/** Every second row of the prompt, whatever it says: what a policy that looks at anything has to beat. */
import { definePolicy, onHost } from "ebb/policy";

export default definePolicy({
  api: 1,
  name: "every-second-row",
  description: "Keeps every second row, the latest ones first, and whatever else there is room for",
  score: () => [
    onHost({
      window: 1,
      // Nothing has to be read back: positions are known.
      needs: [],
      score: (_rows, { kvHeadCount, scoredRows }) =>
        Float32Array.from({ length: kvHeadCount * scoredRows }, (_, i) => {
          const row = i % scoredRows;
          return row / scoredRows + (row % 2 === scoredRows % 2 ? 1 : 0);
        }),
    }),
  ],
});
