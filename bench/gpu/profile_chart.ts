/** @file Draws where the time goes: a bar a kernel, the part of it that the adapter's peaks allow no less than in colour. */
import { drawChart, type Panel, type Series } from "../../src/charts/svg.ts";
import { digits } from "../../src/charts/text_table.ts";
import type { GpuResults, KernelProfile, Profile } from "./results.ts";

const LIMITS: Readonly<Record<KernelProfile["limitedBy"], Series>> = {
  reads: { name: "as long as its reads must take", colour: "#2a6fbb" },
  arithmetic: { name: "as long as its arithmetic must take", colour: "#e08a2e" },
  dispatch: { name: "as long as empty dispatches take", colour: "#777" },
};
const REST: Series = { name: "longer than that", colour: "#d9dfe6" };

/** A panel for each profile; undefined where there are none. */
export function profileChart({ adapter, shape, weights, stages }: GpuResults): string | undefined {
  const profiles = stages.profile?.results?.profiles ?? [];
  if (profiles.length === 0) return undefined;
  return drawChart({
    title: "Where the time goes, kernel by kernel, each against its own limit",
    notes: [
      `${shape}, random ${weights} weights, on ${adapter}`,
      "Times by the GPU's clock, each dispatch in a pass of its own; limits are this adapter's measured peaks",
    ],
    series: [...Object.values(LIMITS), REST],
    panels: profiles.map(panelOf),
    columns: 1,
    panelWidth: 880,
  });
}

function panelOf({ title, togetherMicroseconds, kernels }: Profile): Panel {
  const sum = kernels.reduce((total, { microseconds }) => total + microseconds, 0);
  return {
    title: `${title}: ${digits(sum)} us in all, ${digits(togetherMicroseconds)} us when in one pass`,
    axis: "microseconds (and the share that is the limit's)",
    rows: kernels.map(({ label, dispatches, microseconds, limitMicroseconds, limitedBy }) => {
      const limit = Math.min(microseconds, limitMicroseconds);
      return {
        label: dispatches === 1 ? label : `${label} (${dispatches})`,
        bars: [{
          segments: [
            { series: LIMITS[limitedBy], value: limit },
            { series: REST, value: microseconds - limit },
          ],
          text: `${digits(microseconds)} (${digits(100 * limitMicroseconds / microseconds)} %)`,
        }],
      };
    }),
  };
}
