/** @file Numbers for people. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1536` becomes "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  const amount = bytes / 1024 ** power;
  return `${power === 0 ? amount : amount.toFixed(1)} ${UNITS[power]}`;
}

/** `1234567` becomes "1,234,567". */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}
