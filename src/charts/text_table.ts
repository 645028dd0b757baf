/** @file Tables of text, for a terminal. */

/** A table with its columns aligned: numbers to the right, words to the left. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const isNumeric = header.map((_, column) => rows.every((row) => /^(\d|$)/.test(row[column])));
  const format = (line: readonly string[]) =>
    line.map((cell, column) => isNumeric[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))
      .join("  ").trimEnd();
  return [format(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(format)].join("\n");
}

/** Three significant digits, and all digits of numbers above a thousand. */
export function digits(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
