/** @file What an option is called on the command line and in the environment. */

/** `maxBatch` is given as `--max-batch`. */
export function flagName(option: string): string {
  return `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `maxBatch` is read from `EBB_MAX_BATCH`. */
export function environmentName(option: string): string {
  return `EBB_${option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
